//! What goes wrong, and how the caller learns of it: RFC 9457 problem documents that also carry the fields which clients of
//! Confluent (`error_code`, `message`) and Strimzi (`validation_errors`) read. The one place that maps causes to HTTP.

use axum::response::{IntoResponse, Response};
use http::header::{ACCEPT, ACCEPT_ENCODING, CONNECTION, HeaderName, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use msk_shared::kafka::{FailureCause, Persisted, PublishFailure, PublishResult};
use serde::Serialize;

use super::answer::{self, KAFKA_REST_JSON, KAFKA_REST_V1_JSON};
use super::failure_text::{failure_text, refused_records};
use crate::config::Compatibility;
use crate::record_result::{DeliveryResults, RecordResult, persisted_word};
use crate::request::content_encoding::ACCEPTED_CODINGS;
use crate::request::faults::{Fault, FaultKind, Faults, Oversize, Places};

/// A kind of failure as a caller sees it: one status, one `error_code`, one page in the docs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProblemKind {
    Malformed,
    /// The body did not come in time.
    TooSlow,
    /// The caller is not among the topic's principals.
    TopicForbidden,
    RouteNotFound,
    TopicNotFound,
    PartitionNotFound,
    MethodNotAllowed,
    TooLarge,
    UnsupportedMediaType,
    Invalid,
    RecordCount,
    Busy,
    /// A fault of this program.
    Internal,
    /// Nothing was written, and will not be.
    Unavailable,
    /// May have been written.
    Unacknowledged,
}

/// One row of the API's table of errors.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The name of the kind's section in `docs/http-api.md`.
    pub slug: &'static str,
    pub(crate) title: &'static str,
    pub status: StatusCode,
    /// The code that Confluent's clients read.
    pub error_code: u32,
    /// Whether the same request may succeed later.
    pub retriable: bool,
    pub(crate) retry_after_s: Option<&'static str>,
}

/// A row that a retry without a change does not help.
const fn fault(slug: &'static str, title: &'static str, status: StatusCode, error_code: u32) -> Row {
    Row { slug, title, status, error_code, retriable: false, retry_after_s: None }
}

/// A row that a retry may help.
const fn passing(slug: &'static str, title: &'static str, status: StatusCode, error_code: u32) -> Row {
    Row { slug, title, status, error_code, retriable: true, retry_after_s: None }
}

impl Row {
    const fn after(self, seconds: &'static str) -> Self {
        Self { retry_after_s: Some(seconds), ..self }
    }
}

impl ProblemKind {
    /// All kinds, in the order of the documentation.
    pub const ALL: [Self; 15] = [
        Self::Malformed,
        Self::TooSlow,
        Self::TopicForbidden,
        Self::RouteNotFound,
        Self::TopicNotFound,
        Self::PartitionNotFound,
        Self::MethodNotAllowed,
        Self::TooLarge,
        Self::UnsupportedMediaType,
        Self::Invalid,
        Self::RecordCount,
        Self::Busy,
        Self::Internal,
        Self::Unavailable,
        Self::Unacknowledged,
    ];

