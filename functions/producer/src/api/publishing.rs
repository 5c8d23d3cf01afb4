//! From checked records to the result of each delivery, within the deadline.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use msk_shared::deadline::Deadline;
use msk_shared::kafka::{FailureCause, OutboundRecord, Partition, Persisted, PublishFailure, PublishResult};
use msk_shared::names::TopicName;

use super::answer;
use super::problem::{Problem, ProblemKind};
use super::published::Published;
use super::state::{AppState, Backend};
use crate::principal::Principal;
use crate::record_result::DeliveryResults;
use crate::request::checks;
use crate::request::faults::Places;
use crate::request::preferences::prefers_minimal;
use crate::topics::Topic;

/// Reserved for the answer's way through the runtime and the gateway. The publisher reserves more; this holds if it fails to.
const ANSWER: Duration = Duration::from_millis(400);

/// The topic of this name, if this caller may write it. An impossible name and an unlisted one are the same.
///
/// # Errors
/// 404/40401, or 403/40301 for a topic of others, which tells no more than that it is one.
pub(super) fn writable_topic<'a, B: Backend>(
    state: &'a AppState<B>,
    caller: Option<&Principal>,
    name: Option<&str>,
) -> Result<&'a Topic, Problem> {
    let topic = name.and_then(|name| state.config.topics.get(name)).ok_or_else(|| {
        let detail = "this topic cannot be written here; GET /topics lists those that can";
        Problem::new(ProblemKind::TopicNotFound, detail)
    })?;
    if topic.policy.allows(caller) {
        return Ok(topic);
    }
    let kind = caller.map_or("none", Principal::kind);
    tracing::warn!(topic = %topic.name, caller = kind, "refused: the caller is not among the topic's principals");
    let detail = "this caller may not write this topic; GET /topics lists those that it may";
    Err(Problem::new(ProblemKind::TopicForbidden, detail))
}

/// A topic's partitions, from metadata at most a minute old.
pub(super) async fn partitions<B: Backend>(
    state: &AppState<B>,
    topic: &TopicName,
    deadline: Deadline,
) -> Result<Arc<[Partition]>, Problem> {
    let partitions = state.backend.partitions(topic, deadline).await;
    partitions.map_err(|failure| partitions_unknown(topic, &failure))
}

/// A topic's partitions, asked of the cluster now.
pub(super) async fn partitions_now<B: Backend>(
    state: &AppState<B>,
    topic: &TopicName,
    deadline: Deadline,
) -> Result<Arc<[Partition]>, Problem> {
    let partitions = state.backend.partitions_now(topic, deadline).await;
    partitions.map_err(|failure| partitions_unknown(topic, &failure))
}

fn partitions_unknown(topic: &TopicName, failure: &PublishFailure) -> Problem {
    tracing::error!(topic = %topic, cause = failure.cause.name(), "partitions unknown");
    Problem::for_failure(failure)
}

/// Asks the cluster whether the partitions that records name exist; a request that names none asks nothing. Before a partition
/// is denied the cluster is asked anew, as partitions can be added at any time.
///
/// # Errors
/// 404/40402 for a partition that does not exist, or the problem of a cluster that cannot be asked.
pub(super) async fn check_partitions<B: Backend>(
    state: &AppState<B>,
    records: &[OutboundRecord],
    places: Places,
    deadline: Deadline,
) -> Result<(), Problem> {
    let Some(named) = records.iter().find(|record| record.partition.is_some()) else { return Ok(()) };
    let known = partitions(state, &named.topic, deadline).await?;
    if checks::partitions_exist(records, Partition::count(&known), places).is_ok() {
        return Ok(());
    }
    let now = partitions_now(state, &named.topic, deadline).await?;
    Ok(checks::partitions_exist(records, Partition::count(&now), places)?)
}

/// Records that were handed to the publisher.
pub(super) struct Publication {
    delivered: DeliveryResults,
    latency: Duration,
}

/// Publishes records and waits for the result of each delivery, never beyond the deadline.
pub(super) async fn publish_within<B: Backend>(
    state: &AppState<B>,
    records: Vec<OutboundRecord>,
    deadline: Deadline,
) -> Publication {
    let started = Instant::now();
    let sizes: Vec<usize> = records.iter().map(OutboundRecord::size).collect();
    let topic = records.first().map(|record| record.topic.clone());
    let publishing = state.backend.publish(records, deadline);
    let results = tokio::time::timeout_at(deadline.less(ANSWER).instant().into(), publishing).await;
    let results = results.unwrap_or_else(|_| {
        tracing::error!("the publisher did not keep the deadline");
        let unknown = PublishFailure { cause: FailureCause::TimedOut, persisted: Persisted::Unknown };
        vec![Err(unknown); sizes.len()]
    });
    log_failures(&results);
    let latency = started.elapsed();
    let too_large = |result: &PublishResult| matches!(result, Err(it) if it.cause == FailureCause::RecordTooLarge);
    let limit_bytes = match topic {
        Some(topic) if results.iter().any(too_large) => state.backend.max_message_bytes(&topic, deadline).await,
        _ => None,
    };
    Publication { delivered: DeliveryResults { sizes, results, limit_bytes }, latency }
}

impl Publication {
    /// The answer, with the numbers for the log and the metrics. A caller who prefers none (`Prefer: return=minimal`) gets a
    /// 204, if every record was written.
    pub(super) fn respond(
        &self,
        headers: &HeaderMap,
        answer: impl FnOnce(&DeliveryResults) -> Result<Response, Problem>,
    ) -> Response {
        let DeliveryResults { sizes, results, .. } = &self.delivered;
        let is_minimal = results.iter().all(Result::is_ok) && prefers_minimal(headers);
        let answer = if is_minimal { Ok(answer::minimal()) } else { answer(&self.delivered) };
        let mut response = answer.into_response();
        response.extensions_mut().insert(Published::from_results(sizes, results, self.latency));
        response
    }
}

/// One line per cause, at the boundary; causes that are faults of the deployment or of our rights are errors.
fn log_failures(results: &[PublishResult]) {
    let mut logged: Vec<FailureCause> = Vec::new();
    for failure in results.iter().filter_map(|result| result.as_ref().err()) {
        if logged.contains(&failure.cause) {
            continue;
        }
        logged.push(failure.cause);
        let records = results.iter().filter(|r| r.as_ref().is_err_and(|f| f.cause == failure.cause)).count();
        let cause = failure.cause.name();
        match failure.cause {
            FailureCause::TopicMissing => {
                tracing::error!(cause, records, "deployment fault: a topic of TOPICS is missing on the cluster");
            }
            FailureCause::TopicAuthorization => {
                tracing::error!(
                    cause,
                    records,
                    "permission missing: kafka-cluster:WriteData or kafka-cluster:DescribeTopic on the topic"
                );
            }
            FailureCause::ClusterAuthorization => {
                tracing::error!(
                    cause,
                    records,
                    "permission missing: kafka-cluster:Connect or kafka-cluster:WriteDataIdempotently on the cluster"
                );
            }
            FailureCause::Authentication => {
                tracing::error!(
                    cause,
                    records,
                    "the cluster refused our credentials, or none could be had (then a line \"no MSK IAM token\" says why): \
                     check the role's kafka-cluster:Connect and its credentials"
                );
            }
            FailureCause::Other(code) => tracing::warn!(cause, records, code = ?code, "records not acknowledged"),
            _ => tracing::warn!(cause, records, "records not acknowledged"),
        }
    }
}
