//! A whole batch: event in, answer out.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use lambda_runtime::Diagnostic;
use msk_shared::deadline::Deadline;
use msk_shared::event::{BatchResponse, EventError, MskEvent, Unreportable};
use msk_shared::telemetry::EmfLine;
use tracing::Instrument;

use crate::batch_handler::BatchHandler;
use crate::config::BatchSettings;
use crate::dead_letters::DeadLetterSink;
use crate::failure_counts::FailureCounts;
use crate::idempotency::IdempotencyStore;
use crate::lanes;
use crate::metrics::{self, Tally};
use crate::processing::{Disposition, InvocationBudget, RecordProcessor};

/// What Lambda says about an invocation.
///
/// ```
/// use std::time::{Duration, SystemTime};
///
/// use msk_consumer::InvocationContext;
///
/// let invocation = InvocationContext::new("request-1", SystemTime::now() + Duration::from_secs(30));
/// assert!(invocation.deadline.unwrap().remaining() <= Duration::from_secs(30));
/// assert!(InvocationContext::new("request-2", SystemTime::UNIX_EPOCH).deadline.is_none());
/// ```
#[derive(Debug, Clone)]
pub struct InvocationContext {
    /// Lambda's request id, as in Lambda's own log lines.
    pub request_id: String,
    /// When Lambda ends the invocation; `None` if unknown.
    pub deadline: Option<Deadline>,
}

impl InvocationContext {
    /// From Lambda's context. A deadline in the past, as `cargo lambda watch` sends, counts as unknown.
    pub fn new(request_id: &str, deadline: SystemTime) -> Self {
        Self { request_id: request_id.to_owned(), deadline: Deadline::from_lambda(deadline) }
    }
}