    /// How callers see a failure of this kind.
    pub const fn row(self) -> Row {
        use StatusCode as S;
        match self {
            Self::Malformed => fault("malformed", "The request does not decode", S::BAD_REQUEST, 400),
            Self::TooSlow => passing("too-slow", "The request came too slowly", S::REQUEST_TIMEOUT, 408),
            Self::TopicForbidden => fault("topic-forbidden", "Not this caller's topic", S::FORBIDDEN, 40301),
            Self::RouteNotFound => fault("route-not-found", "No such route", S::NOT_FOUND, 404),
            Self::TopicNotFound => fault("topic-not-found", "No such topic", S::NOT_FOUND, 40401),
            Self::PartitionNotFound => fault("partition-not-found", "No such partition", S::NOT_FOUND, 40402),
            Self::MethodNotAllowed => fault("method-not-allowed", "Method not allowed", S::METHOD_NOT_ALLOWED, 405),
            Self::TooLarge => fault("too-large", "Too large", S::PAYLOAD_TOO_LARGE, 413),
            Self::UnsupportedMediaType => {
                fault("unsupported-media-type", "Unsupported media type", S::UNSUPPORTED_MEDIA_TYPE, 415)
            }
            Self::Invalid => fault("invalid", "The request is not valid", S::UNPROCESSABLE_ENTITY, 42206),
            Self::RecordCount => fault("record-count", "No record, or too many", S::UNPROCESSABLE_ENTITY, 42208),
            Self::Busy => passing("busy", "Too many requests", S::TOO_MANY_REQUESTS, 42901).after("1"),
            Self::Internal => fault("internal", "Internal error", S::INTERNAL_SERVER_ERROR, 500),
            Self::Unavailable => {
                passing("unavailable", "The cluster cannot be written now", S::SERVICE_UNAVAILABLE, 50302).after("2")
            }
            Self::Unacknowledged => passing("unacknowledged", "Not acknowledged in time", S::GATEWAY_TIMEOUT, 50003),
        }
    }

    /// How a record's failure is reported. What may have been written is a 504 whatever the cause: only then does a caller
    /// risk a duplicate by sending it again.
    pub fn for_failure(failure: &PublishFailure) -> Self {
        if failure.persisted == Persisted::Unknown {
            return Self::Unacknowledged;
        }
        match failure.cause {
            FailureCause::QueueFull | FailureCause::Throttled => Self::Busy,
            FailureCause::RecordTooLarge => Self::TooLarge,
            FailureCause::PartitionMissing => Self::PartitionNotFound,
            FailureCause::KeyMissing | FailureCause::TimestampOutOfRange | FailureCause::Rejected => Self::Invalid,
            FailureCause::NoTimeLeft
            | FailureCause::CircuitOpen
            | FailureCause::TopicMissing
            | FailureCause::BrokersUnreachable
            | FailureCause::NotEnoughReplicas
            | FailureCause::TimedOut
            // Our own credentials: never a 401 or 403, which would blame the caller's.
            | FailureCause::Authentication
            | FailureCause::TopicAuthorization
            | FailureCause::ClusterAuthorization
            | FailureCause::Fatal
            | FailureCause::BatchRefused
            | FailureCause::Overtaken
            | FailureCause::Other(_) => Self::Unavailable,
        }
    }

    /// How severe a record's failure is when it decides a whole request's status: 504, 503, 429, 413, then the rest.
    pub(crate) fn severity(self) -> u16 {
        match self.row().status {
            StatusCode::GATEWAY_TIMEOUT => 5,
            StatusCode::SERVICE_UNAVAILABLE => 4,
            StatusCode::TOO_MANY_REQUESTS => 3,
            StatusCode::PAYLOAD_TOO_LARGE => 2,
            _ => 1,
        }
    }
}

/// One record's result, as answers show it; `size` is the record's, `limit` the topic's if it is known, in bytes.
fn record_result(result: &PublishResult, size: usize, limit: Option<usize>) -> RecordResult {
    match result {
        Ok(delivery) => RecordResult::written(delivery),
        Err(failure) => {
            let Row { error_code, retriable, .. } = ProblemKind::for_failure(failure).row();
            let result = RecordResult::failed(error_code, failure_text(failure), retriable, failure.persisted);
            if failure.cause == FailureCause::RecordTooLarge { result.with_sizes(limit, size) } else { result }
        }
    }
}

/// Every record's result, as answers show it.
pub(crate) fn record_results(DeliveryResults { sizes, results, limit_bytes }: &DeliveryResults) -> Vec<RecordResult> {
    results.iter().zip(sizes).map(|(result, size)| record_result(result, *size, *limit_bytes)).collect()
}

