//! `POST /v3/clusters/{cluster}/topics/{topic}/records` and `.../records:batch`: Confluent's REST API v3.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::api::answer;
use crate::api::problem::{Problem, record_results};
use crate::api::publishing::{check_partitions, publish_within, writable_topic};
use crate::api::request_info::RequestInfo;
use crate::api::state::{AppState, Backend};
use crate::config::Compatibility;
use crate::record_result::RecordResult;
use crate::request::body;
use crate::request::content_type::{ContentType, MESSAGE_TYPES, content_type};
use crate::request::faults::{FaultKind, Faults};
use crate::request::json::Parsed;
use crate::request::propagation::PropagatedHeaders;
use crate::request::query::only_validates;
use crate::request::v3_body::{self, Entries, Entry, Reading, Stored};
use crate::topics::Topic;

/// The parameters of the path. Any name of a cluster is accepted: there is one.
#[derive(Debug, Deserialize)]
pub(crate) struct Target {
    cluster: String,
    topic: String,
}

/// One record, or several one after the other.
pub(crate) async fn records<B: Backend>(
    State(state): State<Arc<AppState<B>>>,
    Extension(info): Extension<RequestInfo>,
    path: Result<Path<Target>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    publish(&state, &info, path, &uri, &headers, body, &V3Path { read: v3_body::records, answer: in_a_row }).await
}

/// Entries with ids.
pub(crate) async fn batch<B: Backend>(
    State(state): State<Arc<AppState<B>>>,
    Extension(info): Extension<RequestInfo>,
    path: Result<Path<Target>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    publish(&state, &info, path, &uri, &headers, body, &V3Path { read: v3_body::batch, answer: by_id }).await
}

/// In what the two paths differ.
struct V3Path {
    read: fn(&Bytes, Reading) -> Parsed<Entries>,
    /// The answer when at least one record was written, or failures go into the body of a 2xx.
    answer: fn(Compatibility, Vec<Result<Written, Failed>>) -> Response,
}

async fn publish<B: Backend>(
    state: &AppState<B>,
    info: &RequestInfo,
    path: Result<Path<Target>, PathRejection>,
    uri: &Uri,
    headers: &HeaderMap,
    body: Body,
    form: &V3Path,
) -> Result<Response, Problem> {
    let (cluster, topic) = path.map_or((None, None), |Path(target)| (Some(target.cluster), Some(target.topic)));
    let topic = writable_topic(state, info.caller(), topic.as_deref())?;
    let compatibility = state.config.compatibility;
    let validate_only = only_validates(uri.query(), compatibility)?;
    let limits = &state.config.limits;
    let content_type = content_type(headers, MESSAGE_TYPES)?;
    if !matches!(content_type, ContentType::Json | ContentType::Missing) {
        return Err(not_json().into());
    }
    let propagated = PropagatedHeaders::from_headers(headers)?.with_principal(topic.policy.stamp(info.caller()));
    let body = body::read(headers, body, limits.request_bytes.get(), info.deadline).await?;
    let reading = Reading { strict: compatibility == Compatibility::Strict, max_records: limits.records.get() };
    let Entries { drafts, entries } = (form.read)(&body, reading).map_err(|error| match content_type {
        ContentType::Missing => not_json(),
        _ => error.into(),
    })?;
    let places = drafts.places();
    let mut records = drafts.into_records(topic, None, limits)?;
    check_partitions(state, &records, places, info.deadline).await?;
    let cluster = cluster.unwrap_or_default();
    if validate_only {
        let checked = records.iter().map(|_| RecordResult::checked()).collect();
        let mut answer = (form.answer)(compatibility, results(&cluster, topic, entries, checked));
        *answer.status_mut() = StatusCode::OK;
        return Ok(answer);
    }
    propagated.apply_to(&mut records);
    let publication = publish_within(state, records, info.deadline).await;
    Ok(publication.respond(headers, |delivered| {
        if compatibility == Compatibility::Strict && delivered.results.iter().all(Result::is_err) {
            return Err(Problem::for_results(places, delivered));
        }
        Ok((form.answer)(compatibility, results(&cluster, topic, entries, record_results(delivered))))
    }))
}

fn not_json() -> Faults {
    Faults::new(FaultKind::MediaType(MESSAGE_TYPES), "the body of this path is JSON: send it as application/json")
}

/// Every record's result in the form of API v3.
fn results(
    cluster: &str,
    topic: &Topic,
    entries: Vec<Entry>,
    results: Vec<RecordResult>,
) -> Vec<Result<Written, Failed>> {
    let result = |(Entry { id, key, value }, result): (Entry, RecordResult)| match result {
        RecordResult::Written { partition, offset, timestamp, .. } => Ok(Written {
            id,
            error_code: StatusCode::OK.as_u16(),
            cluster_id: cluster.to_owned(),
            topic_name: topic.name.to_string(),
            partition_id: partition,
            offset,
            timestamp: timestamp.and_then(rfc3339),
            key: key.map(KeyOrValue::from),
            value: value.map(KeyOrValue::from),
        }),
        RecordResult::Failed { error_code, message, retriable, persisted, limit_bytes, actual_bytes, .. } => {
            Err(Failed { id, error_code, message, retriable, persisted, limit_bytes, actual_bytes })
        }
    };
    entries.into_iter().zip(results).map(result).collect()
}

fn rfc3339(ms: i64) -> Option<String> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000).ok()?.format(&Rfc3339).ok()
}

/// One object a record, in order.
fn in_a_row(compatibility: Compatibility, results: Vec<Result<Written, Failed>>) -> Response {
    let failed = results.iter().any(Result::is_err);
    let status = match compatibility {
        Compatibility::Strict if failed => StatusCode::MULTI_STATUS,
        _ => StatusCode::OK,
    };
    let results: Vec<OneOf> =
        results.into_iter().map(|result| result.map_or_else(OneOf::Failed, OneOf::Written)).collect();
    answer::json_in_a_row(status, answer::JSON, &results)
}

/// Successes and failures apart; a record is found by its id.
fn by_id(_: Compatibility, results: Vec<Result<Written, Failed>>) -> Response {
    let (mut successes, mut failures) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(written) => successes.push(written),
            Err(failed) => failures.push(failed),
        }
    }
    answer::json(StatusCode::MULTI_STATUS, answer::JSON, &BatchAnswer { successes, failures })
}

#[derive(Serialize)]
struct BatchAnswer {
    successes: Vec<Written>,
    failures: Vec<Failed>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum OneOf {
    Written(Written),
    Failed(Failed),
}

/// A record that was written.
#[derive(Serialize)]
struct Written {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// Always 200.
    error_code: u16,
    /// As the path names it.
    cluster_id: String,
    topic_name: String,
    partition_id: Option<i32>,
    offset: Option<i64>,
    /// As stored, RFC 3339.
    timestamp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<KeyOrValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<KeyOrValue>,
}

/// A record that was not written.
#[derive(Serialize)]
struct Failed {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// As in a problem document.
    error_code: u32,
    message: &'static str,
    retriable: bool,
    persisted: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit_bytes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actual_bytes: Option<usize>,
}

/// A key or value: its format and the bytes stored.
#[derive(Serialize)]
struct KeyOrValue {
    r#type: &'static str,
    size: usize,
}

impl From<Stored> for KeyOrValue {
    fn from(Stored { format, size }: Stored) -> Self {
        Self { r#type: v3_body::type_of(format), size }
    }
}
