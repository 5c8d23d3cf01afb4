//! Deliveries that do not get on: told once, and again while it lasts, with what to do.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::mapping::Mapping;
use super::outcome::Failure;
use super::setting_flags::setting;
use crate::output::{Line, Reporter, StalledLine};

/// How long a batch may fail before that is told: a function that is started again takes a moment, and each failed invocation has
/// a line of its own.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often it is told again.
const REPEATED: Duration = Duration::from_secs(30);

/// Tells of one mapping's stalled batches, of all of them together at most once in [`REPEATED`].
pub(super) struct StallReporter {
    mapping: Arc<Mapping>,
    reporter: Arc<Reporter>,
    last: Mutex<Option<Instant>>,
}

impl StallReporter {
    pub(super) fn new(mapping: &Arc<Mapping>, reporter: &Arc<Reporter>) -> Self {
        Self { mapping: Arc::clone(mapping), reporter: Arc::clone(reporter), last: Mutex::new(None) }
    }

    /// A batch of so many records failed again, first at `since`.
    pub(super) fn failed(&self, failure: &Failure, records: usize, since: Instant) {
        if since.elapsed() >= PATIENCE {
            let advice = advice(failure, self.mapping.failures.max_retries);
            self.tell(failure.name(), failure.detail(), advice, records, since);
        }
    }

    /// Runs until it is dropped, while an invocation has no answer: the first one, or after others were `answered`. What hosts the
    /// function may build it again at any time, for it was saved.
    pub(super) async fn unanswered(&self, records: usize, since: Instant, answered: bool) -> Infallible {
        loop {
            tokio::time::sleep(REPEATED).await;
            let (what, limit) = match answered {
                false => ("it may still be building", "Local.firstInvocationTimeoutSeconds"),
                true => ("it takes long, is building, or does not build", "Local.functionTimeoutSeconds"),
            };
            let advice = format!("{what}; its log says so. {} is how long that may take", setting(limit));
            self.tell("no_answer_yet", None, advice, records, since);
        }
    }

    fn tell(&self, cause: &'static str, detail: Option<String>, advice: String, records: usize, since: Instant) {
        let now = Instant::now();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_some_and(|last| now.duration_since(last) < REPEATED) {
            return;
        }
        *last = Some(now);
        drop(last);
        self.reporter.line(&Line::Stalled(StalledLine {
            function: self.mapping.function.clone(),
            topic: self.mapping.topic.to_string(),
            records,
            waiting_s: since.elapsed().as_secs(),
            cause,
            detail,
            advice,
        }));
    }
}

/// What to do about it. Without a bound of retries the records come again for ever.
fn advice(failure: &Failure, max_retries: Option<u32>) -> String {
    let until = |done: &str| match max_retries {
        None => format!("come again until {done}; {} would bound that", setting("MaximumRetryAttempts")),
        Some(retries) => format!("are given up after {retries} retries, unless {done} before"),
    };
    match failure {
        Failure::Unreachable(_) => {
            format!("start the function, or correct {}; what it is sent waits for it", setting("Local.invokeUrl"))
        }
        Failure::FunctionError(_) => {
            format!("the function's log says why it fails; these records {}", until("it succeeds"))
        }
        Failure::Timeout(_) => {
            format!("make the function faster, or {} longer", setting("Local.functionTimeoutSeconds"))
        }
        Failure::Reported => format!("the function names these records as failed; they {}", until("it does not")),
        Failure::MalformedAnswer(_) => {
            format!("correct the function's response, or take {} out", setting("FunctionResponseTypes"))
        }
        Failure::Throttled => format!(
            "the endpoint takes no more requests; {} bounds how many it is sent at once",
            setting("Local.maxConcurrency")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_has_advice_that_names_what_to_change() {
        let text = String::new;
        let cases = [
            (Failure::Unreachable(text()), "--invoke-url"),
            (Failure::FunctionError(text()), "--maximum-retry-attempts"),
            (Failure::Timeout(text()), "--function-timeout"),
            (Failure::Reported, "--maximum-retry-attempts"),
            (Failure::Throttled, "--max-concurrency"),
        ];
        for (failure, flag) in cases {
            let advice = advice(&failure, None);
            assert!(advice.contains(flag), "{failure:?}: {advice}");
        }
        let bounded = advice(&Failure::FunctionError(String::new()), Some(2));
        assert!(
            bounded.ends_with("these records are given up after 2 retries, unless it succeeds before"),
            "{bounded}"
        );
    }
}
