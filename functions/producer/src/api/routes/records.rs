//! `POST /topics/{topic}` and `POST /topics/{topic}/partitions/{partition}`: records in Kafka REST v2's envelope.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri};
use msk_shared::kafka::OutboundRecord;
use msk_shared::names::TopicName;
use serde::Serialize;

use crate::api::answer::{self, KAFKA_REST_JSON, KAFKA_REST_V1_JSON};
use crate::api::problem::{Problem, record_results};
use crate::api::publishing::{check_partitions, publish_within, writable_topic};
use crate::api::request_info::RequestInfo;
use crate::api::routes::partitions::{Target, partition_of_path};
use crate::api::state::{AppState, Backend};
use crate::config::{Compatibility, Limits};
use crate::format::Format;
use crate::record_result::{DeliveryResults, RecordResult};
use crate::request::content_type::{ContentType, RECORDS_TYPES, content_type};
use crate::request::envelope::{self, Envelope, Reading};
use crate::request::faults::{FaultKind, Faults, Places};
use crate::request::propagation::PropagatedHeaders;
use crate::request::query::known_parameters;
use crate::request::{body, checks, kafka_rest_v1};
use crate::topics::Topic;

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
    let topic = writable_topic(&state, topic.as_deref())?;
    let partition = partition.as_deref().map(partition_of_path).transpose()?;
    let [] = known_parameters(uri.query(), [], state.config.compatibility)?;
    let Limits { request_bytes, records: max_records, .. } = state.config.limits;
    let v1 = kafka_rest_v1::format(&headers, state.config.compatibility);
    let content_type = match v1 {
        Some(format) => ContentType::KafkaRest(format),
        None => content_type(&headers, RECORDS_TYPES)?,
    };
    let propagated = PropagatedHeaders::from_headers(&headers)?;
    let body = body::read(&headers, body, request_bytes.get(), info.deadline).await?;
    let strict = state.config.compatibility == Compatibility::Strict;
    let envelope = decode(content_type, strict, max_records.get(), &body)?;
    let mut records = records(envelope, topic, partition, &state.config.limits)?;
    check_partitions(&state, &records, Places::Envelope, info.deadline).await?;
    propagated.apply_to(&mut records);
    let publication = publish_within(&state, records, info.deadline).await;
    let answer = answer(state.config.compatibility, &topic.name, &info.request_id, &publication.delivered);
    let in_its_version =
        |answer| if v1.is_some() { answer::with_media_type(answer, KAFKA_REST_V1_JSON) } else { answer };
    Ok(publication.respond(answer.map(in_its_version)))
}

fn decode(content_type: ContentType, strict: bool, max_records: usize, body: &Bytes) -> Result<Envelope, Faults> {
    let format = match content_type {
        ContentType::KafkaRest(format) => format,
        ContentType::Json | ContentType::Missing => Format::Json,
    };
    match (envelope::read(body, Reading { format, strict, max_records }), content_type) {
        (Ok(envelope), _) if envelope.has_records => Ok(envelope),
        (_, ContentType::Missing) => Err(Faults::new(
            FaultKind::MediaType(RECORDS_TYPES),
            "the Content-Type is missing; Accept-Post lists the types that this path accepts",
        )),
        (Ok(_), ContentType::Json) => Err(Faults::new(
            FaultKind::Invalid,
            "the body has no array `records`; to send a body that is itself one message, POST it to /messages",
        )),
        (Ok(envelope), ContentType::KafkaRest(_)) => Ok(envelope),
        (Err(error), _) => Err(error.into()),
    }
}

/// Everything that can be known without the cluster is checked here.
fn records(
    envelope: Envelope,
    topic: &Topic,
    partition: Option<i32>,
    limits: &Limits,
) -> Result<Vec<OutboundRecord>, Faults> {
    // What does not decode comes first, then the count: of too many records not all were looked at.
    if envelope.faults.kind() == Some(FaultKind::Malformed) {
        envelope.faults.into_result()?;
        return Ok(Vec::new());
    }
    envelope.check_count(limits.records.get())?;
    let Envelope { mut records, mut faults, .. } = envelope;
    if let Some(partition) = partition {
        checks::fix_partition(&mut records, partition, &mut faults);
    }
    let records = checks::records(records, topic, limits, &mut faults);
    faults.into_result()?;
    Ok(records)
}

/// One result per record, and a status that says what happened.
///
/// # Errors
/// In strict mode, when no record was written.
fn answer(
    compatibility: Compatibility,
    topic: &TopicName,
    request_id: &str,
    delivered: &DeliveryResults,
) -> Result<Response, Problem> {
    let results = &delivered.results;
    let failed = results.iter().filter(|result| result.is_err()).count();
    let status = match (failed, compatibility) {
        (0, _) | (_, Compatibility::Confluent) => StatusCode::OK,
        (failed, Compatibility::Strict) if failed < results.len() => StatusCode::MULTI_STATUS,
        (_, Compatibility::Strict) => return Err(Problem::for_results(Places::Envelope, delivered)),
    };
    let offsets = record_results(delivered);
    let body = RecordsAnswer { topic, request_id, offsets, key_schema_id: None, value_schema_id: None };
    Ok(answer::json(status, KAFKA_REST_JSON, &body))
}

#[derive(Serialize)]
struct RecordsAnswer<'a> {
    topic: &'a TopicName,
    request_id: &'a str,
    offsets: Vec<RecordResult>,
    key_schema_id: Option<u32>,
    value_schema_id: Option<u32>,
}
