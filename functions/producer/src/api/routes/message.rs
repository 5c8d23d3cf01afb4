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
use crate::format::{Format, ValueFormat};
use crate::record_result::DeliveryResults;
use crate::request::cloud_event::EventMode;
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
    let topic = writable_topic(&state, info.caller(), Some(topic))?;
    let content_type = content_type(&headers, MESSAGE_TYPES)?;
    match content_type {
        ContentType::Json | ContentType::Missing => {}
        ContentType::CloudEvent(EventMode::Binary) => {
            let detail = "CloudEvents are accepted by POST /topics/{topic}; leave out the `ce-` headers to send JSON";
            return Err(Faults::new(FaultKind::MediaType(MESSAGE_TYPES), detail).into());
        }
        _ => return Err(not_one_message().into()),
    }
    let propagated = PropagatedHeaders::from_headers(&headers)?.with_principal(topic.policy.stamp(info.caller()));
    let mut draft = single_message::fields(&headers, ValueFormat::Field(Format::Json))?;
    let validate_only = query.validate_only;
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
    let (topic, request_id) = (&topic.name, info.request_id.as_str());
    if validate_only {
        let body = MessageAnswer { topic, partition: None, offset: None, timestamp: None, request_id };
        return Ok(answer::json(StatusCode::OK, answer::JSON, &body));
    }
    propagated.apply_to(&mut records);
    let publication = publish_within(&state, records, info.deadline).await;
    Ok(publication.respond(&headers, |delivered| answer(topic, request_id, delivered)))
}

/// # Errors
/// When the message was not written.
fn answer(topic: &TopicName, request_id: &str, delivered: &DeliveryResults) -> Result<Response, Problem> {
    let DeliveryResults { sizes, results, limit_bytes } = delivered;
    match (results.first(), sizes.first()) {
        (Some(Ok(delivery)), _) => {
            let (partition, offset) = (Some(delivery.partition), Some(delivery.offset));
            let body = MessageAnswer { topic, partition, offset, timestamp: delivery.timestamp_ms, request_id };
            Ok(answer::json(StatusCode::OK, answer::JSON, &body))
        }
        (Some(Err(failure)), Some(size)) => Err(Problem::for_message(failure, *size, *limit_bytes)),
        _ => {
            Err(Problem::new(ProblemKind::Internal, "the delivery result of the record is unknown")
                .possibly_persisted())
        }
    }
}

fn not_one_message() -> Faults {
    Faults::new(FaultKind::MediaType(MESSAGE_TYPES), "the body is one JSON message: send it as application/json")
}

#[derive(Serialize)]
struct MessageAnswer<'a> {
    topic: &'a TopicName,
    /// Null if the message was only checked, as the next two.
    partition: Option<i32>,
    offset: Option<i64>,
    timestamp: Option<i64>,
    request_id: &'a str,
}
