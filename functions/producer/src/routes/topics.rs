//! `GET /topics` and `GET /topics/{topic}`: what may be written, and in which form.

use std::sync::Arc;

use axum::Extension;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use msk_shared::names::TopicName;
use serde::Serialize;

use crate::answer;
use crate::app::{App, Backend};
use crate::context::RequestInfo;
use crate::problem::{Problem, V2_JSON};
use crate::topics::Topic;

use super::listed;

/// The names of the topics that may be written, as the peers answer it.
pub(crate) async fn list<B: Backend>(State(app): State<Arc<App<B>>>) -> Response {
    let names: Vec<&TopicName> = app.config.topics.iter().map(|topic| &topic.name).collect();
    answer::json(StatusCode::OK, V2_JSON, &names)
}

/// One topic: its partitions, its policy and the limits that hold for it.
pub(crate) async fn details<B: Backend>(
    State(app): State<Arc<App<B>>>,
    Extension(info): Extension<RequestInfo>,
    name: Result<Path<String>, PathRejection>,
) -> Response {
    let name = name.ok().map(|Path(name)| name);
    match listed(&app, name.as_deref()) {
        Ok(topic) => of_topic(&app, &info, topic).await.unwrap_or_else(IntoResponse::into_response),
        Err(problem) => problem.into_response(),
    }
}

async fn of_topic<B: Backend>(app: &App<B>, info: &RequestInfo, topic: &Topic) -> Result<Response, Problem> {
    let partitions = app.backend.partition_count(&topic.name, info.deadline).await.map_err(|failure| {
        tracing::error!(topic = %topic.name, cause = failure.cause.name(), "partitions unknown");
        Problem::of_failure(&failure)
    })?;
    let limits = &app.config.limits;
    let record_bytes = limits.record_bytes.get();
    let details = Details {
        name: &topic.name,
        partitions: (0..partitions).map(|partition| Partition { partition }).collect(),
        key: if topic.policy.key_required { "required" } else { "optional" },
        formats: topic.policy.format_names(),
        schema: None,
        limits: TopicLimits {
            max_request_bytes: limits.request_bytes.get(),
            max_records: limits.records.get(),
            max_record_bytes: topic.policy.max_record_bytes.map_or(record_bytes, |own| own.get().min(record_bytes)),
        },
    };
    Ok(answer::json(StatusCode::OK, V2_JSON, &details))
}

#[derive(Serialize)]
struct Details<'a> {
    name: &'a TopicName,
    partitions: Vec<Partition>,
    key: &'static str,
    formats: Vec<&'static str>,
    schema: Option<&'static str>,
    limits: TopicLimits,
}

/// As the peers list partitions; leaders and replicas are the cluster's matter.
#[derive(Serialize)]
struct Partition {
    partition: u32,
}

#[derive(Serialize)]
struct TopicLimits {
    max_request_bytes: usize,
    max_records: usize,
    max_record_bytes: usize,
}
