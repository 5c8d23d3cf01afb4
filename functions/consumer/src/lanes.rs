//! Lanes: which records of a batch must be handled one after the other, and running the lanes concurrently.

use std::collections::HashMap;
use std::future::poll_fn;
use std::hash::Hash;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use msk_shared::event::{BrokenRecord, MskEvent, Record};
use msk_shared::telemetry::{hold_lines, record_span};
use tokio::task::JoinSet;
use tracing::Instrument;

pub use crate::config::Ordering;
use crate::dead_letters::DeadLetterSink;
use crate::handler::RecordHandler;
use crate::idempotency::IdempotencyStore;
use crate::processing::{Disposition, InvocationBudget, RecordProcessor};

/// The records of one lane, as positions in [`MskEvent::entries`], in the event's order.
pub type Lane = Vec<usize>;

/// Splits a batch into lanes, in the order of their first record. Each record is in one lane.
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

type Entry<'e> = Result<&'e Record, &'e BrokenRecord>;

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

/// A batch while its lanes run.
pub(crate) struct RunningBatch {
    pub(crate) event: MskEvent,
    /// Group and place within it, by position in the event.
    places: Vec<(usize, usize)>,
    lanes: Vec<Lane>,
    /// The next lane that no worker has started.
    next_lane: AtomicUsize,
    budget: InvocationBudget,
}

impl RunningBatch {
    pub(crate) fn new(event: MskEvent, ordering: Ordering, budget: InvocationBudget) -> Self {
        let groups = event.partitions.iter().enumerate();
        let places = groups.flat_map(|(group, of)| (0..of.records.len()).map(move |place| (group, place))).collect();
        let lanes = split(&event, ordering);
        Self { event, places, lanes, next_lane: AtomicUsize::new(0), budget }
    }

    fn entry(&self, index: usize) -> Entry<'_> {
        let (group, place) = self.places[index];
        self.event.partitions[group].records[place].as_ref()
    }
}

/// What became of each record, by position.
pub(crate) async fn run<H: RecordHandler, D: DeadLetterSink, S: IdempotencyStore>(
    processor: &Arc<RecordProcessor<H, D, S>>,
    batch: &Arc<RunningBatch>,
    request_id: &str,
) -> Vec<Disposition> {
    let mut dispositions = vec![Disposition::Unprocessed; batch.places.len()];
    let mut workers = JoinSet::new();
    for _ in 0..processor.settings.concurrency.get().min(batch.lanes.len()) {
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

/// Processes one lane after another. A failure ends its lane: later records must not overtake the failed one.
async fn work<H: RecordHandler, D: DeadLetterSink, S: IdempotencyStore>(
    processor: Arc<RecordProcessor<H, D, S>>,
    batch: Arc<RunningBatch>,
    request_id: String,
) -> Vec<(usize, Disposition)> {
    let mut results = Vec::new();
    while let Some(lane) = batch.lanes.get(batch.next_lane.fetch_add(1, Relaxed)) {
        for &index in lane {
            if !batch.budget.may_start() {
                break;
            }
            let entry = batch.entry(index);
            let span = match entry {
                Ok(record) => record_span(&request_id, &record.id(), record.header("traceparent")),
                Err(broken) => record_span(&request_id, broken.id(), broken.header("traceparent")),
            };
            let disposition = processor.settle(entry, &batch.budget).instrument(span).await;
            results.push((index, disposition));
            if disposition.is_reported() {
                break;
            }
        }
    }
    results
}
