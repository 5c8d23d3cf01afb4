//! Statistics of answers: how many of each kind, and how long they took.

use std::{collections::BTreeMap, fmt, time::Duration};

/// The answer to one request.
#[derive(Clone, Debug, Default)]
pub struct RequestResult {
    /// Which client of the load sent the request.
    pub client: usize,
    /// When it was sent, counted from the load's start.
    pub sent_at: Duration,
    /// How long the answer took.
    pub duration: Duration,
    /// The time left until the deadline when the answer arrived.
    pub remaining: Duration,
    /// The HTTP status; 0 if the function gave none.
    pub status: u16,
    /// `retriable` of the problem document.
    pub retriable: Option<bool>,
    /// `persisted` of the problem document.
    pub persisted: Option<String>,
    /// `detail` of the problem document: the cause, for the caller.
    pub detail: Option<String>,
    /// The failure of the invocation, if there was no answer.
    pub failure: Option<String>,
}

impl RequestResult {
    /// Whether the status is a 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// What a caller can see: status, retriable, persisted.
type AnswerClass = (u16, Option<bool>, Option<String>);

/// Statistics of answers.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Number of answers.
    pub requests: usize,
    /// Number of answers without a 2xx.
    pub failed: usize,
    /// The longest time to an answer.
    pub longest: Duration,
    /// The median time to an answer.
    pub median: Duration,
    /// The 99th percentile of the time to an answer.
    pub p99: Duration,
    /// The shortest time left until a deadline.
    pub least_remaining: Duration,
    /// How often each kind of answer occurred.
    pub kinds: BTreeMap<AnswerClass, usize>,
    /// Up to five distinct failures of invocations.
    pub failures: Vec<String>,
}

impl Summary {
    /// Computes the statistics of `answers`.
    pub fn new(answers: &[RequestResult]) -> Self {
        let mut durations: Vec<Duration> = answers.iter().map(|answer| answer.duration).collect();
        durations.sort_unstable();
        let quantile = |share: f64| {
            // An f64 represents counts of this size exactly.
            let index = (durations.len().saturating_sub(1) as f64 * share).round() as usize;
            durations.get(index).copied().unwrap_or_default()
        };
        let mut summary = Self {
            requests: answers.len(),
            failed: answers.iter().filter(|answer| !answer.is_success()).count(),
            longest: quantile(1.0),
            median: quantile(0.5),
            p99: quantile(0.99),
            least_remaining: answers.iter().map(|answer| answer.remaining).min().unwrap_or_default(),
            ..Self::default()
        };
        for answer in answers {
            let kind = (answer.status, answer.retriable, answer.persisted.clone());
            *summary.kinds.entry(kind).or_default() += 1;
            if let Some(failure) = &answer.failure
                && summary.failures.len() < 5
                && !summary.failures.contains(failure)
            {
                summary.failures.push(failure.clone());
            }
        }
        summary
    }

    /// Number of answers with this status.
    pub fn with_status(&self, status: u16) -> usize {
        self.kinds.iter().filter(|((found, ..), _)| *found == status).map(|(_, count)| count).sum()
    }

    /// Number of answers with this value of `persisted`.
    pub fn with_persisted(&self, persisted: &str) -> usize {
        self.kinds.iter().filter(|((.., found), _)| found.as_deref() == Some(persisted)).map(|(_, count)| count).sum()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} requests, {} non-2xx, p50 {:.0?}, p99 {:.0?}, longest {:.2?}",
            self.requests, self.failed, self.median, self.p99, self.longest
        )?;
        for ((status, retriable, persisted), count) in &self.kinds {
            write!(formatter, "; {count} x {status}")?;
            if let Some(persisted) = persisted {
                write!(formatter, " persisted={persisted}")?;
            }
            if let Some(retriable) = retriable {
                write!(formatter, " retriable={retriable}")?;
            }
        }
        for failure in &self.failures {
            write!(formatter, "; {failure}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_by_what_a_caller_sees() {
        let answers: Vec<RequestResult> = (1..=100)
            .map(|number| RequestResult {
                duration: Duration::from_millis(number),
                remaining: Duration::from_secs(number),
                status: if number <= 97 { 200 } else { 503 },
                persisted: (number > 97).then(|| "no".to_owned()),
                ..RequestResult::default()
            })
            .collect();
        let summary = Summary::new(&answers);
        assert_eq!((summary.requests, summary.failed, summary.with_status(503)), (100, 3, 3));
        assert_eq!((summary.with_persisted("no"), summary.with_persisted("unknown")), (3, 0));
        assert_eq!((summary.longest, summary.least_remaining), (Duration::from_millis(100), Duration::from_secs(1)));
    }
}
