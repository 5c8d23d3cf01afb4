//! An endpoint that is killed with SIGKILL, and started again later.

use msk_local::brokers::EmbeddedBrokers;
use msk_test_kit::{PATIENCE, Process};
use serde_json::{Value, json};

use super::interface_emulator::InterfaceEmulator;
use super::runtimes::Language;
use super::support::{Written, drain, write};

const OK: Written<'static> = Written { key: None, value: Some(br#"{"do": "ok"}"#), headers: &[] };
const HOLD: Written<'static> = Written { value: Some(br#"{"do": "hold"}"#), ..OK };

fn start(brokers: &EmbeddedBrokers, url: &str, retries: &str) -> Process {
    let flags = ["--batch-size", "1", "--maximum-retry-attempts", retries, "--max-retry-backoff", "0.2"];
    Process::start("msk-local", &mut drain(brokers, url, "orders", &flags))
}

/// Waits for more failures than there are retries.
fn until_missed(drain: &Process) {
    for _ in 0..3 {
        let line = drain.line(|line| line["event"] == "invocation");
        assert_eq!(line["outcome"], "unreachable", "{line}");
    }
}

/// Waits for the record at this offset, and for the end.
fn until_drained(mut drain: Process, offset: usize) {
    let last = drain.line(|line| line["outcome"] == "done");
    assert_eq!(last["offsets"], format!("orders-0@{offset}"));
    let summary: Value = drain.line(|line| line["event"] == "summary");
    let numbers = ["CommittedEventCount", "DroppedEventCount"].map(|name| &summary[name]);
    assert_eq!(numbers, [&json!(offset + 1), &json!(0)], "{summary}");
    assert_eq!(drain.end().code(), Some(0));
}

/// The request that was under way is an attempt, as on AWS; the one retry is still left when the endpoint is back.
#[test]
#[ignore = "needs awslambdaric and AWS's runtime interface emulator; stage `peers` runs it"]
fn killed_with_a_batch_at_it_the_endpoint_uses_up_no_retry_until_it_is_back() {
    let brokers = EmbeddedBrokers::start(&[]).unwrap();
    write(&brokers, "orders", &[OK, HOLD]);
    let mut holding = Language::Python.function("printed.handler");
    holding.env("HOLDS", "1");
    let mut emulator = InterfaceEmulator::start(&holding);
    let drain = start(&brokers, &emulator.url, "1");
    emulator
        .process
        .wait_for("record that is held", PATIENCE, |lines| lines.iter().any(|line| line["held"] == true).then_some(()));
    emulator.process.kill();
    let failed = drain.line(|line| line["outcome"] == "function_error");
    assert_eq!((&failed["offsets"], &failed["attempt"]), (&json!("orders-0@1"), &json!(1)), "{failed}");
    assert!(failed["detail"].as_str().unwrap().starts_with("Runtime.ExitError"), "{failed}");
    until_missed(&drain);
    emulator.start_again(&Language::Python.function("printed.handler"));
    until_drained(drain, 1);
}

#[test]
#[ignore = "needs awslambdaric and AWS's runtime interface emulator; stage `peers` runs it"]
fn an_endpoint_that_is_away_needs_no_retry() {
    let brokers = EmbeddedBrokers::start(&[]).unwrap();
    write(&brokers, "orders", &[OK]);
    let function = Language::Python.function("printed.handler");
    let mut emulator = InterfaceEmulator::start(&function);
    emulator.process.kill();
    let drain = start(&brokers, &emulator.url, "0");
    until_missed(&drain);
    emulator.start_again(&function);
    until_drained(drain, 0);
}