/// Why an invocation fails. AWS then retries the whole batch.
///
/// ```
/// use lambda_runtime::Diagnostic;
/// use msk_consumer::dead_letters::NoSink;
/// use msk_consumer::idempotency::MemoryStore;
/// use msk_consumer::{BatchProcessor, BatchSettings, DefaultHandler, InvocationContext, InvocationError};
///
/// # msk_shared::executor::with_threads(1)?.block_on(async {
/// let processor = BatchProcessor::new(DefaultHandler, NoSink, MemoryStore::default(), BatchSettings::default());
/// let invocation = InvocationContext { request_id: "test".to_owned(), deadline: None };
/// let error = processor.process(r#"{"orders": []}"#, &invocation).await.answer.unwrap_err();
/// assert!(matches!(error, InvocationError::Event(_)));
/// // What Lambda shows as `errorType`.
/// assert_eq!(Diagnostic::from(error).error_type, "NotAnMskEvent");
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvocationError {
    /// The payload is not an MSK event.
    #[error(transparent)]
    Event(#[from] EventError),
    /// Records failed, and the mapping would treat a batch response as success.
    #[error(
        "{failed} of {received} records failed, the first one is {first}; the whole batch is retried because REPORT_BATCH_ITEM_FAILURES is not true"
    )]
    RecordsFailed {
        /// Number of records to be redelivered.
        failed: usize,
        /// Number of records in the batch.
        received: usize,
        /// The first failed record, as `topic-partition@offset`.
        first: String,
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

/// The result of a batch.
///
/// ```
/// use msk_consumer::dead_letters::NoSink;
/// use msk_consumer::idempotency::MemoryStore;
/// use msk_consumer::{BatchProcessor, BatchSettings, DefaultHandler, InvocationContext};
/// use msk_shared::event::{MskEvent, Record, TombstoneStyle};
///
/// # msk_shared::executor::with_threads(1)?.block_on(async {
/// let settings = BatchSettings { report_batch_item_failures: true, ..BatchSettings::default() };
/// let processor = BatchProcessor::new(DefaultHandler, NoSink, MemoryStore::default(), settings);
/// let invocation = InvocationContext { request_id: "test".to_owned(), deadline: None };
/// let event = MskEvent::new([Record::new("orders", 0, 7).with_value(Some("no JSON"))]);
/// let processed = processor.process(event.to_json(TombstoneStyle::Null), &invocation).await;
/// assert_eq!(processed.answer.unwrap().failed().count(), 1);
/// assert_eq!(processed.metrics.unwrap().to_json()["RecordsPoisoned"], 1);
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Processed {
    /// The answer to the event source mapping.
    pub answer: Result<BatchResponse, InvocationError>,
    /// The batch's metrics, to be emitted; `None` for a payload that is not an MSK event.
    pub metrics: Option<EmfLine>,
}

/// Processes batches with a handler, a dead-letter sink and an idempotency store.
///
/// ```
/// use msk_consumer::dead_letters::NoSink;
/// use msk_consumer::idempotency::MemoryStore;
/// use msk_consumer::{BatchProcessor, BatchSettings, DefaultHandler, InvocationContext};
///
/// # msk_shared::executor::with_threads(1)?.block_on(async {
/// let event = r#"{"eventSource": "aws:kafka", "records": {"orders-0": [{"offset": 7, "value": "e30="}]}}"#;
/// let processor = BatchProcessor::new(DefaultHandler, NoSink, MemoryStore::default(), BatchSettings::default());
/// let invocation = InvocationContext { request_id: "test".to_owned(), deadline: None };
/// let processed = processor.process(event, &invocation).await;
/// assert!(processed.answer.unwrap().is_empty(), "no record failed");
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct BatchProcessor<H, D, S> {
    records: Arc<RecordProcessor<H, D, S>>,
}

impl<H: BatchHandler, D: DeadLetterSink, S: IdempotencyStore> BatchProcessor<H, D, S> {
    /// A processor that lasts as long as the process.
    pub fn new(handler: H, dead_letters: D, store: S, settings: BatchSettings) -> Self {
        let failures = FailureCounts::default();
        Self { records: Arc::new(RecordProcessor { handler, dead_letters, store, settings, failures }) }
    }

    /// The handler, for tests that check its effects.
    pub fn handler(&self) -> &H {
        &self.records.handler
    }

    /// Where dead letters go.
    pub fn dead_letters(&self) -> &D {
        &self.records.dead_letters
    }

    /// The idempotency store.
    pub fn store(&self) -> &S {
        &self.records.store
    }

    /// Processes one invocation's payload.
    pub async fn process(&self, payload: impl Into<Bytes>, invocation: &InvocationContext) -> Processed {
        let span = tracing::info_span!("invocation", request_id = invocation.request_id);
        let processed = self.process_payload(payload.into(), invocation).instrument(span.clone()).await;
        if let Err(error) = &processed.answer {
            span.in_scope(|| tracing::error!(error = error.to_string(), "the invocation failed"));
        }
        processed
    }

    async fn process_payload(&self, payload: Bytes, invocation: &InvocationContext) -> Processed {
        let started = Instant::now();
        let bytes = payload.len();
        let event = match MskEvent::parse(payload) {
            Ok(event) => event,
            Err(error) => return Processed { answer: Err(error.into()), metrics: None },
        };
        event.topics().for_each(|topic| self.records.dead_letters.note_source(topic));
        let settings = &self.records.settings;
        let budget = InvocationBudget::new(invocation.deadline, settings.min_time_to_start);
        let most = self.records.handler.max_records().get();
        let batch = Arc::new(lanes::prepare(event, settings.ordering, most, budget));
        let dispositions = lanes::run(&self.records, &batch, &invocation.request_id).await;
        let tally = Tally::new(&dispositions);
        if dispositions.iter().all(|one| *one == Disposition::Unprocessed) && !dispositions.is_empty() {
            tracing::error!(
                min_time_to_start_ms = settings.min_time_to_start.as_millis() as u64,
                "no record was started, because less time than min_time_to_start_ms was left; raise the function's timeout well above it"
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
        Processed {
            answer: answer(&batch.event, &dispositions, settings.report_batch_item_failures),
            metrics: Some(metrics),
        }
    }
}

fn answer(
    event: &MskEvent,
    dispositions: &[Disposition],
    report_batch_item_failures: bool,
) -> Result<BatchResponse, InvocationError> {
    let failed = dispositions.iter().filter(|one| one.is_reported()).count();
    let first = event.entries().zip(dispositions).find(|(_, one)| one.is_reported()).map(|(record, _)| record);
    match first {
        None => Ok(BatchResponse::all_done()),
        Some(_) if report_batch_item_failures => {
            Ok(BatchResponse::reporting(event, |index, _| dispositions[index].is_reported())?)
        }
        Some(first) => {
            let first = first.map_or_else(|broken| broken.id().to_string(), |record| record.id().to_string());
            Err(InvocationError::RecordsFailed { failed, received: dispositions.len(), first })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_deadline_in_the_past_is_not_known() {
        assert!(InvocationContext::new("r", SystemTime::UNIX_EPOCH + Duration::from_secs(600)).deadline.is_none());
        assert!(InvocationContext::new("r", SystemTime::now() + Duration::from_secs(5)).deadline.is_some());
    }
}
