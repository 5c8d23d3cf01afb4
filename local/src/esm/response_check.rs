//! A function's response judged without an invocation: what the mapping would do with the batch.

use msk_shared::event::{MskEvent, Verdict, judge, overlooked};

use super::invoke::is_error_report;

/// What the mapping would do after a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseCheck {
    /// `done`, `reported`, `malformed_answer` or `function_error`, as in the lines about invocations.
    pub outcome: &'static str,
    /// How many records the event has.
    pub records: usize,
    /// The records that are redelivered, as `topic-partition@offset`, in the order of the event.
    pub redelivered: Vec<String>,
    /// What is wrong with the response.
    pub mistake: Option<String>,
    /// What the response seems to say and AWS does not read.
    pub warning: Option<String>,
}

/// Judges the body of a response to `event` with `ReportBatchItemFailures`.
pub fn check(event: &MskEvent, body: &[u8]) -> ResponseCheck {
    let all = || event.records().map(|record| record.id().to_string()).collect();
    let check = |outcome, redelivered, mistake| ResponseCheck {
        outcome,
        records: event.len(),
        redelivered,
        mistake,
        warning: None,
    };
    if is_error_report(body) {
        let mistake = "the response has errorType and errorMessage, which is how endpoints report a function error; a handler that \
                       returns it on AWS, in place of raising an error, loses the batch";
        return check("function_error", all(), Some(mistake.to_owned()));
    }
    match judge(event, body) {
        Verdict::AllDone => {
            let warning = overlooked(body).map(|overlooked| overlooked.to_string());
            ResponseCheck { warning, ..check("done", Vec::new(), None) }
        }
        Verdict::Failed(ids) => check("reported", ids.iter().map(ToString::to_string).collect(), None),
        Verdict::RetryAll(mistake) => check("malformed_answer", all(), Some(mistake.to_string())),
    }
}
