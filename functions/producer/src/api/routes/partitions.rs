//! `GET /topics/{topic}/partitions` and `GET /topics/{topic}/partitions/{partition}`: what clients of Kafka REST v2 ask
//! before they write.

use std::sync::Arc;

use axum::Extension;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use msk_shared::kafka::Partition;
use serde::{Deserialize, Serialize};

use crate::api::answer::{self, KAFKA_REST_JSON};
use crate::api::problem::{Problem, ProblemKind};
use crate::api::publishing::{partitions, partitions_now, writable_topic};
use crate::api::request_info::RequestInfo;
use crate::api::state::{AppState, Backend};

/// A topic, or a partition of it, as paths name them.
#[derive(Debug, Deserialize)]
pub(crate) struct Target {
    pub(super) topic: String,
    pub(super) partition: Option<String>,
}

/// A partition in a path is a name like any other there: one that is not a number does not exist.
pub(super) fn partition_of_path(text: &str) -> Result<i32, Problem> {
    let is_plain = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain).ok_or_else(|| {
        let detail = "the path does not name a partition, which is a whole number from 0";
        Problem::new(ProblemKind::PartitionNotFound, detail)
    })
}

/// A topic's partitions.
pub(crate) async fn list<B: Backend>(
    State(state): State<Arc<AppState<B>>>,
    Extension(info): Extension<RequestInfo>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let topic = writable_topic(&state, info.caller(), name.ok().map(|Path(name)| name).as_deref())?;
    let partitions = partitions(&state, &topic.name, info.deadline).await?;
    Ok(answer::json(StatusCode::OK, KAFKA_REST_JSON, &shown(&partitions)))
}

/// One partition. Before it is denied the cluster is asked anew, as partitions can be added at any time.
pub(crate) async fn details<B: Backend>(
    State(state): State<Arc<AppState<B>>>,
    Extension(info): Extension<RequestInfo>,
    path: Result<Path<Target>, PathRejection>,
) -> Result<Response, Problem> {
    let (topic, partition) = path.map_or((None, None), |Path(target)| (Some(target.topic), target.partition));
    let topic = writable_topic(&state, info.caller(), topic.as_deref())?;
    let id = partition_of_path(partition.as_deref().unwrap_or_default())?;
    let in_list = |all: &[Partition]| {
        let found = all.iter().find(|partition| partition.id == id);
        found.map(|partition| answer::json(StatusCode::OK, KAFKA_REST_JSON, &PartitionAnswer::from(partition)))
    };
    if let Some(answer) = in_list(&partitions(&state, &topic.name, info.deadline).await?) {
        return Ok(answer);
    }
    let all = partitions_now(&state, &topic.name, info.deadline).await?;
    in_list(&all).ok_or_else(|| {
        let detail = format!("the topic has partitions 0 to {}", i64::from(Partition::count(&all)) - 1);
        Problem::new(ProblemKind::PartitionNotFound, detail)
    })
}

/// Partitions as Kafka REST v2 lists them.
pub(super) fn shown(partitions: &[Partition]) -> Vec<PartitionAnswer> {
    partitions.iter().map(PartitionAnswer::from).collect()
}

#[derive(Serialize)]
pub(super) struct PartitionAnswer {
    partition: i32,
    /// -1 while there is none, as in Kafka's own metadata.
    leader: i32,
    replicas: Vec<ReplicaAnswer>,
}

#[derive(Serialize)]
struct ReplicaAnswer {
    broker: i32,
    leader: bool,
    in_sync: bool,
}

impl From<&Partition> for PartitionAnswer {
    fn from(partition: &Partition) -> Self {
        let Partition { id, leader, replicas } = partition;
        let replica = |replica: &msk_shared::kafka::Replica| ReplicaAnswer {
            broker: replica.broker,
            leader: *leader == Some(replica.broker),
            in_sync: replica.in_sync,
        };
        Self { partition: *id, leader: leader.unwrap_or(-1), replicas: replicas.iter().map(replica).collect() }
    }
}
