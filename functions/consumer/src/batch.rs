//! A whole batch: event in, lanes, outcomes, answer out.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use lambda_runtime::Diagnostic;
use msk_shared::deadline::Deadline;
use msk_shared::event::{BatchResponse, EventError, MskEvent, Record, RecordId, Unreportable};
use msk_shared::telemetry::EmfLine;
use msk_shared::trace_parent::TraceParent;
use tokio::task::JoinSet;
use tracing::Instrument;

use crate::attempt::{Attempts, Parts, Run, Settled};
use crate::config::BatchSettings;
use crate::dead_letter::DeadLetter;
use crate::handler::RecordHandler;
use crate::idempotency::IdempotencyStore;
use crate::lanes::{self, Lane};
use crate::metrics::{self, Tally};

/// What Lambda says of an invocation.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// Lambda's id of it: the one in its own log lines.
    pub request_id: String,
    /// When Lambda ends it; `None` when not known.
    pub deadline: Option<Deadline>,
}

impl Invocation {
    /// Of Lambda's context. A deadline in the past, as `cargo lambda watch` sends, means that it is not known.
    pub fn new(request_id: &str, deadline: SystemTime) -> Self {
        Self { request_id: request_id.to_owned(), deadline: Deadline::from_lambda(deadline) }
    }
}

/// Why an invocation fails. AWS then retries the whole batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvocationError {
    /// The payload is no MSK event.
    #[error(transparent)]
    Event(#[from] EventError),
    /// Records failed, and the mapping would take a batch response for success.
    #[error(
        "{failed} of {received} records failed, the first is {first}; the whole batch is retried because REPORT_BATCH_ITEM_FAILURES is not true"
    )]
    RecordsFailed {
        /// Records to be sent again.
        failed: usize,
        /// Records of the batch.
        received: usize,
        /// The first of the failed.
        first: RecordId,
    },
    /// A failed record cannot be named in a batch response.
    #[error(transparent)]
    Unreportable(#[from] Unreportable),
}

/// The one place that maps failures to Lambda's diagnostics.
impl From<InvocationError> for Diagnostic {
    fn from(error: InvocationError) -> Self {
        let error_type = match error {
            InvocationError::Event(_) => "NotAnMskEvent",
            InvocationError::RecordsFailed { .. } => "RecordsFailed",
            InvocationError::Unreportable(_) => "RecordNotReportable",
        };
        Self { error_type: error_type.to_owned(), error_message: error.to_string() }
    }
}

/// What a batch came to.
#[derive(Debug)]
pub struct Processed {
    /// The answer to the event source mapping.
    pub answer: Result<BatchResponse, InvocationError>,
    /// The batch's metrics, to be emitted; none for a payload that is no MSK event.
    pub metrics: Option<EmfLine>,
}

/// Processes batches with a handler, a dead letter and an idempotency store.
#[derive(Debug)]
pub struct BatchProcessor<H, D, S> {
    parts: Arc<Parts<H, D, S>>,
}

/// A batch while its lanes run.
struct Batch {
    event: MskEvent,
    /// Group and place within it, by position in the event.
    places: Vec<(usize, usize)>,
    lanes: Vec<Lane>,
    /// The next lane that no worker has taken.
    next_lane: AtomicUsize,
    run: Run,
}

impl<H: RecordHandler, D: DeadLetter, S: IdempotencyStore> BatchProcessor<H, D, S> {
    /// A processor for as long as the process lives.
    pub fn new(handler: H, dead_letter: D, store: S, settings: BatchSettings) -> Self {
        Self { parts: Arc::new(Parts { handler, dead_letter, store, settings, attempts: Attempts::default() }) }
    }

    /// The handler, for tests that look at its effects.
    pub fn handler(&self) -> &H {
        &self.parts.handler
    }

    /// The dead letter.
    pub fn dead_letter(&self) -> &D {
        &self.parts.dead_letter
    }

    /// The idempotency store.
    pub fn store(&self) -> &S {
        &self.parts.store
    }

    /// Processes one invocation's payload.
    pub async fn process(&self, payload: impl Into<Bytes>, invocation: &Invocation) -> Processed {
        let span = tracing::info_span!("invocation", request_id = invocation.request_id);
        let processed = self.process_payload(payload.into(), invocation).instrument(span.clone()).await;
        if let Err(error) = &processed.answer {
            span.in_scope(|| tracing::error!(error = error.to_string(), "the invocation fails"));
        }
        processed
    }

