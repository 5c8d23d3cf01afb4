//! One file per route: read the request, do it, answer.

pub(crate) mod health;
pub(crate) mod messages;
pub(crate) mod publish;
pub(crate) mod topics;
pub(crate) mod version;

use std::time::{Duration, Instant};

use axum::response::{IntoResponse, Response};
use msk_shared::deadline::Deadline;
use msk_shared::kafka::{FailureCause, OutboundRecord, Persisted, PublishFailure, PublishResult};

use crate::answer;
use crate::app::{App, Backend};
use crate::metrics::Published;
use crate::problem::{Kind, Problem};
use crate::topics::Topic;

/// Kept back for the answer's way through the runtime and the gateway. The publisher keeps more; this holds if it fails to.
const ANSWER: Duration = Duration::from_millis(400);

/// The topic of a path, if callers may write it. An impossible name and an unlisted one are the same to them.
fn listed<'a, B: Backend>(app: &'a App<B>, name: Option<&str>) -> Result<&'a Topic, Problem> {
    name.and_then(|name| app.config.topics.get(name)).ok_or_else(|| {
        Problem::new(Kind::TopicNotFound, "this topic is not written here; GET /topics lists those that are")
    })
}

/// What became of a request's records.
struct Outcome {
    sizes: Vec<usize>,
    results: Vec<PublishResult>,
    latency: Duration,
}

/// Hands records over and waits for each one's fate, within the deadline whatever happens.
async fn hand_over<B: Backend>(app: &App<B>, records: Vec<OutboundRecord>, deadline: Deadline) -> Outcome {
    let started = Instant::now();
    let sizes = answer::sizes_of(&records);
    let count = records.len();
    let cutoff = deadline.less(ANSWER).instant();
    let results = match tokio::time::timeout_at(cutoff.into(), app.backend.publish(records, deadline)).await {
        Ok(results) => results,
        Err(_) => {
            tracing::error!("the publisher did not keep the deadline");
            let lost = PublishFailure { cause: FailureCause::TimedOut, persisted: Persisted::Unknown };
            vec![Err(lost); count]
        }
    };
    log_failures(&results);
    Outcome { sizes, results, latency: started.elapsed() }
}

impl Outcome {
    /// The answer, with the numbers for the log and the metrics.
    fn respond(&self, answer: Result<Response, Problem>) -> Response {
        let mut response = answer.into_response();
        response.extensions_mut().insert(Published::of(&self.sizes, &self.results, self.latency));
        response
    }
}

/// One line per cause, at the boundary; causes that are faults of the deployment or of our rights are errors.
fn log_failures(results: &[PublishResult]) {
    let mut told: Vec<FailureCause> = Vec::new();
    for failure in results.iter().filter_map(|result| result.as_ref().err()) {
        if told.contains(&failure.cause) {
            continue;
        }
        told.push(failure.cause);
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
