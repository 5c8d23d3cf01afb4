//! How a record appears in logs: every line about a consumed record goes through here. Coordinates, type, size and trace are
//! shown; never its key, value or headers.

use std::fmt;

use tracing::Span;
use tracing::field::Empty;

use crate::event::Record;
use crate::trace_parent::TraceParent;

/// Longest `type` shown, in characters. Types are names such as `com.example.order.created`.
const LONGEST_TYPE: usize = 128;

/// The context of all log lines about one record. `record` is its identity; a `traceparent` is shown if it is valid.
///
/// ```
/// use msk_shared::event::Record;
/// use msk_shared::telemetry::record_span;
///
/// let record = Record::new("orders", 0, 7);
/// let span = record_span("request-1", &record.id(), record.header("traceparent"));
/// // The line names `orders-0@7` and the request.
/// span.in_scope(|| tracing::info!("stored"));
/// ```
pub fn record_span(request_id: &str, record: &dyn fmt::Display, traceparent: Option<&[u8]>) -> Span {
    let span = tracing::info_span!("record", request_id, %record, traceparent = Empty);
    if let Some(parent) = traceparent.and_then(TraceParent::parse) {
        span.record("traceparent", parent.as_str());
    }
    span
}

/// Logs one line with a record's coordinates and type. `bytes` is the size of its value.
///
/// ```
/// use msk_shared::event::Record;
/// use msk_shared::telemetry::log_record;
///
/// let record = Record::new("orders", 0, 7).with_value(Some("{}"));
/// log_record(&record, "order.placed", 2);
/// ```
pub fn log_record(record: &Record, kind: &str, bytes: usize) {
    let end = kind.char_indices().nth(LONGEST_TYPE).map_or(kind.len(), |(end, _)| end);
    tracing::info!(
        topic = record.topic(),
        partition = record.partition(),
        offset = record.offset(),
        "type" = &kind[..end],
        bytes,
        "record"
    );
}