    async fn process_payload(&self, payload: Bytes, invocation: &Invocation) -> Processed {
        let started = Instant::now();
        let bytes = payload.len();
        let event = match MskEvent::parse(payload) {
            Ok(event) => event,
            Err(error) => return Processed { answer: Err(error.into()), metrics: None },
        };
        let settings = &self.parts.settings;
        let batch = Arc::new(Batch::new(event, settings, invocation.deadline));
        let settled = self.run_lanes(&batch, &invocation.request_id).await;
        let tally = Tally::of(&settled);
        if settled.iter().all(|one| *one == Settled::Unprocessed) && !settled.is_empty() {
            tracing::error!(
                guard_ms = settings.deadline_guard.as_millis() as u64,
                "no record was started: the function's timeout must be well above the deadline guard"
            );
        }
        let metrics = metrics::line(
            &settings.metrics_namespace,
            &invocation.request_id,
            &batch.event,
            tally,
            bytes,
            started.elapsed(),
        );
        Processed { answer: answer(&batch.event, &settled, settings.partial_batch), metrics: Some(metrics) }
    }

    /// What became of each record, by position.
    async fn run_lanes(&self, batch: &Arc<Batch>, request_id: &str) -> Vec<Settled> {
        let mut settled = vec![Settled::Unprocessed; batch.places.len()];
        let mut workers = JoinSet::new();
        for _ in 0..self.parts.settings.concurrency.get().min(batch.lanes.len()) {
            let work = work(Arc::clone(&self.parts), Arc::clone(batch), request_id.to_owned());
            workers.spawn(work.in_current_span());
        }
        while let Some(worker) = workers.join_next().await {
            match worker {
                Ok(results) => results.into_iter().for_each(|(index, one)| settled[index] = one),
                // Only a panic of the store can do that; its records count as not processed.
                Err(_) => tracing::error!("a lane ended early; its records will be retried"),
            }
        }
        settled
    }
}

/// Takes lane after lane. A failure ends its lane: the later records must not overtake the failed one.
async fn work<H: RecordHandler, D: DeadLetter, S: IdempotencyStore>(
    parts: Arc<Parts<H, D, S>>,
    batch: Arc<Batch>,
    request_id: String,
) -> Vec<(usize, Settled)> {
    let mut results = Vec::new();
    while let Some(lane) = batch.lanes.get(batch.next_lane.fetch_add(1, Relaxed)) {
        for &index in lane {
            if !batch.run.may_start() {
                break;
            }
            let record = batch.record(index);
            let span = record_span(record, &request_id);
            let settled = parts.settle(record, &batch.run).instrument(span).await;
            results.push((index, settled));
            if settled.is_reported() {
                break;
            }
        }
    }
    results
}

/// The context of a record's log lines.
fn record_span(record: &Record, request_id: &str) -> tracing::Span {
    let span = tracing::info_span!("record", request_id, record = %record.id(), traceparent = tracing::field::Empty);
    if let Some(parent) = record.header("traceparent").and_then(TraceParent::parse) {
        span.record("traceparent", parent.as_str());
    }
    span
}

impl Batch {
    fn new(event: MskEvent, settings: &BatchSettings, deadline: Option<Deadline>) -> Self {
        let groups = event.partitions.iter().enumerate();
        let places = groups.flat_map(|(group, of)| (0..of.records.len()).map(move |place| (group, place))).collect();
        let lanes = lanes::split(&event, settings.ordering);
        let run = Run::new(deadline, settings.deadline_guard);
        Self { event, places, lanes, next_lane: AtomicUsize::new(0), run }
    }

    fn record(&self, index: usize) -> &Record {
        let (group, place) = self.places[index];
        &self.event.partitions[group].records[place]
    }
}

fn answer(event: &MskEvent, settled: &[Settled], partial_batch: bool) -> Result<BatchResponse, InvocationError> {
    let failed = settled.iter().filter(|one| one.is_reported()).count();
    let first = event.records().zip(settled).find(|(_, one)| one.is_reported()).map(|(record, _)| record.id());
    match first {
        None => Ok(BatchResponse::all_done()),
        Some(_) if partial_batch => Ok(BatchResponse::reporting(event, |index, _| settled[index].is_reported())?),
        Some(first) => Err(InvocationError::RecordsFailed { failed, received: settled.len(), first }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_deadline_in_the_past_is_not_known() {
        assert!(Invocation::new("r", SystemTime::UNIX_EPOCH + Duration::from_secs(600)).deadline.is_none());
        assert!(Invocation::new("r", SystemTime::now() + Duration::from_secs(5)).deadline.is_some());
    }
}
