//! What belongs to one request, however it arrived: its id, its deadline, its caller, its trace.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use msk_shared::deadline::Deadline;

use crate::principal::Principal;
use crate::request::faults::Faults;

/// API Gateway gives up after 30 s (HTTP API quotas, "maximum integration timeout"); the response needs time too.
pub(crate) const LONGEST: Duration = Duration::from_secs(28);

/// An extension of a request; for a plain HTTP request the middleware creates it.
#[derive(Debug, Clone)]
pub(crate) struct RequestInfo {
    /// The id in the response and on every log line. On Lambda it is that of the invocation, as in Lambda's own log lines.
    pub(crate) request_id: String,
    /// When the response must have been sent.
    pub(crate) deadline: Deadline,
    /// Who calls, if a front door has verified it; the plain HTTP server has none that does.
    pub(crate) caller: Option<Arc<Principal>>,
    /// The trace that the request belongs to.
    pub(crate) trace_id: Option<String>,
    /// Why the request is refused without being handled.
    pub(crate) refused: Option<Faults>,
}

impl RequestInfo {
    /// `cargo lambda watch` sends a deadline in 1970; then [`LONGEST`] is assumed.
    pub(crate) fn from_lambda(request_id: &str, deadline: SystemTime) -> Self {
        let deadline =
            Deadline::from_lambda(deadline).map_or_else(|| Deadline::after(LONGEST), |it| it.at_most(LONGEST));
        Self { request_id: request_id.to_owned(), deadline, caller: None, trace_id: None, refused: None }
    }

    pub(crate) fn for_plain_http() -> Self {
        let deadline = Deadline::after(LONGEST);
        Self { request_id: random_id(), deadline, caller: None, trace_id: None, refused: None }
    }

    pub(crate) fn caller(&self) -> Option<&Principal> {
        self.caller.as_deref()
    }
}

/// An id for logs and responses: unlikely to repeat, not secret. `RandomState` is seeded by the system and differs each time.
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
        let in_a_minute = RequestInfo::from_lambda("r", SystemTime::now() + Duration::from_secs(60));
        let in_1970 = RequestInfo::from_lambda("r", SystemTime::UNIX_EPOCH + Duration::from_secs(600));
        let soon = RequestInfo::from_lambda("r", SystemTime::now() + Duration::from_secs(3));
        assert!(in_a_minute.deadline.remaining() <= LONGEST);
        assert!(in_1970.deadline.remaining() > LONGEST - Duration::from_secs(1));
        assert!(soon.deadline.remaining() <= Duration::from_secs(3));
    }
}
