//! `GET /topics` and `GET /topics/{topic}`: which topics may be written to, and in which formats.

use std::sync::Arc;

use axum::Extension;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use msk_shared::names::TopicName;
use serde::Serialize;

use crate::api::answer::{self, KAFKA_REST_JSON};
use crate::api::problem::Problem;
use crate::api::publishing::{partitions, writable_topic};
use crate::api::request_info::RequestInfo;
use crate::api::routes::partitions::{PartitionAnswer, shown};
use crate::api::state::{AppState, Backend};
use crate::schema::Schema;

/// The names of the topics that the caller may write to, as Kafka REST v2 lists them.
pub(crate) async fn list<B: Backend>(
    State(state): State<Arc<AppState<B>>>,
    Extension(info): Extension<RequestInfo>,
) -> Response {
    let topics = state.config.topics.iter().filter(|topic| topic.policy.allows(info.caller()));
    let names: Vec<&TopicName> = topics.map(|topic| &topic.name).collect();
    answer::json(StatusCode::OK, KAFKA_REST_JSON, &names)
}

/// One topic: its partitions, its policy and the limits that apply to it.
pub(crate) async fn details<B: Backend>(
    State(state): State<Arc<AppState<B>>>,
    Extension(info): Extension<RequestInfo>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let topic = writable_topic(&state, info.caller(), name.ok().map(|Path(name)| name).as_deref())?;
    let partitions = partitions(&state, &topic.name, info.deadline).await?;
    let limits = &state.config.limits;
    let record_bytes = limits.record_bytes.get();
    let details = Details {
        name: &topic.name,
        configs: NoConfigs {},
        partitions: shown(&partitions),
        key: if topic.policy.key_required { "required" } else { "optional" },
        formats: topic.policy.format_names(),
        schema: topic.policy.schema.as_ref().map(Schema::name),
        limits: TopicLimits {
            max_request_bytes: limits.request_bytes.get(),
            max_records: limits.records.get(),
            max_record_bytes: topic.policy.max_record_bytes.map_or(record_bytes, |own| own.get().min(record_bytes)),
        },
    };
    Ok(answer::json(StatusCode::OK, KAFKA_REST_JSON, &details))
}

#[derive(Serialize)]
struct Details<'a> {
    name: &'a TopicName,
    configs: NoConfigs,
    partitions: Vec<PartitionAnswer>,
    key: &'static str,
    formats: Vec<&'static str>,
    schema: Option<&'a str>,
    limits: TopicLimits,
}

/// Clients of Kafka REST v2 expect the topic's settings here, which this API does not read: an empty object.
#[derive(Serialize)]
struct NoConfigs {}

#[derive(Serialize)]
struct TopicLimits {
    max_request_bytes: usize,
    max_records: usize,
    max_record_bytes: usize,
}
