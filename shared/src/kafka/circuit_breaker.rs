//! After several failed requests in a row the next ones fail fast, until one succeeds.

use std::sync::atomic::{AtomicU32, Ordering};

use super::failure::FailureCause;
use super::publish::PublishResult;

/// Failed requests in a row that open it.
const FAILURES: u32 = 3;

/// Counts failed requests in a row. Replacing the client does not close it: only a success does.
#[derive(Debug, Default)]
pub(super) struct CircuitBreaker(AtomicU32);

impl CircuitBreaker {
    /// Whether the next request must not wait.
    pub(super) fn is_open(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= FAILURES
    }

    pub(super) fn note_failure(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Only failures that a new client could mend count.
    pub(super) fn note_results(&self, results: &[PublishResult]) {
        let mendable = |result: &PublishResult| {
            let Err(failure) = result else { return false };
            matches!(
                failure.cause,
                FailureCause::BrokersUnreachable
                    | FailureCause::TimedOut
                    | FailureCause::Fatal
                    | FailureCause::Authentication
            )
        };
        if results.iter().any(Result::is_ok) {
            self.0.store(0, Ordering::Relaxed);
        } else if results.iter().any(mendable) {
            self.note_failure();
        }
    }
}
