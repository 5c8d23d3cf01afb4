//! What to do after an invocation: a pure function of the batch, the response and the policy.
//!
//! Where AWS's documentation is silent: a split does not use up a retry (as AWS says for Kinesis), a response that names failed
//! records does; throttling and an unreachable endpoint do not.

use std::collections::{BTreeMap, BTreeSet};

use msk_shared::event::{Mistake, MskEvent, Verdict, judge, names_failures, overlooked};

use super::invoke::Observation;
use super::mapping::{FailurePolicy, PartialBatch};
use super::setting_flags::setting;

/// Why records are redelivered or given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    FunctionError(String),
    Timeout(String),
    /// The response reports these records as failed.
    Reported,
    /// The response breaks the rules of `ReportBatchItemFailures`.
    MalformedAnswer(Mistake),
    Throttled,
    Unreachable(String),
}

impl Failure {
    /// The name in the output.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::FunctionError(_) => "function_error",
            Self::Timeout(_) => "timeout",
            Self::Reported => "reported",
            Self::MalformedAnswer(_) => "malformed_answer",
            Self::Throttled => "throttled",
            Self::Unreachable(_) => "unreachable",
        }
    }

    /// Further details, if any.
    pub(super) fn detail(&self) -> Option<String> {
        match self {
            Self::FunctionError(text) | Self::Timeout(text) | Self::Unreachable(text) => Some(text.clone()),
            Self::MalformedAnswer(mistake) => Some(format!("the whole batch will be redelivered: {mistake}")),
            Self::Reported | Self::Throttled => None,
        }
    }
}

/// What to do with a batch after an invocation. Positions refer to the batch and are ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NextStep {
    /// Every record is finished.
    Done {
        /// What the response seems to say about failures and AWS does not read.
        overlooked: Option<String>,
    },
    /// The records at these positions are redelivered after a pause; the others are finished.
    Retry {
        positions: Vec<usize>,
        failure: Failure,
        /// Whether one of the allowed retries is used up.
        uses_retry: bool,
    },
    /// The batch is split: the records before position `at` are delivered first, then the others. This does not use up a retry.
    Split { at: usize, failure: Failure },
    /// No retries are left: the records at these positions are given up, the others are finished.
    GiveUp { positions: Vec<usize>, failure: Failure },
}

/// Decides what to do next. `event` is the batch as it was sent, with its records in the order of the batch; `retries_used` counts
/// the retries before this invocation.
pub(super) fn decide(
    event: &MskEvent,
    observation: Observation,
    retries_used: u32,
    policy: &FailurePolicy,
) -> NextStep {
    let retry = |positions, failure, uses_retry| NextStep::Retry { positions, failure, uses_retry };
    let everything = || (0..event.len()).collect::<Vec<_>>();
    let (positions, failure) = match observation {
        Observation::Returned(body) => match failed_positions(event, &body, policy.report_batch_item_failures) {
            None => return NextStep::Done { overlooked: overlooked_failures(&body, policy) },
            Some(failed) => failed,
        },
        Observation::FunctionError(text) => (everything(), Failure::FunctionError(text)),
        Observation::Timeout(text) => (everything(), Failure::Timeout(text)),
        Observation::Throttled => return retry(everything(), Failure::Throttled, false),
        Observation::Unreachable(text) => return retry(everything(), Failure::Unreachable(text), false),
    };
    if policy.bisect && event.len() > 1 && failure != Failure::Reported {
        return NextStep::Split { at: event.len().div_ceil(2), failure };
    }
    if policy.max_retries.is_some_and(|max| retries_used >= max) {
        return NextStep::GiveUp { positions, failure };
    }
    retry(positions, failure, true)
}

/// A response that finishes the batch and yet seems to report failures: on AWS these records would be lost in silence.
fn overlooked_failures(body: &[u8], policy: &FailurePolicy) -> Option<String> {
    if policy.report_batch_item_failures.is_some() {
        return overlooked(body).map(|overlooked| overlooked.to_string());
    }
    names_failures(body).then(|| {
        let setting = setting("FunctionResponseTypes");
        format!("the response names failed records, which this mapping does not read: set {setting} to ReportBatchItemFailures")
    })
}

