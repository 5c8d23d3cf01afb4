//! Partial failures, errors, crashes and timeouts of each language's function, as AWS documents what follows them.

use msk_local::brokers::EmbeddedBrokers;
use serde_json::{Value, json};

use super::runtimes::Language;
use super::support::{Written, drain, finished, invocations, write};

/// What the records say, the flags of the mapping, and what must come of it.
struct Case {
    name: &'static str,
    records: &'static [&'static str],
    flags: &'static [&'static str],
    /// Outcome and number of records of each invocation, in order.
    invocations: &'static [(&'static str, usize)],
    exit_code: i32,
}

pub(crate) const ONE_RETRY: &[&str] = &["--maximum-retry-attempts", "1"];
pub(crate) const NO_RETRY: &[&str] = &["--maximum-retry-attempts", "0"];
const HALVED: &[&str] = &["--maximum-retry-attempts", "0", "--bisect-batch-on-function-error"];

const CASES: &[Case] = &[
    Case { name: "done", records: &["ok", "ok", "ok"], flags: &[], invocations: &[("done", 3)], exit_code: 0 },
    Case {
        name: "a record is named",
        records: &["ok", "fail", "ok"],
        flags: ONE_RETRY,
        // All records of the second batch fail: see `whole_failure`.
        invocations: &[("reported", 3), ("", 1)],
        exit_code: 4,
    },
    Case {
        name: "an error",
        records: &["ok", "raise"],
        flags: ONE_RETRY,
        invocations: &[("function_error", 2), ("function_error", 2)],
        exit_code: 4,
    },
    Case {
        name: "an error, halved",
        records: &["ok", "raise", "ok", "ok"],
        flags: HALVED,
        invocations: &[("function_error", 4), ("function_error", 2), ("done", 1), ("function_error", 1), ("done", 2)],
        exit_code: 4,
    },
    Case {
        name: "a crash",
        records: &["exit"],
        flags: ONE_RETRY,
        invocations: &[("function_error", 1), ("function_error", 1)],
        exit_code: 4,
    },
    Case { name: "a timeout", records: &["hang"], flags: NO_RETRY, invocations: &[("timeout", 1)], exit_code: 4 },
    // The environment that crashed and the one that timed out have been replaced.
    Case { name: "done again", records: &["ok"], flags: &[], invocations: &[("done", 1)], exit_code: 0 },
];

/// What each language calls the error of `raise`, and what a batch of failed records alone is: Powertools raises
/// `BatchProcessingError` then, by default; the others name the records.
fn whole_failure(language: Language) -> (&'static str, &'static str) {
    match language {
        Language::Python => ("RuntimeError: this batch is refused", "function_error"),
        Language::Node => ("Error: this batch is refused", "reported"),
        Language::Go => ("errorString: this batch is refused", "reported"),
    }
}

/// What else a function of the language can do that is an error: Python is killed, Node throws anything, Go panics.
fn own_errors(language: Language) -> &'static [&'static str] {
    match language {
        Language::Python => &["kill"],
        Language::Node => &["throw text", "throw null", "throw undefined", "throw object"],
        Language::Go => &["panic"],
    }
}

/// Writes the records, delivers them, and returns the invocations, everything that was printed, and the exit code.
pub(crate) fn drained(
    brokers: &EmbeddedBrokers,
    url: &str,
    topic: &str,
    records: &[&str],
    flags: &[&str],
) -> (Vec<Value>, String, i32) {
    let values: Vec<_> = records.iter().map(|what| json!({ "do": what }).to_string()).collect();
    let records: Vec<_> =
        values.iter().map(|value| Written { value: Some(value.as_bytes()), ..Written::default() }).collect();
    write(brokers, topic, &records);
    let (lines, code) = finished("msk-local", &mut drain(brokers, url, topic, flags));
    (invocations(&lines), lines.join("\n"), code)
}

fn is_driven_as_documented(language: Language) {
    let brokers = EmbeddedBrokers::start(&[]).unwrap();
    let function = language.endpoint();
    for what in own_errors(language) {
        let topic = what.replace(' ', "-");
        let (lines, printed, code) = drained(&brokers, &function.url, &topic, &[*what], NO_RETRY);
        let outcomes: Vec<_> = lines.iter().map(|line| line["outcome"].as_str().unwrap()).collect();
        assert_eq!((outcomes, code), (vec!["function_error"], 4), "{language:?}, {what}:\n{printed}");
    }
    let (error, whole_failure) = whole_failure(language);
    for (number, case) in CASES.iter().enumerate() {
        let topic = format!("case-{number}");
        let (lines, printed, code) = drained(&brokers, &function.url, &topic, case.records, case.flags);
        let shown = format!("{language:?}, {}:\n{printed}", case.name);
        let outcomes: Vec<_> =
            lines.iter().map(|line| (line["outcome"].as_str().unwrap(), line["records"].as_u64().unwrap())).collect();
        let expected: Vec<_> = case
            .invocations
            .iter()
            .map(|(outcome, records)| (if outcome.is_empty() { whole_failure } else { *outcome }, *records as u64))
            .collect();
        assert_eq!((outcomes, code), (expected, case.exit_code), "{shown}");
        let details: Vec<_> = lines.iter().filter_map(|line| line["detail"].as_str()).collect();
        let detail = match case.name {
            "an error" => error,
            "a crash" => "Runtime.ExitError",
            "a timeout" => "Task timed out after 3.00 seconds",
            _ => "",
        };
        assert!(detail.is_empty() || details.iter().all(|text| text.contains(detail)), "{shown}");
        let redelivered = lines.first().map(|line| line["retried"].clone());
        assert!(case.name != "a record is named" || redelivered == Some(Value::from(1)), "{shown}");
    }
}

#[test]
#[ignore = "needs awslambdaric and Powertools; stage `peers` runs it"]
fn a_function_in_python() {
    is_driven_as_documented(Language::Python);
}

#[test]
#[ignore = "needs aws-lambda-ric and Powertools; stage `peers` runs it"]
fn a_function_in_node() {
    is_driven_as_documented(Language::Node);
}

#[test]
#[ignore = "needs aws-lambda-go; stage `peers` runs it"]
fn a_function_in_go() {
    is_driven_as_documented(Language::Go);
}
