//! Bounded waiting for something that can be observed.

use std::future::Future;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// How often a state is checked.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The result of one check: the awaited value, or a description of what was seen instead.
pub type Look<T> = std::result::Result<T, String>;

/// Checks repeatedly until the value is available.
///
/// # Errors
/// [`Error::TimedOut`] with the last description once `limit` has passed.
pub async fn wait_until<T, F>(what: &str, limit: Duration, mut look: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Look<T>>,
{
    let start = Instant::now();
    loop {
        let last_seen = match look().await {
            Ok(found) => return Ok(found),
            Err(seen) => seen,
        };
        if start.elapsed() >= limit {
            return Err(Error::TimedOut { what: what.to_owned(), limit, last_seen });
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn returns_what_is_found_after_some_looks() {
        let mut looks = 0;
        let found = wait_until("three looks", Duration::from_secs(5), || {
            looks += 1;
            let answer = if looks == 3 { Ok(looks) } else { Err(format!("{looks} looks")) };
            std::future::ready(answer)
        });
        assert_eq!(found.await.unwrap(), 3);
    }

    #[tokio::test]
    async fn a_wait_that_ends_says_what_was_seen_last() {
        let look = || std::future::ready(Err::<(), _>("two brokers".to_owned()));
        let error = wait_until("three brokers", Duration::from_millis(1), look).await.unwrap_err();
        assert_eq!(error.to_string(), "three brokers did not happen within 1ms; last seen: two brokers");
    }
}
