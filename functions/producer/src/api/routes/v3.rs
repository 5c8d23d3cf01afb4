//! `POST /v3/clusters/{cluster}/topics/{topic}/records` and `.../records:batch`: Confluent's REST API v3.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri};
use msk_shared::kafka::OutboundRecord;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::api::answer;
use crate::api::problem::{Problem, record_results};
use crate::api::publishing::{check_partitions, publish_within, writable_topic};
use crate::api::request_info::RequestInfo;
use crate::api::state::{AppState, Backend};
use crate::config::{Compatibility, Limits};
use crate::format::Format;
use crate::record_result::RecordResult;
use crate::request::content_type::{ContentType, MESSAGE_TYPES, content_type};
use crate::request::faults::{FaultKind, Faults};
use crate::request::json::Parsed;
use crate::request::preferences::{self, VALIDATE_ONLY, prefers_minimal};
use crate::request::propagation::PropagatedHeaders;
use crate::request::query::known_parameters;
use crate::request::v3_body::{self, Entries, Entry, Reading};
use crate::request::{body, checks};
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
    kind: &V3Path,
) -> Result<Response, Problem> {
    let (cluster, topic) = path.map_or((None, None), |Path(target)| (Some(target.cluster), Some(target.topic)));
    let topic = writable_topic(state, topic.as_deref())?;
    let compatibility = state.config.compatibility;
    let [validate_only] = known_parameters(uri.query(), [VALIDATE_ONLY], compatibility)?;
    let validate_only = preferences::validate_only(validate_only.as_deref())?;
    let limits = &state.config.limits;
    let content_type = content_type(headers, MESSAGE_TYPES)?;
    if !matches!(content_type, ContentType::Json | ContentType::Missing) {
        return Err(not_json().into());
    }
    let propagated = PropagatedHeaders::from_headers(headers)?;
    let body = body::read(headers, body, limits.request_bytes.get(), info.deadline).await?;
    let reading = Reading { strict: compatibility == Compatibility::Strict, max_records: limits.records.get() };
    let read = (kind.read)(&body, reading).map_err(|error| match content_type {
        ContentType::Missing => not_json(),
        _ => error.into(),
    })?;
    let places = read.places;
    let (mut records, shapes) = checked(read, topic, limits)?;
    check_partitions(state, &records, places, info.deadline).await?;
    let cluster = cluster.unwrap_or_default();
    if validate_only {
        let checked = records.iter().map(|_| RecordResult::checked()).collect();
        let mut answer = (kind.answer)(compatibility, results(&cluster, topic, shapes, checked));
        *answer.status_mut() = StatusCode::OK;
        return Ok(answer);
    }
    propagated.apply_to(&mut records);
    let publication = publish_within(state, records, info.deadline).await;
    if publication.is_complete() && prefers_minimal(headers) {
        return Ok(publication.respond(Ok(answer::minimal())));
    }
    let delivered = &publication.delivered;
    if compatibility == Compatibility::Strict && delivered.results.iter().all(Result::is_err) {
        return Ok(publication.respond(Err(Problem::for_results(places, delivered))));
    }
    let results = results(&cluster, topic, shapes, record_results(delivered));
    let answer = (kind.answer)(compatibility, results);
    Ok(publication.respond(Ok(answer)))
}

fn not_json() -> Faults {
    Faults::new(FaultKind::MediaType(MESSAGE_TYPES), "the body of this path is JSON: send it as application/json")
}

/// What an answer repeats of a record.
#[derive(Debug)]
struct Shape {
    id: Option<String>,
    key: Option<KeyOrValue>,
    value: Option<KeyOrValue>,
}

/// Everything that can be known without the cluster is checked here.
fn checked(read: Entries, topic: &Topic, limits: &Limits) -> Result<(Vec<OutboundRecord>, Vec<Shape>), Faults> {
    // What does not decode comes first, then the count: of too many records not all were looked at.
    if read.faults.kind() != Some(FaultKind::Malformed) {
        read.check_count(limits.records.get())?;
    }
    let Entries { entries, mut faults, .. } = read;
    let part = |format: Option<Format>, bytes: &Option<Bytes>| {
        format.map(|format| KeyOrValue { r#type: v3_body::type_of(format), size: bytes.as_ref().map_or(0, Bytes::len) })
    };
    let (shapes, drafts): (Vec<_>, Vec<_>) = entries
        .into_iter()
        .map(|Entry { id, draft, key_format, value_format }| {
            let (key, value) = (part(key_format, &draft.key), part(value_format, &draft.value));
            (Shape { id, key, value }, draft)
        })
        .unzip();
    let records = checks::records(drafts, topic, limits, &mut faults);
    faults.into_result()?;
    Ok((records, shapes))
}

/// Every record's result in the form of API v3.
fn results(
    cluster: &str,
    topic: &Topic,
    shapes: Vec<Shape>,
    results: Vec<RecordResult>,
) -> Vec<Result<Written, Failed>> {
    let result = |(Shape { id, key, value }, result): (Shape, RecordResult)| match result {
        RecordResult::Written { partition, offset, timestamp, .. } => Ok(Written {
            id,
            error_code: StatusCode::OK.as_u16(),
            cluster_id: cluster.to_owned(),
            topic_name: topic.name.to_string(),
            partition_id: partition,
            offset,
            timestamp: timestamp.and_then(rfc3339),
            key,
            value,
        }),
        RecordResult::Failed { error_code, message, retriable, persisted, limit_bytes, actual_bytes, .. } => {
            Err(Failed { id, error_code, message, retriable, persisted, limit_bytes, actual_bytes })
        }
    };
    shapes.into_iter().zip(results).map(result).collect()
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
#[derive(Debug, Serialize)]
struct KeyOrValue {
    r#type: &'static str,
    size: usize,
}
