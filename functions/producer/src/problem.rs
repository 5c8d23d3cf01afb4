//! What goes wrong, and how it is told: RFC 9457 problem documents that also carry the fields which clients of
//! Confluent (`error_code`, `message`) and Strimzi (`validation_errors`) read. The one place that maps causes to HTTP.

use axum::response::{IntoResponse, Response};
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use msk_shared::kafka::{FailureCause, Persisted, PublishFailure};
use serde::Serialize;

use crate::answer::RecordResult;

/// A kind of failure as a caller sees it: one status, one `error_code`, one page in the docs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Bytes that do not decode.
    Malformed,
    /// No such route.
    RouteNotFound,
    /// The topic is not in `TOPICS`.
    TopicNotFound,
    /// The topic has no such partition.
    PartitionNotFound,
    /// The route has no such method.
    MethodNotAllowed,
    /// The request or a record is too large.
    TooLarge,
    /// Media type or content encoding.
    UnsupportedMediaType,
    /// Wrong shape, or against the topic's policy.
    Invalid,
    /// No record, or too many.
    RecordCount,
    /// The local queue or the broker's quota.
    Busy,
    /// The cluster cannot be written now; surely nothing was written.
    Unavailable,
    /// Not acknowledged in time; may have been written.
    Unacknowledged,
    /// A fault of this program.
    Internal,
}

/// One row of the API's table of errors.
struct Row {
    slug: &'static str,
    title: &'static str,
    status: StatusCode,
    error_code: u32,
    retriable: bool,
    retry_after_s: Option<&'static str>,
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

impl Kind {
    /// All kinds, in the order of the documentation.
    pub const ALL: [Self; 13] = [
        Self::Malformed,
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

    const fn row(self) -> Row {
        use StatusCode as S;
        match self {
            Self::Malformed => fault("malformed", "The request does not decode", S::BAD_REQUEST, 400),
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

    /// The HTTP status.
    pub const fn status(self) -> StatusCode {
        self.row().status
    }

    /// The code that clients of the Confluent family read.
    pub const fn error_code(self) -> u32 {
        self.row().error_code
    }

    /// Whether the same request may succeed later.
    pub const fn retriable(self) -> bool {
        self.row().retriable
    }

    /// The name of the kind's section in `docs/http-api.md`.
    pub const fn slug(self) -> &'static str {
        self.row().slug
    }

    /// How a record's failure is told. What may have been written is a 504 whatever the cause: only then does a caller
    /// have to fear a duplicate.
    pub fn of_failure(failure: &PublishFailure) -> Self {
        if failure.persisted == Persisted::Unknown {
            return Self::Unacknowledged;
        }
        match failure.cause {
            FailureCause::QueueFull | FailureCause::Throttled => Self::Busy,
            FailureCause::RecordTooLarge => Self::TooLarge,
            FailureCause::PartitionMissing => Self::PartitionNotFound,
            FailureCause::Rejected => Self::Invalid,
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
            | FailureCause::Other(_) => Self::Unavailable,
        }
    }

    /// How grave a record's failure is when it decides a whole request's status: 504, 503, 429, 413, then the rest.
    pub(crate) fn gravity(self) -> u16 {
        match self.status() {
            StatusCode::GATEWAY_TIMEOUT => 5,
            StatusCode::SERVICE_UNAVAILABLE => 4,
            StatusCode::TOO_MANY_REQUESTS => 3,
            StatusCode::PAYLOAD_TOO_LARGE => 2,
            _ => 1,
        }
    }
}

/// What a caller is told about a record's failure: never library output, host names, tokens or bodies.
pub(crate) fn failure_text(failure: &PublishFailure) -> &'static str {
    match (failure.cause, failure.persisted) {
        (FailureCause::NoTimeLeft, _) => "too little time was left to write; nothing was sent",
        (FailureCause::CircuitOpen, _) => "the cluster has not answered lately; nothing was sent",
        (FailureCause::QueueFull, _) => "too many records are waiting to be sent; nothing of this record was sent",
        (FailureCause::Throttled, _) => "the cluster's quota is used up",
        (FailureCause::RecordTooLarge, _) => "the record is larger than the cluster takes",
        (FailureCause::TopicMissing, _) => "the topic is configured here but the cluster does not have it",
        (FailureCause::PartitionMissing, _) => "the topic has no such partition",
        (FailureCause::Rejected, _) => "the cluster refuses the record itself, for example its timestamp",
        (FailureCause::Authentication, _) => "the cluster refused this service's credentials",
        (FailureCause::TopicAuthorization | FailureCause::ClusterAuthorization, _) => {
            "the cluster does not permit this service to write"
        }
        (FailureCause::NotEnoughReplicas, Persisted::No) => "too few in-sync replicas; the record was not written",
        (FailureCause::NotEnoughReplicas, Persisted::Unknown) => {
            "written, but not to enough replicas; it may be lost or kept"
        }
        (FailureCause::BrokersUnreachable, Persisted::No) => "no broker could be reached; the record was not written",
        (FailureCause::TimedOut, Persisted::No) => "not accepted by the cluster in time; the record was not written",
        (_, Persisted::No) => "the record was not written",
        (_, Persisted::Unknown) => "no acknowledgement in time; the record may have been written",
    }
}

/// `persisted` as the API writes it.
pub(crate) fn persisted_word(persisted: Persisted) -> &'static str {
    match persisted {
        Persisted::No => "no",
        Persisted::Unknown => "unknown",
    }
}

/// One place that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// A JSON pointer into the body (RFC 6901), or the name of a header or query parameter.
    pub pointer: String,
    /// What is wrong and what to change.
    pub detail: String,
}

