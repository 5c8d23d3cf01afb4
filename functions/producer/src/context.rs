//! What belongs to one request, whatever brought it: its id, its deadline, its trace.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use msk_shared::deadline::Deadline;

use crate::request::carried;

/// API Gateway gives up after 30 s (HTTP API quotas, "maximum integration timeout"); the answer needs its way too.
pub(crate) const LONGEST: Duration = Duration::from_secs(28);

/// What Lambda says of an invocation.
#[derive(Debug, Clone)]
pub(crate) struct Invocation {
    /// Lambda's id of the invocation: the one in its own log lines.
    pub(crate) request_id: String,
    /// When Lambda ends it.
    pub(crate) deadline: Deadline,
}

impl Invocation {
    /// Of Lambda's context. `cargo lambda watch` sends a deadline in 1970; then [`LONGEST`] is assumed.
    pub(crate) fn new(request_id: &str, deadline: SystemTime) -> Self {
        let deadline =
            Deadline::from_lambda(deadline).map_or_else(|| Deadline::after(LONGEST), |it| it.at_most(LONGEST));
        Self { request_id: request_id.to_owned(), deadline }
    }

    /// Of a plain HTTP request.
    pub(crate) fn plain() -> Self {
        Self { request_id: random_id(), deadline: Deadline::after(LONGEST) }
    }
}

/// One request's context, an extension of the request.
#[derive(Debug, Clone)]
pub(crate) struct RequestInfo {
    /// In the answer and on every log line.
    pub(crate) request_id: String,
    /// By when the answer must be out.
    pub(crate) deadline: Deadline,
    /// The trace that the request belongs to.
    pub(crate) trace_id: Option<String>,
}

impl RequestInfo {
    pub(crate) fn new(invocation: Invocation, headers: &HeaderMap) -> Self {
        let Invocation { request_id, deadline } = invocation;
        Self { request_id, deadline, trace_id: carried::trace_id(headers) }
    }
}

/// An id for logs and answers: unlikely to repeat, no secret. `RandomState` is seeded by the system and differs each time.
fn random_id() -> String {
    let half = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", half(), half())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ() {
        let ids: std::collections::HashSet<String> = (0..1_000).map(|_| random_id()).collect();
        assert_eq!(ids.len(), 1_000);
        assert!(ids.iter().all(|id| id.len() == 32));
    }

    #[test]
    fn no_deadline_lies_behind_the_gateways() {
        let in_a_minute = Invocation::new("r", SystemTime::now() + Duration::from_secs(60));
        let in_1970 = Invocation::new("r", SystemTime::UNIX_EPOCH + Duration::from_secs(600));
        let soon = Invocation::new("r", SystemTime::now() + Duration::from_secs(3));
        assert!(in_a_minute.deadline.remaining() <= LONGEST);
        assert!(in_1970.deadline.remaining() > LONGEST - Duration::from_secs(1));
        assert!(soon.deadline.remaining() <= Duration::from_secs(3));
    }
}
