//! `GET /healthz`, `/healthy`, `/_health`: the process is up. `GET /readyz`, `/ready`: a record could be written now.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use msk_shared::kafka::{FailureCause, Milestones, NotReady};
use msk_shared::names::TopicName;
use serde::Serialize;

use crate::api::answer;
use crate::api::request_info::RequestInfo;
use crate::api::state::{AppState, Backend};

/// Always 200, without checking anything else.
pub(crate) async fn healthz() -> Response {
    answer::json(StatusCode::OK, answer::JSON, &BTreeMap::from([("status", "ok")]))
}

/// 200, or 503 with the failing check; also how long the client's warm-up and its steps took during init.
pub(crate) async fn readyz<B: Backend>(
    State(state): State<Arc<AppState<B>>>,
    Extension(info): Extension<RequestInfo>,
) -> Response {
    let readiness = state.backend.readiness(info.deadline).await;
    let ready = readiness.is_ready();
    let is_shown = |name: &&TopicName| {
        let topic = state.config.topics.get(name.as_str());
        topic.is_none_or(|topic| topic.policy.allows(info.caller()))
    };
    let warm_up = state.warm_up.as_ref().map(|warm_up| WarmUp {
        ready: warm_up.result.is_ok(),
        duration_ms: warm_up.duration.as_millis() as u64,
        milestones: &warm_up.milestones,
        cause: warm_up.result.err().map(FailureCause::name),
        missing_topics: warm_up.missing_topics.iter().filter(is_shown).collect(),
    });
    let outcome = |check: Result<(), NotReady>| check.map_or_else(|reason| reason.to_string(), |()| "ok".to_owned());
    let checks = readiness.checks().map(|(name, check)| (name, outcome(check))).into();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    answer::json(status, answer::JSON, &Ready { ready, checks, warm_up })
}

#[derive(Serialize)]
struct Ready<'a> {
    ready: bool,
    checks: BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    warm_up: Option<WarmUp<'a>>,
}

#[derive(Serialize)]
struct WarmUp<'a> {
    ready: bool,
    duration_ms: u64,
    #[serde(flatten)]
    milestones: &'a Milestones,
    cause: Option<&'static str>,
    /// Those that the caller may know of.
    missing_topics: Vec<&'a TopicName>,
}