impl std::fmt::Display for FieldError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The empty pointer is the whole body.
        match self.pointer.as_str() {
            "" => f.write_str(&self.detail),
            pointer => write!(f, "{pointer}: {}", self.detail),
        }
    }
}

/// A failed request.
#[derive(Debug, Clone)]
pub struct Problem {
    /// Which failure.
    pub kind: Kind,
    /// One sentence for a human.
    pub detail: String,
    errors: Vec<FieldError>,
    persisted: Persisted,
    sizes: Option<(Option<usize>, usize)>,
    index: Option<usize>,
    offsets: Option<Vec<RecordResult>>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem before anything was written.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            errors: Vec::new(),
            persisted: Persisted::No,
            sizes: None,
            index: None,
            offsets: None,
            headers: Vec::new(),
        }
    }

    /// The problem of a record of this size that could not be written.
    pub(crate) fn of_record(failure: &PublishFailure, size: usize) -> Self {
        let mut problem = Self::of_failure(failure);
        if failure.cause == FailureCause::RecordTooLarge {
            // The limit is the cluster's, which does not name it.
            problem.sizes = Some((None, size));
        }
        problem
    }

    /// The problem of a question to the cluster that failed.
    pub fn of_failure(failure: &PublishFailure) -> Self {
        Self { persisted: failure.persisted, ..Self::new(Kind::of_failure(failure), failure_text(failure)) }
    }

    /// Adds a header to the answer.
    pub(crate) fn with_header(mut self, name: HeaderName, value: &'static str) -> Self {
        self.headers.push((name, HeaderValue::from_static(value)));
        self
    }

    /// Names the places that are wrong.
    pub(crate) fn with_errors(mut self, errors: Vec<FieldError>) -> Self {
        self.errors = errors;
        self
    }

    /// Gives the numbers of a 413.
    pub(crate) fn with_sizes(mut self, limit_bytes: usize, actual_bytes: usize) -> Self {
        self.sizes = Some((Some(limit_bytes), actual_bytes));
        self
    }

    /// Says that records may have been written.
    pub(crate) fn perhaps_written(mut self) -> Self {
        self.persisted = Persisted::Unknown;
        self
    }

    /// Says which record the problem is about.
    pub(crate) fn at_record(mut self, index: usize) -> Self {
        self.index = Some(index);
        self
    }

    /// Adds what became of each record.
    pub(crate) fn with_offsets(mut self, persisted: Persisted, offsets: Vec<RecordResult>) -> Self {
        self.persisted = persisted;
        self.offsets = Some(offsets);
        self
    }

    /// The answer: the document under `application/problem+json`, or under the v2 family's type when `accept` asks for it.
    pub(crate) fn render(&self, request_id: &str, trace_id: Option<&str>, accept: &HeaderMap) -> Response {
        let row = self.kind.row();
        let document = Document {
            r#type: format!("{DOCS}#{}", row.slug),
            title: row.title,
            status: row.status.as_u16(),
            detail: &self.detail,
            instance: request_id,
            error_code: row.error_code,
            message: &self.detail,
            errors: &self.errors,
            validation_errors: self.errors.iter().map(ToString::to_string).collect(),
            // The same record with the same `Idempotency-Key` is safe to send again, and may be missing if it is not.
            retriable: row.retriable || self.persisted == Persisted::Unknown,
            persisted: persisted_word(self.persisted),
            request_id,
            trace_id,
            limit_bytes: self.sizes.and_then(|(limit, _)| limit),
            actual_bytes: self.sizes.map(|(_, actual)| actual),
            index: self.index,
            offsets: self.offsets.as_deref(),
        };
        let media_type = if accepts_v2(accept) { V2_JSON } else { PROBLEM_JSON };
        let mut response = (row.status, crate::answer::json_body(&document)).into_response();
        let headers = response.headers_mut();
        headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        if let Some(seconds) = row.retry_after_s {
            headers.insert(http::header::RETRY_AFTER, HeaderValue::from_static(seconds));
        }
        headers.extend(self.headers.iter().map(|(name, value)| (name.clone(), value.clone())));
        response
    }
}

/// A handler's problem travels as an extension of the response; the outermost layer, which knows the request's id and
/// what it accepts, renders it (`router::finish`).
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.kind.status().into_response();
        response.extensions_mut().insert(std::sync::Arc::new(self));
        response
    }
}

const DOCS: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/docs/http-api.md");
/// RFC 9457.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";
/// The v2 family's type for answers.
pub(crate) const V2_JSON: &str = "application/vnd.kafka.v2+json";

fn accepts_v2(headers: &HeaderMap) -> bool {
    headers.get_all(http::header::ACCEPT).iter().any(|value| {
        let ranges = value.to_str().unwrap_or_default().split(',');
        ranges.map(|range| range.split(';').next().unwrap_or_default().trim()).any(|r| r.eq_ignore_ascii_case(V2_JSON))
    })
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
    errors: &'a [FieldError],
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
