//! Answers with a JSON body.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use serde::Serialize;

pub(crate) const JSON: &str = "application/json";
/// The media type of every response of Kafka REST v2.
pub(crate) const KAFKA_REST_JSON: &str = "application/vnd.kafka.v2+json";
/// The media type of every response of Kafka REST v1.
pub(crate) const KAFKA_REST_V1_JSON: &str = "application/vnd.kafka.v1+json";

/// Several values one after the other, a line each.
pub(crate) fn json_in_a_row(status: StatusCode, media_type: &'static str, values: &[impl Serialize]) -> Response {
    let lines: Vec<Vec<u8>> = values.iter().map(|value| serde_json::to_vec(value).unwrap_or_default()).collect();
    (status, [(CONTENT_TYPE, media_type)], lines.join(&b'\n')).into_response()
}

pub(crate) fn json(status: StatusCode, media_type: &'static str, body: &impl Serialize) -> Response {
    // Only a map with keys other than strings, or a failing `Serialize`, can fail; none of this crate's answers is one.
    let body = serde_json::to_vec(body).unwrap_or_default();
    (status, [(CONTENT_TYPE, media_type)], body).into_response()
}

/// The same answer under another media type.
pub(crate) fn with_media_type(mut answer: Response, media_type: &'static str) -> Response {
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    answer
}

/// Which of a request's preferences were followed (RFC 7240, 3; the `http` crate has no constant).
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// The answer to a caller who prefers none: every record was written.
pub(crate) fn minimal() -> Response {
    (StatusCode::NO_CONTENT, [(PREFERENCE_APPLIED, "return=minimal")]).into_response()
}
