//! When a client may no longer be trusted, and when to fail fast.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::PublishResult;
use super::client::Client;
use super::failure::FailureCause;
use super::sabotage::{self, Sabotage};
use super::token::TokenSource;

/// A frozen environment stops the monotonic clock and kills connections silently; after a gap this long by the wall clock
/// the client is replaced. Brokers and network devices drop idle connections after 350 s to 10 min.
const FREEZE: Duration = Duration::from_secs(5 * 60);
/// Failed requests in a row after which the client is replaced and further requests fail fast.
const FAILURES: u32 = 3;
/// Youngest age at which failures replace a client that cannot connect. A new one tries at once, where the old one waits up
/// to 3 s between tries: so the first request after an outage succeeds.
const MIN_AGE: Duration = Duration::from_secs(1);
/// The same when the cluster refuses our credentials: MSK limits new connections, and trying again soon changes nothing.
const MIN_AGE_REFUSED: Duration = Duration::from_secs(5);

/// Why a client is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReplaceReason {
    /// librdkafka reported a fatal error.
    Fatal,
    /// Records were taken back from it.
    Purged,
    /// The environment was frozen for long.
    Frozen,
    /// Its token has ended.
    TokenExpired,
    /// It asked for a token when none could be had.
    TokenFailed,
    /// Several requests in a row failed.
    Failures,
}

impl ReplaceReason {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Fatal => "fatal_error",
            Self::Purged => "purged",
            Self::Frozen => "frozen",
            Self::TokenExpired => "token_expired",
            Self::TokenFailed => "token_failed",
            Self::Failures => "failures",
        }
    }
}

/// What the publisher remembers from request to request.
#[derive(Debug, Default)]
pub(super) struct Guard {
    /// Wall clock of the last success, milliseconds since the epoch; 0 before the first.
    last_activity_ms: AtomicU64,
    failures: AtomicU32,
    rebuilds: AtomicU64,
    past_auth_failures: AtomicU64,
}

impl Guard {
    /// Whether requests have failed so often in a row that the next one must not wait.
    pub(super) fn is_open(&self) -> bool {
        self.failures.load(Ordering::Relaxed) >= FAILURES
    }

    pub(super) fn why_replace(&self, client: &Client, tokens: Option<&TokenSource>) -> Option<ReplaceReason> {
        if sabotage::is_on(Sabotage::NoRebuild) {
            return None;
        }
        let refused = client.context().trouble() == Some(FailureCause::Authentication);
        let old_enough = client.age() >= if refused { MIN_AGE_REFUSED } else { MIN_AGE };
        let last = self.last_activity_ms.load(Ordering::Relaxed);
        let gap_ms = now_ms().abs_diff(last);
        if client.is_retired() {
            Some(ReplaceReason::Purged)
        } else if client.fatal_error().is_some() {
            Some(ReplaceReason::Fatal)
        } else if last > 0 && u128::from(gap_ms) >= FREEZE.as_millis() {
            Some(ReplaceReason::Frozen)
        } else if last > 0 && tokens.is_some_and(TokenSource::has_expired) {
            Some(ReplaceReason::TokenExpired)
        } else if client.context().token_failed() {
            Some(ReplaceReason::TokenFailed)
        } else if self.is_open() && old_enough {
            Some(ReplaceReason::Failures)
        } else {
            None
        }
    }

    pub(super) fn note_activity(&self) {
        self.last_activity_ms.store(now_ms(), Ordering::Relaxed);
    }

    pub(super) fn note_failure(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    /// A success closes the breaker; only failures that a new client could mend count towards it.
    pub(super) fn note_results(&self, results: &[PublishResult]) {
        let mendable = |result: &PublishResult| {
            matches!(
                result,
                Err(failure) if matches!(
                    failure.cause,
                    FailureCause::BrokersUnreachable | FailureCause::TimedOut | FailureCause::Fatal | FailureCause::Authentication
                )
            )
        };
        if results.iter().any(Result::is_ok) {
            self.failures.store(0, Ordering::Relaxed);
            self.note_activity();
        } else if results.iter().any(mendable) {
            self.note_failure();
        }
    }

    /// The new client starts with a clean slate but for the failures: they open the breaker until something succeeds.
    pub(super) fn note_replaced(&self, auth_failures: u64) {
        self.rebuilds.fetch_add(1, Ordering::Relaxed);
        self.past_auth_failures.fetch_add(auth_failures, Ordering::Relaxed);
        self.note_activity();
    }

    pub(super) fn rebuilds(&self) -> u64 {
        self.rebuilds.load(Ordering::Relaxed)
    }

    pub(super) fn past_auth_failures(&self) -> u64 {
        self.past_auth_failures.load(Ordering::Relaxed)
    }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}
