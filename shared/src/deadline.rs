//! How much time an invocation has left.

use std::time::{Duration, Instant, SystemTime};

/// The moment by which an invocation must have answered, on the monotonic clock.
///
/// An invocation is not frozen between its start and its answer, so the monotonic clock is right *within* one;
/// across invocations, only the wall clock is.
///
/// ```
/// use std::time::Duration;
///
/// use msk_shared::deadline::Deadline;
///
/// let deadline = Deadline::after(Duration::from_secs(10)).less(Duration::from_secs(1));
/// assert!(deadline.remaining() <= Duration::from_secs(9));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline(Instant);

impl Deadline {
    /// The deadline given by the Lambda runtime; `None` if it has already passed, like the one in 1970 that
    /// `cargo lambda watch` always sends.
    pub fn from_lambda(deadline: SystemTime) -> Option<Self> {
        let left = deadline.duration_since(SystemTime::now()).ok().filter(|left| !left.is_zero())?;
        Some(Self::after(left))
    }

    /// A deadline that is `left` from now.
    pub fn after(left: Duration) -> Self {
        Self(Instant::now() + left)
    }

    /// Time left; zero once the deadline has passed.
    pub fn remaining(&self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Time left after setting `reserve` aside; zero if less than that is left.
    pub fn remaining_less(&self, reserve: Duration) -> Duration {
        self.remaining().saturating_sub(reserve)
    }

    /// The earlier of this deadline and `limit` from now.
    #[must_use]
    pub fn at_most(self, limit: Duration) -> Self {
        Self(self.0.min(Instant::now() + limit))
    }

    /// The same deadline, `reserve` earlier.
    #[must_use]
    pub fn less(self, reserve: Duration) -> Self {
        Self(self.0.checked_sub(reserve).unwrap_or_else(Instant::now))
    }

    /// The moment itself, for `tokio::time::timeout_at`.
    pub fn instant(&self) -> Instant {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_in_the_past_is_none() {
        assert_eq!(Deadline::from_lambda(SystemTime::UNIX_EPOCH + Duration::from_secs(600)), None);
    }

    #[test]
    fn a_deadline_ahead_is_kept() {
        let deadline = Deadline::from_lambda(SystemTime::now() + Duration::from_secs(5)).unwrap();
        assert!(deadline.remaining() <= Duration::from_secs(5));
        assert!(deadline.remaining() > Duration::from_secs(4));
        assert!(deadline.remaining_less(Duration::from_secs(6)).is_zero());
        assert!(deadline.at_most(Duration::from_secs(1)).remaining() <= Duration::from_secs(1));
    }
}
