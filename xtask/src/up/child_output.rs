//! The output of the child processes, and how much of it the user sees.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::sync::mpsc::Sender;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::process::Supervised;

/// A line of a child's output.
#[derive(Debug)]
pub(super) struct OutputLine {
    pub(super) source: &'static str,
    pub(super) text: String,
}

/// Sends every line of the child's standard output and standard error (both must be pipes) to `lines`.
pub(super) fn forward(process: &mut Supervised, lines: &Sender<OutputLine>) -> Result<()> {
    let source = process.name();
    let child = process.child();
    let stdout = child.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>);
    let stderr = child.stderr.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>);
    for pipe in [stdout, stderr].into_iter().flatten() {
        let lines = lines.clone();
        let copy = move || {
            let mut reader = BufReader::new(pipe);
            let mut bytes = Vec::new();
            while reader.read_until(b'\n', &mut bytes).is_ok_and(|length| length > 0) {
                let text = String::from_utf8_lossy(&bytes).trim_end().to_owned();
                bytes.clear();
                if lines.send(OutputLine { source, text }).is_err() {
                    break;
                }
            }
        };
        std::thread::Builder::new().name(source.to_owned()).spawn(copy).context("cannot start a thread")?;
    }
    Ok(())
}

/// Writes every line to the log file, and to the terminal what the user should see.
pub(super) struct Printer {
    log: File,
}

impl Printer {
    pub(super) fn new(log: File) -> Self {
        Self { log }
    }

    pub(super) fn print(&mut self, line: &OutputLine) {
        // `up` continues without its log: a full disk must not stop it.
        let _ = writeln!(self.log, "{}: {}", line.source, line.text);
        if let Some(shown) = show(line) {
            println!("{shown}");
        }
    }
}

/// What the user sees of a line: records and failures, warnings and errors of the functions, and whatever is not JSON,
/// such as a compiler's error, without the routine messages around it.
fn show(line: &OutputLine) -> Option<String> {
    let Ok(value) = serde_json::from_str::<Value>(&line.text) else {
        return (!is_routine(&line.text)).then(|| format!("{}: {}", line.source, line.text));
    };
    match value["event"].as_str() {
        Some("record") => Some(record(&value)),
        Some("invocation") if value["outcome"] != "done" => Some(invocation(&value)),
        Some("stalled") => Some(stalled(&value)),
        Some("broker_chaos") => Some(broker_chaos(&value)),
        _ if matches!(value["level"].as_str(), Some("WARN" | "ERROR")) => log_line(&value),
        _ => None,
    }
}

/// `consumed  orders  partition 2  offset 17`, and by whom if it was not the consumer that everybody has.
fn record(line: &Value) -> String {
    let outcome = if line["outcome"] == "done" { "consumed" } else { "given up" };
    let topic = line["topic"].as_str().unwrap_or_default();
    let consumer = line["function"].as_str().filter(|name| *name != "consumer");
    let by = consumer.map(|name| format!("  by {name}")).unwrap_or_default();
    format!("{outcome}  {topic}  partition {}  offset {}{by}", line["partition"], line["offset"])
}

/// `consumer  reported  orders-2@17..19  attempt 1  1 to be redelivered`.
fn invocation(line: &Value) -> String {
    let text = |member: &str| line[member].as_str().unwrap_or_default().to_owned();
    let mut shown =
        format!("{}  {}  {}  attempt {}", text("function"), text("outcome"), text("offsets"), line["attempt"]);
    for (member, words) in [("retried", "to be redelivered"), ("given_up", "given up")] {
        if let Some(count) = line[member].as_u64().filter(|count| *count > 0) {
            shown.push_str(&format!("  {count} {words}"));
        }
    }
    if let Some(detail) = line["detail"].as_str() {
        shown.push_str(&format!("\n  {detail}"));
    }
    shown
}

/// `chaos  crash  broker 2`, and what came of it.
fn broker_chaos(line: &Value) -> String {
    let mut shown = format!("chaos  {}  broker {}", line["fault"].as_str().unwrap_or_default(), line["broker"]);
    if let (Some(topic), Some(partition)) = (line["topic"].as_str(), line["partition"].as_i64()) {
        shown.push_str(&format!("  leads {topic} partition {partition}"));
    }
    for (member, words) in [("moved", "partitions led by others"), ("delay_ms", "ms")] {
        if let Some(count) = line[member].as_u64() {
            shown.push_str(&format!("  {count} {words}"));
        }
    }
    shown
}

/// `waiting  4 records of orders for consumer  32 s  unreachable`, and what to do.
fn stalled(line: &Value) -> String {
    let text = |member: &str| line[member].as_str().unwrap_or_default();
    let (records, seconds) = (&line["records"], &line["waiting_s"]);
    let (topic, function, cause) = (text("topic"), text("function"), text("cause"));
    // The line's own advice is about flags of `msk-local`.
    let advice = match cause {
        "unreachable" => "it is being built or does not build: the lines above and the log say why",
        "no_answer_yet" | "timeout" => {
            "it takes long, is being built or does not build: the lines above and the log say why"
        }
        _ => "the lines above and the log say why; these records come again until it succeeds",
    };
    format!("waiting  {records} records of {topic} for {function}  {seconds} s  {cause}\n  {advice}")
}

/// Warnings that every normal start has.
const HEALTHY_WARNINGS: [&str; 2] = [
    // `cargo lambda watch` always sets this variable, to have one request at a time.
    "AWS_LAMBDA_MAX_CONCURRENCY",
    // A new Apache Kafka broker answers its first idempotent producer this way, once.
    "Coordinator load in progress: retrying",
];

