//! `POST /topics/{topic}` and `POST /topics/{topic}/partitions/{partition}`: records in any format, Kafka REST v2's answer.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode, Uri};
use msk_shared::names::TopicName;
use serde::Serialize;

use crate::api::answer::{self, KAFKA_REST_JSON, KAFKA_REST_V1_JSON};
use crate::api::problem::{Problem, record_results};
use crate::api::publishing::{check_partitions, publish_within, writable_topic};
use crate::api::request_info::RequestInfo;
use crate::api::routes::partitions::{Target, partition_of_path};
use crate::api::state::{AppState, Backend};
use crate::config::{Compatibility, Limits};
use crate::record_result::{DeliveryResults, RecordResult};
use crate::request::content_type::{ContentType, RECORDS_TYPES, content_type};
use crate::request::faults::Places;
use crate::request::propagation::PropagatedHeaders;
use crate::request::query::only_validates;
use crate::request::{body, kafka_rest_v1, records_body};

/// Records to a topic, or to one partition of it.
pub(crate) async fn publish<B: Backend>(
    State(state): State<Arc<AppState<B>>>,
    Extension(info): Extension<RequestInfo>,
    path: Result<Path<Target>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (topic, partition) = path.map_or((None, None), |Path(target)| (Some(target.topic), target.partition));
    let topic = writable_topic(&state, info.caller(), topic.as_deref())?;
    let partition = partition.as_deref().map(partition_of_path).transpose()?;
    let validate_only = only_validates(uri.query(), state.config.compatibility)?;
    let Limits { request_bytes, records: max_records, .. } = state.config.limits;
    let v1 = kafka_rest_v1::format(&headers, state.config.compatibility);
    let content_type = match v1 {
        Some(format) => ContentType::KafkaRest(format),
        None => content_type(&headers, RECORDS_TYPES)?,
    };
    let in_its_version =
        |answer| if v1.is_some() { answer::with_media_type(answer, KAFKA_REST_V1_JSON) } else { answer };
    let propagated = PropagatedHeaders::from_headers(&headers)?.with_principal(topic.policy.stamp(info.caller()));
    let body = body::read(&headers, body, request_bytes.get(), info.deadline).await?;
    let strict = state.config.compatibility == Compatibility::Strict;
    let drafts = records_body::read(content_type, &headers, body, strict, max_records.get())?;
    let places = drafts.places();
    let mut records = drafts.into_records(topic, partition, &state.config.limits)?;
    check_partitions(&state, &records, places, info.deadline).await?;
    if validate_only {
        let offsets = records.iter().map(|_| RecordResult::checked()).collect();
        return Ok(in_its_version(results(StatusCode::OK, &topic.name, &info.request_id, offsets)));
    }
    propagated.apply_to(&mut records);
    let publication = publish_within(&state, records, info.deadline).await;
    Ok(publication.respond(&headers, |delivered| {
        let answer = answer(state.config.compatibility, places, &topic.name, &info.request_id, delivered);
        answer.map(in_its_version)
    }))
}

/// One result per record, and a status that says what happened.
///
/// # Errors
/// In strict mode, when no record was written.
fn answer(
    compatibility: Compatibility,
    places: Places,
    topic: &TopicName,
    request_id: &str,
    delivered: &DeliveryResults,
) -> Result<Response, Problem> {
    let failed = delivered.results.iter().filter(|result| result.is_err()).count();
    let status = match (failed, compatibility) {
        (0, _) | (_, Compatibility::Confluent) => StatusCode::OK,
        (failed, Compatibility::Strict) if failed < delivered.results.len() => StatusCode::MULTI_STATUS,
        (_, Compatibility::Strict) => return Err(Problem::for_results(places, delivered)),
    };
    Ok(results(status, topic, request_id, record_results(delivered)))
}

/// Kafka REST v2's answer.
fn results(status: StatusCode, topic: &TopicName, request_id: &str, offsets: Vec<RecordResult>) -> Response {
    let body = RecordsAnswer { topic, request_id, offsets, key_schema_id: None, value_schema_id: None };
    answer::json(status, KAFKA_REST_JSON, &body)
}

#[derive(Serialize)]
struct RecordsAnswer<'a> {
    topic: &'a TopicName,
    request_id: &'a str,
    offsets: Vec<RecordResult>,
    key_schema_id: Option<u32>,
    value_schema_id: Option<u32>,
}
