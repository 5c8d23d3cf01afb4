//! How much time an invocation has left.

use std::time::{Duration, Instant, SystemTime};

/// The moment by which an invocation must have answered, on the monotonic clock.
///
/// An invocation runs without a freeze from its start to its answer, so the monotonic clock is right *within* one;
/// across invocations only the wall clock is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    at: Instant,
    known: bool,
}

impl Deadline {
    /// The deadline that the Lambda runtime gave, or `assumed` from now when that lies in the past:
    /// `cargo lambda watch` always sends 1970.
    pub fn of_invocation(deadline: SystemTime, assumed: Duration) -> Self {
        match deadline.duration_since(SystemTime::now()) {
            Ok(left) if !left.is_zero() => Self { at: Instant::now() + left, known: true },
            _ => Self { at: Instant::now() + assumed, known: false },
        }
    }

    /// A deadline `left` from now.
    pub fn after(left: Duration) -> Self {
        Self { at: Instant::now() + left, known: true }
    }

    /// Time left; zero once it has passed.
    pub fn remaining(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    /// Time left after keeping `reserve` back; zero if there is less.
    pub fn remaining_less(&self, reserve: Duration) -> Duration {
        self.remaining().saturating_sub(reserve)
    }

    /// The earlier of this deadline and `limit` from now.
    #[must_use]
    pub fn at_most(self, limit: Duration) -> Self {
        Self { at: self.at.min(Instant::now() + limit), known: self.known }
    }

    /// The same deadline, `reserve` earlier.
    #[must_use]
    pub fn less(self, reserve: Duration) -> Self {
        Self { at: self.at.checked_sub(reserve).unwrap_or_else(Instant::now), known: self.known }
    }

    /// Whether the runtime gave this deadline (`false`: it was assumed).
    pub fn is_known(&self) -> bool {
        self.known
    }

    /// The moment itself, for `tokio::time::timeout_at`.
    pub fn instant(&self) -> Instant {
        self.at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_in_the_past_is_unknown_and_replaced_by_the_assumed_time() {
        let deadline =
            Deadline::of_invocation(SystemTime::UNIX_EPOCH + Duration::from_secs(600), Duration::from_secs(20));
        assert!(!deadline.is_known());
        assert!(deadline.remaining() > Duration::from_secs(19));
    }

    #[test]
    fn a_deadline_ahead_is_kept() {
        let deadline = Deadline::of_invocation(SystemTime::now() + Duration::from_secs(5), Duration::from_secs(20));
        assert!(deadline.is_known());
        assert!(deadline.remaining() <= Duration::from_secs(5));
        assert!(deadline.remaining_less(Duration::from_secs(6)).is_zero());
        assert!(deadline.at_most(Duration::from_secs(1)).remaining() <= Duration::from_secs(1));
    }
}