/// `WARN  record sent to the dead-letter topic  reason=undecodable  record=orders-2@2`.
fn log_line(line: &Value) -> Option<String> {
    let message = line["message"].as_str().unwrap_or_default();
    if HEALTHY_WARNINGS.iter().any(|words| message.contains(words)) {
        return None;
    }
    let mut shown = format!("{}  {message}", line["level"].as_str().unwrap_or_default());
    let mut add = |members: &Value, left_out: &[&str]| {
        for (name, value) in members.as_object().into_iter().flatten() {
            if !left_out.contains(&name.as_str()) {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                shown.push_str(&format!("  {name}={value}"));
            }
        }
    };
    add(line, &["timestamp", "level", "message", "target", "span", "spans"]);
    add(&line["span"], &["name", "request_id"]);
    Some(shown)
}

/// Messages of `cargo lambda watch` and cargo that come with every start.
fn is_routine(text: &str) -> bool {
    // These lines have terminal colours and begin with the level.
    let plain = strip_colours(text);
    let plain = plain.trim_start();
    // A reload kills the old process; two functions that start together wait for each other's cargo.
    let usual = ["INFO ", "Finished ", "Running ", "Blocking waiting for file lock", "ERROR command killed"];
    plain.is_empty() || usual.iter().any(|start| plain.starts_with(start))
}

fn strip_colours(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\x1b[") {
        plain.push_str(before);
        rest = after.find(|letter: char| letter.is_ascii_alphabetic()).map_or("", |end| &after[end + 1..]);
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Option<String> {
        show(&OutputLine { source: "msk-local", text: text.to_owned() })
    }

    #[test]
    fn a_consumed_record_is_one_line_with_its_coordinates() {
        let line = r#"{"event":"record","topic":"orders","partition":2,"offset":17,"outcome":"done"}"#;
        assert_eq!(shown(line).unwrap(), "consumed  orders  partition 2  offset 17");
        let by = |function: &str| line.replace("{", &format!(r#"{{"function":"{function}","#));
        assert_eq!(shown(&by("consumer")).unwrap(), "consumed  orders  partition 2  offset 17");
        assert_eq!(shown(&by("payments")).unwrap(), "consumed  orders  partition 2  offset 17  by payments");
    }

    #[test]
    fn an_invocation_is_shown_when_something_went_wrong() {
        let line = |outcome: &str| {
            format!(
                r#"{{"event":"invocation","function":"consumer","outcome":"{outcome}","offsets":"orders-2@17..19","attempt":1,"retried":2}}"#
            )
        };
        assert_eq!(shown(&line("done")), None);
        assert_eq!(
            shown(&line("reported")).unwrap(),
            "consumer  reported  orders-2@17..19  attempt 1  2 to be redelivered"
        );
    }

    #[test]
    fn a_fault_of_the_brokers_is_one_line() {
        for (line, expected) in [
            (r#"{"event":"broker_chaos","fault":"crash","broker":2}"#, "chaos  crash  broker 2"),
            (
                r#"{"event":"broker_chaos","fault":"leader_move","broker":3,"topic":"orders","partition":1}"#,
                "chaos  leader_move  broker 3  leads orders partition 1",
            ),
            (
                r#"{"event":"broker_chaos","fault":"leader_move","broker":2,"moved":6}"#,
                "chaos  leader_move  broker 2  6 partitions led by others",
            ),
            (r#"{"event":"broker_chaos","fault":"delay","broker":1,"delay_ms":250}"#, "chaos  delay  broker 1  250 ms"),
        ] {
            assert_eq!(shown(line).unwrap(), expected);
        }
    }

    #[test]
    fn records_that_wait_are_shown_with_what_to_do() {
        let line = r#"{"event":"stalled","function":"consumer","topic":"orders","records":4,"waiting_s":32,"cause":"unreachable","advice":"start it"}"#;
        assert_eq!(
            shown(line).unwrap(),
            "waiting  4 records of orders for consumer  32 s  unreachable\n  it is being built or does not build: the lines above and the log say why"
        );
        // A function that had answered: its source was saved.
        let unanswered = shown(&line.replace("unreachable", "no_answer_yet")).unwrap();
        assert!(unanswered.contains("\n  it takes long, is being built or does not build: "), "{unanswered}");
    }

    #[test]
    fn warnings_and_errors_of_the_functions_are_shown() {
        assert_eq!(shown(r#"{"level":"INFO","message":"ready"}"#), None);
        let line = r#"{"timestamp":"t","level":"WARN","message":"dead letter","reason":"undecodable","target":"x",
            "span":{"record":"orders-2@2","request_id":"1","name":"record"}}"#;
        assert_eq!(shown(line).unwrap(), "WARN  dead letter  reason=undecodable  record=orders-2@2");
        assert_eq!(shown(r#"{"level":"WARN","message":"AWS_LAMBDA_MAX_CONCURRENCY is set"}"#), None);
        let line = r#"{"level":"WARN","message":"no PID from broker 1: Coordinator load in progress: retrying"}"#;
        assert_eq!(shown(line), None);
    }

    #[test]
    fn a_compilers_error_is_shown_and_routine_messages_are_not() {
        assert!(shown("error[E0308]: mismatched types").is_some());
        assert_eq!(shown("\u{1b}[2m\u{1b}[32m INFO\u{1b}[0m starting Runtime server"), None);
        assert_eq!(shown("    Finished `dev` profile"), None);
    }
}