/// The records that a response reports as failed; `None` if every record is done.
fn failed_positions(event: &MskEvent, body: &[u8], partial: Option<PartialBatch>) -> Option<(Vec<usize>, Failure)> {
    // Without `ReportBatchItemFailures`, AWS ignores the response entirely.
    let semantics = partial?;
    match judge(event, body) {
        Verdict::AllDone => None,
        Verdict::RetryAll(mistake) => Some(((0..event.len()).collect(), Failure::MalformedAnswer(mistake))),
        Verdict::Failed(ids) => {
            let failed: BTreeSet<_> = ids.iter().map(|id| (id.partition, id.offset)).collect();
            let mut first_failed = BTreeMap::new();
            for (partition, offset) in &failed {
                first_failed.entry(*partition).or_insert(*offset);
            }
            let again = |partition, offset: i64| match semantics {
                PartialBatch::Items => failed.contains(&(partition, offset)),
                PartialBatch::Checkpoint => first_failed.get(&partition).is_some_and(|first| offset >= *first),
            };
            let positions = event.records().enumerate().filter(|(_, r)| again(r.partition(), r.offset()));
            Some((positions.map(|(position, _)| position).collect(), Failure::Reported))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use msk_shared::event::Record;

    use super::*;

    const POLICY: FailurePolicy = FailurePolicy {
        max_retries: None,
        max_record_age: None,
        bisect: false,
        report_batch_item_failures: Some(PartialBatch::Items),
        backoff: Duration::from_secs(1),
        max_backoff: Duration::from_secs(30),
    };

    /// Offsets 5, 6, 9 of `a-b-0` and 5 of `a-b-1`.
    fn event() -> MskEvent {
        MskEvent::new([(0, 5), (0, 6), (0, 9), (1, 5)].map(|(partition, offset)| Record::new("a-b", partition, offset)))
    }

    fn answered(body: &str, policy: &FailurePolicy) -> NextStep {
        decide(&event(), Observation::Returned(body.as_bytes().to_vec()), 0, policy)
    }

    fn naming(items: &[(&str, i64)]) -> String {
        let items: Vec<_> = items
            .iter()
            .map(|(partition, offset)| {
                format!(r#"{{"itemIdentifier":{{"partition":"{partition}","offset":{offset}}}}}"#)
            })
            .collect();
        format!(r#"{{"batchItemFailures":[{}]}}"#, items.join(","))
    }

    #[test]
    fn an_answer_without_failures_finishes_the_batch() {
        for body in
            ["", " ", "null", "{}", r#"{"batchItemFailures":[]}"#, r#"{"batchItemFailures":null}"#, r#"{"a":1}"#]
        {
            assert!(matches!(answered(body, &POLICY), NextStep::Done { .. }), "{body}");
        }
    }

    #[test]
    fn without_report_batch_item_failures_any_answer_finishes_the_batch() {
        let policy = FailurePolicy { report_batch_item_failures: None, ..POLICY };
        for body in ["", "text", "[1]", &naming(&[("a-b-0", 5)]), r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#]
        {
            assert!(matches!(answered(body, &policy), NextStep::Done { .. }), "{body}");
        }
    }

    #[test]
    fn a_response_whose_failures_nobody_reads_is_told() {
        let overlooked = |body: &str, policy: &FailurePolicy| match answered(body, policy) {
            NextStep::Done { overlooked } => overlooked.unwrap_or_default(),
            other => panic!("{body}: {other:?}"),
        };
        let unread = FailurePolicy { report_batch_item_failures: None, ..POLICY };
        assert!(overlooked(&naming(&[("a-b-0", 5)]), &unread).contains("--function-response-types"));
        assert!(overlooked(r#"{"BatchItemFailures":[]}"#, &POLICY).contains("batchItemFailures"));
        for body in ["", "null", r#"{"batchItemFailures":[]}"#] {
            assert_eq!(
                (overlooked(body, &POLICY), overlooked(body, &unread)),
                (String::new(), String::new()),
                "{body}"
            );
        }
    }

    #[test]
    fn only_the_named_records_are_delivered_again() {
        let body = naming(&[("a-b-1", 5), ("a-b-0", 6)]);
        let retry = |positions| NextStep::Retry { positions, failure: Failure::Reported, uses_retry: true };
        assert_eq!(answered(&body, &POLICY), retry(vec![1, 3]));
        let checkpoint = FailurePolicy { report_batch_item_failures: Some(PartialBatch::Checkpoint), ..POLICY };
        assert_eq!(answered(&body, &checkpoint), retry(vec![1, 2, 3]));
        assert_eq!(answered(&naming(&[("a-b-0", 6)]), &checkpoint), retry(vec![1, 2]));
    }

    #[test]
    fn a_malformed_answer_retries_the_whole_batch() {
        let cases = [
            naming(&[("a-b-0", 6), ("a-b-0", 7)]),
            naming(&[("a-0", 5)]),
            r#"{"batchItemFailures":[{"itemIdentifier":"a-b-0@5"}]}"#.to_owned(),
            r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#.to_owned(),
            r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#.to_owned(),
            r#"{"batchItemFailures":[{"itemIdentifier":{}}]}"#.to_owned(),
            r#"{"batchItemFailures":[{}]}"#.to_owned(),
            r#"{"batchItemFailures":[{"itemIdentifier":{"topic-partition":"a-b-0","offset":5}}]}"#.to_owned(),
            r#"{"batchItemFailures":[{"itemIdentifier":{"partition":"a-b-0","offset":"5"}}]}"#.to_owned(),
            "text".to_owned(),
        ];
        for body in cases {
            match answered(&body, &POLICY) {
                NextStep::Retry { positions, failure: Failure::MalformedAnswer(_), uses_retry: true } => {
                    assert_eq!(positions, [0, 1, 2, 3], "{body}");
                }
                other => panic!("{body}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_retry_is_used_up_by_failures_of_the_function_only() {
        let cases = [
            (Observation::FunctionError("E: m".to_owned()), true),
            (Observation::Timeout("late".to_owned()), true),
            (Observation::Throttled, false),
            (Observation::Unreachable("refused".to_owned()), false),
        ];
        for (observation, expected) in cases {
            match decide(&event(), observation.clone(), 0, &POLICY) {
                NextStep::Retry { positions, uses_retry, .. } => {
                    assert_eq!((positions.len(), uses_retry), (4, expected), "{observation:?}");
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn the_last_retry_gives_up_and_only_then() {
        let policy = FailurePolicy { max_retries: Some(2), ..POLICY };
        let failed = || Observation::FunctionError("E: m".to_owned());
        assert!(matches!(decide(&event(), failed(), 1, &policy), NextStep::Retry { .. }));
        assert!(
            matches!(decide(&event(), failed(), 2, &policy), NextStep::GiveUp { positions, .. } if positions.len() == 4)
        );
        assert!(matches!(decide(&event(), Observation::Throttled, 2, &policy), NextStep::Retry { .. }));
        let body = naming(&[("a-b-0", 9)]).into_bytes();
        let step = decide(&event(), Observation::Returned(body), 2, &policy);
        assert_eq!(step, NextStep::GiveUp { positions: vec![2], failure: Failure::Reported });
    }

    #[test]
    fn bisecting_halves_a_failed_batch_but_not_a_reported_one_nor_a_single_record() {
        let policy = FailurePolicy { bisect: true, max_retries: Some(0), ..POLICY };
        let failed = Observation::FunctionError("E: m".to_owned());
        assert!(matches!(decide(&event(), failed.clone(), 0, &policy), NextStep::Split { at: 2, .. }));
        assert!(matches!(answered(&naming(&[("a-b-0", 5)]), &policy), NextStep::GiveUp { .. }));
        let single = MskEvent::new([Record::new("a-b", 0, 5)]);
        assert!(matches!(decide(&single, failed, 0, &policy), NextStep::GiveUp { .. }));
    }
}
