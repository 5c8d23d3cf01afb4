//! `POST /messages`: the body is one message.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode, Uri};
use msk_shared::names::TopicName;
use serde::Serialize;

use crate::api::answer;
use crate::api::problem::{Problem, ProblemKind};
use crate::api::publishing::{check_partitions, publish_within, writable_topic};
use crate::api::request_info::RequestInfo;
use crate::api::state::{AppState, Backend};
use crate::record_result::DeliveryResults;
use crate::request::content_type::{ContentType, MESSAGE_TYPES, content_type};
use crate::request::faults::{FaultCollector, FaultKind, Faults, Places};
use crate::request::propagation::PropagatedHeaders;
use crate::request::query::MessageQuery;
use crate::request::{body, checks, single_message};

/// One message, to `?topic=` or to the default topic.
pub(crate) async fn publish<B: Backend>(
    State(state): State<Arc<AppState<B>>>,
    Extension(info): Extension<RequestInfo>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let limits = &state.config.limits;
    let query = MessageQuery::parse(uri.query(), state.config.compatibility)?;
    let topic = query.topic.as_deref().unwrap_or(state.config.default_topic.as_str());
    let topic = writable_topic(&state, Some(topic))?;
    let content_type = content_type(&headers, MESSAGE_TYPES)?;
    if matches!(content_type, ContentType::KafkaRest(_)) {
        return Err(not_one_message().into());
    }
    let propagated = PropagatedHeaders::from_headers(&headers)?;
    let mut draft = single_message::fields(&headers)?;
    draft.key = query.key(draft.key)?;
    let body = body::read(&headers, body, limits.request_bytes.get(), info.deadline).await?;
    draft.value = single_message::value(&body).map_err(|error| match content_type {
        ContentType::Missing => not_one_message(),
        _ => error.into(),
    })?;
    let mut faults = FaultCollector::new(Places::Message);
    let mut records = checks::records(vec![draft], topic, limits, &mut faults);
    faults.into_result()?;
    check_partitions(&state, &records, Places::Message, info.deadline).await?;
    propagated.apply_to(&mut records);
    let publication = publish_within(&state, records, info.deadline).await;
    let DeliveryResults { sizes, results, limit_bytes } = &publication.delivered;
    let answer =
        match (results.first(), sizes.first()) {
            (Some(Ok(delivery)), _) => {
                let (partition, offset, timestamp) = (delivery.partition, delivery.offset, delivery.timestamp_ms);
                let topic = &topic.name;
                let body = MessageAnswer { topic, partition, offset, timestamp, request_id: &info.request_id };
                Ok(answer::json(StatusCode::OK, answer::JSON, &body))
            }
            (Some(Err(failure)), Some(size)) => Err(Problem::for_message(failure, *size, *limit_bytes)),
            _ => Err(Problem::new(ProblemKind::Internal, "the delivery result of the record is unknown")
                .possibly_persisted()),
        };
    Ok(publication.respond(answer))
}

fn not_one_message() -> Faults {
    Faults::new(FaultKind::MediaType(MESSAGE_TYPES), "the body is one JSON message: send it as application/json")
}

#[derive(Serialize)]
struct MessageAnswer<'a> {
    topic: &'a TopicName,
    partition: i32,
    offset: i64,
    timestamp: Option<i64>,
    request_id: &'a str,
}
