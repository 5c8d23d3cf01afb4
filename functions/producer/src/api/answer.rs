//! Answers with a JSON body.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::Serialize;

pub(crate) const JSON: &str = "application/json";
/// The media type of every response of Kafka REST v2.
pub(crate) const KAFKA_REST_JSON: &str = "application/vnd.kafka.v2+json";

pub(crate) fn json(status: StatusCode, media_type: &'static str, body: &impl Serialize) -> Response {
    // Only a map with keys other than strings, or a failing `Serialize`, can fail; none of this crate's answers is one.
    let body = serde_json::to_vec(body).unwrap_or_default();
    (status, [(CONTENT_TYPE, media_type)], body).into_response()
}
