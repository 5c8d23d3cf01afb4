//! Lanes: which records of a batch must be handled one after the other, and running the lanes concurrently.

use std::collections::HashMap;
use std::future::poll_fn;
use std::hash::Hash;
use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;

use msk_shared::event::{MskEvent, Record};
use msk_shared::telemetry::hold_lines;
use tokio::task::JoinSet;
use tracing::Instrument;

use crate::batch_handler::BatchHandler;
use crate::calls::LaneGroup;
pub use crate::config::Ordering;
use crate::dead_letters::DeadLetterSink;
use crate::idempotency::IdempotencyStore;
use crate::processing::{Disposition, InvocationBudget, RecordProcessor};
pub use crate::running_batch::Lane;
use crate::running_batch::{Entry, RunningBatch};

/// Splits a batch into lanes, in the order of their first record. Each record is in one lane.
///
/// ```
/// use msk_consumer::lanes::{self, Ordering};
/// use msk_shared::event::{MskEvent, Record};
///
/// let record = |offset, key: &str| Record::new("orders", 0, offset).with_key(Some(key.to_owned()));
/// let event = MskEvent::new([record(0, "a"), record(1, "b"), record(2, "a")]);
/// assert_eq!(lanes::split(&event, Ordering::Key), [vec![0, 2], vec![1]]);
/// ```
pub fn split(event: &MskEvent, ordering: Ordering) -> Vec<Lane> {
    match ordering {
        Ordering::Partition => group_by(event, |record| Some(partition(record))),
        Ordering::Key => group_by(event, |record| {
            let key = record.map_or_else(Record::key_as_received, Record::key_as_received);
            key.map(|key| (partition(record), key))
        }),
        Ordering::Unordered => (0..event.len()).map(|index| vec![index]).collect(),
    }
}

/// Broken records that name their partition belong to its lane.
fn partition(record: Entry<'_>) -> (Option<&str>, Option<i32>) {
    match record {
        Ok(record) => (Some(record.topic()), Some(record.partition())),
        Err(broken) => (broken.id().topic.as_deref(), broken.id().partition),
    }
}

/// One lane per value of `group`; a record without such a value has its own lane.
fn group_by<'e, T: Eq + Hash>(event: &'e MskEvent, group: impl Fn(Entry<'e>) -> Option<T>) -> Vec<Lane> {
    let mut lanes: Vec<Lane> = Vec::new();
    let mut lane_by_group: HashMap<T, usize> = HashMap::new();
    for (index, record) in event.entries().enumerate() {
        let lane = match group(record) {
            Some(value) => *lane_by_group.entry(value).or_insert(lanes.len()),
            None => lanes.len(),
        };
        if lane == lanes.len() {
            lanes.push(Vec::new());
        }
        lanes[lane].push(index);
    }
    lanes
}

/// Neighbouring lanes that share calls of the handler, so that it gets up to `most` records at once from small lanes too.
fn share_calls(lanes: &[Lane], most: usize) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    let mut records = 0;
    for (index, lane) in lanes.iter().enumerate() {
        records += lane.len();
        match groups.last_mut() {
            Some(group) if records <= most => group.end = index + 1,
            _ => {
                records = lane.len();
                groups.push(index..index + 1);
            }
        }
    }
    groups
}

/// Splits a batch for a handler that takes up to `most` records per call.
pub(crate) fn prepare(event: MskEvent, ordering: Ordering, most: usize, budget: InvocationBudget) -> RunningBatch {
    let lanes = split(&event, ordering);
    let groups = share_calls(&lanes, most);
    RunningBatch::new(event, lanes, groups, budget)
}

/// What became of each record, by position.
pub(crate) async fn run<H: BatchHandler, D: DeadLetterSink, S: IdempotencyStore>(
    processor: &Arc<RecordProcessor<H, D, S>>,
    batch: &Arc<RunningBatch>,
    request_id: &str,
) -> Vec<Disposition> {
    let mut dispositions = vec![Disposition::Unprocessed; batch.len()];
    let mut workers = JoinSet::new();
    for _ in 0..processor.settings.concurrency.get().min(batch.groups()) {
        let work = work(Arc::clone(processor), Arc::clone(batch), request_id.to_owned());
        workers.spawn(with_held_lines(work).in_current_span());
    }
    while let Some(worker) = workers.join_next().await {
        match worker {
            Ok(results) => results.into_iter().for_each(|(index, one)| dispositions[index] = one),
            // Only a panic in the store can cause this; the lane's records count as not processed.
            Err(_) => tracing::error!(
                "a lane ended early because the idempotency store panicked; its records will be retried"
            ),
        }
    }
    dispositions
}

/// Writes the log lines of records that are handled without waiting for anything in between together, not one by one.
async fn with_held_lines<F: Future>(work: F) -> F::Output {
    let mut work = pin!(work);
    poll_fn(|context| {
        let _held = hold_lines();
        work.as_mut().poll(context)
    })
    .await
}

/// Processes one group of lanes after another.
async fn work<H: BatchHandler, D: DeadLetterSink, S: IdempotencyStore>(
    processor: Arc<RecordProcessor<H, D, S>>,
    batch: Arc<RunningBatch>,
    request_id: String,
) -> Vec<(usize, Disposition)> {
    let mut results = Vec::new();
    while let Some(lanes) = batch.next_group() {
        results.append(&mut LaneGroup::new(&processor, &batch, &request_id, lanes).run().await);
    }
    results
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_lanes_share_calls_and_large_ones_have_their_own() {
        let lanes = |sizes: &[usize]| sizes.iter().map(|size| vec![0; *size]).collect::<Vec<Lane>>();
        for (sizes, most, expected) in [
            (&[1, 1, 1][..], 1, vec![0..1, 1..2, 2..3]),
            (&[1, 1, 1], 2, vec![0..2, 2..3]),
            (&[50, 1, 1], 10, vec![0..1, 1..3]),
            (&[3, 3, 4, 1], 10, vec![0..3, 3..4]),
            (&[], 10, vec![]),
        ] {
            assert_eq!(share_calls(&lanes(sizes), most), expected, "{sizes:?} in calls of {most}");
        }
    }
}