/// A failed request.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    kind: ProblemKind,
    detail: String,
    /// The places that are wrong.
    errors: Vec<Fault>,
    persisted: Persisted,
    limit_bytes: Option<usize>,
    actual_bytes: Option<usize>,
    /// The record that the problem is about.
    index: Option<usize>,
    offsets: Option<Vec<RecordResult>>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem before anything was written.
    pub(crate) fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            errors: Vec::new(),
            persisted: Persisted::No,
            limit_bytes: None,
            actual_bytes: None,
            index: None,
            offsets: None,
            headers: Vec::new(),
        }
    }

    /// The problem of a question to the cluster that failed.
    pub(crate) fn for_failure(failure: &PublishFailure) -> Self {
        Self { persisted: failure.persisted, ..Self::new(ProblemKind::for_failure(failure), failure_text(failure)) }
    }

    /// The problem of the one record of a request, which could not be written.
    pub(crate) fn for_message(failure: &PublishFailure, size: usize, limit: Option<usize>) -> Self {
        let errors = refused_records(Places::Message, std::slice::from_ref(&Err(*failure)));
        Self { errors, ..Self::for_record(failure, size, limit) }
    }

    /// The problem of a record of this many bytes that could not be written; `limit` is the topic's, if it is known.
    fn for_record(failure: &PublishFailure, size: usize, limit: Option<usize>) -> Self {
        let is_too_large = failure.cause == FailureCause::RecordTooLarge;
        let (limit_bytes, actual_bytes) = (limit.filter(|_| is_too_large), is_too_large.then_some(size));
        Self { limit_bytes, actual_bytes, ..Self::for_failure(failure) }
    }

    /// The problem of a request of which no record was written, with every record's result: the first of the most severe
    /// failures decides, and `errors` names the records that the cluster refuses.
    pub(crate) fn for_results(places: Places, delivered: &DeliveryResults) -> Self {
        let DeliveryResults { sizes, results, limit_bytes } = delivered;
        let failures =
            || results.iter().zip(sizes).enumerate().filter_map(|(i, (r, size))| Some((i, size, r.as_ref().err()?)));
        let offsets = Some(record_results(delivered));
        let errors = refused_records(places, results);
        let persisted = failures().map(|(.., failure)| failure.persisted).max().unwrap_or(Persisted::Unknown);
        let most_severe = failures().rev().max_by_key(|(.., failure)| ProblemKind::for_failure(failure).severity());
        let problem = match most_severe {
            Some((index, size, failure)) => {
                let index = (failure.cause == FailureCause::RecordTooLarge).then_some(index);
                Self { index, ..Self::for_record(failure, *size, *limit_bytes) }
            }
            // The publisher gives one result per record, and a request has at least one.
            None => Self::new(ProblemKind::Internal, "the delivery results of the records are unknown"),
        };
        Self { persisted, offsets, errors, ..problem }
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: &'static str) -> Self {
        self.headers.push((name, HeaderValue::from_static(value)));
        self
    }

    /// Says that records may have been written.
    pub(crate) fn possibly_persisted(self) -> Self {
        Self { persisted: Persisted::Unknown, ..self }
    }

    /// The answer: the document, under a media type.
    pub(crate) fn render(&self, request_id: &str, trace_id: Option<&str>, media_type: &'static str) -> Response {
        let row = self.kind.row();
        let document = Document {
            r#type: format!("{DOCS}#{}", row.slug),
            title: row.title,
            status: row.status.as_u16(),
            detail: &self.detail,
            instance: request_id,
            error_code: row.error_code,
            message: &self.detail,
            errors: self.errors.iter().map(FieldError::from).collect(),
            validation_errors: self.errors.iter().map(ToString::to_string).collect(),
            // The same record with the same `Idempotency-Key` is safe to send again, and may be missing if it is not.
            retriable: row.retriable || self.persisted == Persisted::Unknown,
            persisted: persisted_word(self.persisted),
            request_id,
            trace_id,
            limit_bytes: self.limit_bytes,
            actual_bytes: self.actual_bytes,
            index: self.index,
            offsets: self.offsets.as_deref(),
        };
        let mut response = answer::json(row.status, media_type, &document);
        let headers = response.headers_mut();
        headers.extend(row.retry_after_s.map(|seconds| (RETRY_AFTER, HeaderValue::from_static(seconds))));
        headers.extend(self.headers.iter().cloned());
        response
    }
}

