//! Answers in the shapes of the v2 family: one result per record, and a status that says what happened.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, StatusCode};
use msk_shared::kafka::{FailureCause, OutboundRecord, Persisted, PublishResult};
use msk_shared::names::TopicName;
use serde::Serialize;

use crate::config::StatusMode;
use crate::problem::{Kind, Problem, V2_JSON, failure_text, persisted_word};

/// One record's result; its place in the list is the record's place in the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum RecordResult {
    /// Acknowledged by all in-sync replicas.
    Written {
        /// Partition.
        partition: i32,
        /// Offset.
        offset: i64,
        /// Stored timestamp, milliseconds since the epoch.
        timestamp: Option<i64>,
        /// Always null.
        error_code: Option<u32>,
        /// Always null.
        error: Option<&'static str>,
    },
    /// Not acknowledged. `error` and `message` say the same: Confluent's clients read one, Strimzi's the other.
    Failed {
        /// Always null.
        partition: Option<i32>,
        /// Always null.
        offset: Option<i64>,
        /// As in a problem document.
        error_code: u32,
        /// What happened.
        error: &'static str,
        /// What happened.
        message: &'static str,
        /// Whether the same record may succeed later.
        retriable: bool,
        /// `no` or `unknown`.
        persisted: &'static str,
    },
}

impl RecordResult {
    fn of(result: &PublishResult) -> Self {
        match result {
            Ok(delivery) => Self::Written {
                partition: delivery.partition,
                offset: delivery.offset,
                timestamp: delivery.timestamp_ms,
                error_code: None,
                error: None,
            },
            Err(failure) => {
                let kind = Kind::of_failure(failure);
                let text = failure_text(failure);
                Self::Failed {
                    partition: None,
                    offset: None,
                    error_code: kind.error_code(),
                    error: text,
                    message: text,
                    retriable: kind.retriable(),
                    persisted: persisted_word(failure.persisted),
                }
            }
        }
    }
}

/// The answer to a request whose records were all handed to the publisher.
///
/// # Errors
/// In strict mode, when no record was written: the gravest failure's problem, with every record's result.
pub(crate) fn of_results(
    mode: StatusMode,
    topic: &TopicName,
    request_id: &str,
    sizes: &[usize],
    results: &[PublishResult],
) -> Result<Response, Problem> {
    let offsets: Vec<RecordResult> = results.iter().map(RecordResult::of).collect();
    let failed = results.iter().filter(|result| result.is_err()).count();
    let status = match (failed, mode) {
        (0, _) | (_, StatusMode::Confluent) => StatusCode::OK,
        (failed, StatusMode::Strict) if failed < results.len() => StatusCode::MULTI_STATUS,
        (_, StatusMode::Strict) => return Err(none_written(sizes, results, offsets)),
    };
    let body = Answer { topic, request_id, offsets: &offsets, key_schema_id: None, value_schema_id: None };
    Ok(json(status, V2_JSON, &body))
}

/// The problem of a request of which no record was written.
fn none_written(sizes: &[usize], results: &[PublishResult], offsets: Vec<RecordResult>) -> Problem {
    let failures = || results.iter().enumerate().filter_map(|(i, r)| r.as_ref().err().map(|f| (i, f)));
    // The first of the gravest.
    let gravest = failures().rev().max_by_key(|(_, failure)| Kind::of_failure(failure).gravity());
    let persisted = failures().map(|(_, failure)| failure.persisted).max().unwrap_or(Persisted::No);
    match gravest {
        Some((index, failure)) => {
            let problem = Problem::of_record(failure, sizes.get(index).copied().unwrap_or_default());
            let is_about_one = failure.cause == FailureCause::RecordTooLarge;
            let problem = if is_about_one { problem.at_record(index) } else { problem };
            problem.with_offsets(persisted, offsets)
        }
        // The publisher gives one result per record and a request has at least one.
        None => {
            Problem::new(Kind::Internal, "the records' fate is not known").with_offsets(Persisted::Unknown, offsets)
        }
    }
}

/// Sizes of records before they are handed over, for the numbers of a 413.
pub(crate) fn sizes_of(records: &[OutboundRecord]) -> Vec<usize> {
    records.iter().map(OutboundRecord::size).collect()
}

#[derive(Serialize)]
struct Answer<'a> {
    topic: &'a TopicName,
    request_id: &'a str,
    offsets: &'a [RecordResult],
    key_schema_id: Option<u32>,
    value_schema_id: Option<u32>,
}

/// An answer with a JSON body.
pub(crate) fn json(status: StatusCode, media_type: &'static str, body: &impl Serialize) -> Response {
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(media_type))]);
    (status, headers, json_body(body)).into_response()
}

/// A value as a JSON body.
pub(crate) fn json_body(value: &impl Serialize) -> Body {
    // Only a map with keys other than strings, or a failing `Serialize`, can fail; none of this crate's answers is one.
    Body::from(serde_json::to_vec(value).unwrap_or_default())
}