/// Says which media types a resource accepts in a POST (LDP 7.1; the `http` crate has no constant).
const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");

impl From<Faults> for Problem {
    fn from(faults: Faults) -> Self {
        let problem = |kind| Self::new(kind, faults.summary());
        let problem = match faults.kind {
            FaultKind::Malformed => problem(ProblemKind::Malformed),
            // RFC 9110, 15.5.9: the connection is of no further use.
            FaultKind::TooSlow => problem(ProblemKind::TooSlow).with_header(CONNECTION, "close"),
            FaultKind::MediaType(accepted) => {
                problem(ProblemKind::UnsupportedMediaType).with_header(ACCEPT_POST, accepted)
            }
            // RFC 9110, 15.5.16: Accept-Encoding in a 415 says which codings would have been accepted.
            FaultKind::ContentEncoding => {
                problem(ProblemKind::UnsupportedMediaType).with_header(ACCEPT_ENCODING, ACCEPTED_CODINGS)
            }
            FaultKind::Invalid => problem(ProblemKind::Invalid),
            FaultKind::RecordCount => problem(ProblemKind::RecordCount),
            FaultKind::TooLarge => problem(ProblemKind::TooLarge),
            FaultKind::PartitionNotFound => problem(ProblemKind::PartitionNotFound),
        };
        let (limit_bytes, actual_bytes, index) = match faults.oversize {
            Some(Oversize { limit_bytes, actual_bytes, index }) => (Some(limit_bytes), Some(actual_bytes), index),
            None => (None, None, None),
        };
        let errors = faults.named.into_iter().filter(|fault| fault.pointer.is_some()).collect();
        Self { errors, limit_bytes, actual_bytes, index, ..problem }
    }
}

/// A handler's problem travels as an extension of the response to the middleware, which renders it.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.kind.row().status.into_response();
        response.extensions_mut().insert(std::sync::Arc::new(self));
        response
    }
}

pub(crate) const DOCS: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/docs/http-api.md");
/// RFC 9457.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// The media type of a problem document: Kafka REST's if the caller asks for it, v1's in the compatible mode only.
pub(crate) fn media_type_for(headers: &HeaderMap, compatibility: Compatibility) -> &'static str {
    let known: &[&'static str] = match compatibility {
        Compatibility::Strict => &[KAFKA_REST_JSON],
        Compatibility::Confluent => &[KAFKA_REST_JSON, KAFKA_REST_V1_JSON],
    };
    let mut ranges = headers.get_all(ACCEPT).iter().flat_map(|value| value.to_str().unwrap_or_default().split(','));
    let asked_for = ranges.find_map(|range| {
        let range = range.split(';').next()?.trim();
        known.iter().find(|media_type| range.eq_ignore_ascii_case(media_type))
    });
    asked_for.copied().unwrap_or(PROBLEM_JSON)
}

/// One place that is wrong.
#[derive(Serialize)]
struct FieldError<'a> {
    pointer: &'a str,
    detail: &'a str,
}

impl<'a> From<&'a Fault> for FieldError<'a> {
    fn from(fault: &'a Fault) -> Self {
        Self { pointer: fault.pointer.as_deref().unwrap_or_default(), detail: &fault.detail }
    }
}

#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    instance: &'a str,
    error_code: u32,
    message: &'a str,
    errors: Vec<FieldError<'a>>,
    validation_errors: Vec<String>,
    retriable: bool,
    persisted: &'a str,
    request_id: &'a str,
    trace_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit_bytes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actual_bytes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offsets: Option<&'a [RecordResult]>,
}
