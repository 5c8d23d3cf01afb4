//! Functions behind AWS's runtime interface emulator: it has one environment, and a second request at a time would end it
//! (<https://github.com/aws/aws-lambda-runtime-interface-emulator/issues/97>).

use std::process::Command;

use msk_local::brokers::EmbeddedBrokers;
use msk_test_kit::PATIENCE;
use serde_json::Value;

use super::interface_emulator::{InterfaceEmulator, TIMEOUT_SECONDS};
use super::outcomes::{NO_RETRY, drained};
use super::runtimes::Language;
use super::support::{Written, committed, drain, finished, invocations, send};

const PARTITIONS: i32 = 3;
const PER_PARTITION: u64 = 20;

/// The offsets that were printed, by partition. An invocation begins when the one before it has ended.
fn printed_offsets(printed: &[Value]) -> Vec<Vec<u64>> {
    let mut running = None;
    let mut offsets = vec![Vec::new(); usize::try_from(PARTITIONS).unwrap()];
    for line in printed {
        if line["begins"].is_string() {
            assert_eq!(running.replace(&line["begins"]), None, "two at once");
        } else if line["ends"].is_string() {
            assert_eq!(running.take(), Some(&line["ends"]));
        } else {
            let partition = usize::try_from(line["partition"].as_u64().unwrap()).unwrap();
            offsets[partition].push(line["offset"].as_u64().unwrap());
        }
    }
    offsets
}

#[test]
#[ignore = "needs AWS's runtime interface emulator; stage `peers` runs it"]
fn three_partitions_are_drained_one_invocation_at_a_time() {
    let brokers = EmbeddedBrokers::start(&["orders:3".parse().unwrap()]).unwrap();
    let record = Written { value: Some(br#"{"do": "ok"}"#), ..Written::default() };
    let records: Vec<_> =
        (0..PER_PARTITION).flat_map(|_| (0..PARTITIONS).map(|partition| (partition, record))).collect();
    send(&brokers, "orders", &records);
    let mut emulator = InterfaceEmulator::start(&Language::Python.function("printed.handler"));
    let flags = ["--batch-size", "5", "--maximum-batching-window-in-seconds", "0"];
    let (lines, code) = finished("msk-local", &mut drain(&brokers, &emulator.url, "orders", &flags));
    let invocations = invocations(&lines);
    let all_done = invocations.iter().all(|line| line["outcome"] == "done");
    assert!(code == 0 && all_done && invocations.len() >= 12, "{code}: {}", lines.join("\n"));
    assert!(emulator.process.exit_status().is_none(), "the emulator ended");
    let printed = emulator.process.wait_for("end of the last invocation", PATIENCE, |lines| {
        let ended = lines.iter().filter(|line| line["ends"].is_string()).count();
        (ended == invocations.len()).then(|| lines.to_vec())
    });
    let expected: Vec<u64> = (0..PER_PARTITION).collect();
    assert_eq!(printed_offsets(&printed), [expected.clone(), expected.clone(), expected]);
    assert_eq!(committed(&brokers, "orders", PARTITIONS), [20, 20, 20]);
}

#[test]
#[ignore = "needs AWS's runtime interface emulator; stage `peers` runs it"]
fn errors_and_timeouts_are_told_apart_and_the_next_record_is_served() {
    let brokers = EmbeddedBrokers::start(&[]).unwrap();
    let mut emulator = InterfaceEmulator::start(&Language::Python.function("orders.handler"));
    let timed_out = format!("Task timed out after {TIMEOUT_SECONDS}.00 seconds");
    for (what, outcome, detail) in [
        ("raise", "function_error", "RuntimeError: this batch is refused"),
        ("exit", "function_error", "Runtime.ExitError"),
        ("kill", "function_error", "Runtime.ExitError"),
        ("hang", "timeout", timed_out.as_str()),
        ("ok", "done", ""),
    ] {
        let (lines, printed, code) = drained(&brokers, &emulator.url, what, &[what], NO_RETRY);
        assert_eq!((lines.len(), code), (1, if outcome == "done" { 0 } else { 4 }), "{what}:\n{printed}");
        assert_eq!(lines[0]["outcome"], outcome, "{what}:\n{printed}");
        assert!(lines[0]["detail"].as_str().unwrap_or_default().contains(detail), "{what}:\n{printed}");
    }
    assert!(emulator.process.exit_status().is_none(), "the emulator ended");
}

/// The emulator says nothing of why, so this is no function error to the mapping as it is on AWS.
#[test]
#[ignore = "needs AWS's runtime interface emulator; stage `peers` runs it"]
fn a_missing_program_uses_up_no_attempt() {
    let brokers = EmbeddedBrokers::start(&[]).unwrap();
    let emulator = InterfaceEmulator::start(&Command::new("/no/such/program"));
    let flags = ["--maximum-retry-attempts", "0", "--startup-grace", "1"];
    let (lines, printed, code) = drained(&brokers, &emulator.url, "orders", &["ok"], &flags);
    assert!(code == 5 && !lines.is_empty(), "{code}: {printed}");
    for line in lines {
        assert_eq!(line["outcome"], "unreachable", "{printed}");
        assert!(line["detail"].as_str().unwrap().contains("502 without a function error"), "{printed}");
    }
    assert_eq!(committed(&brokers, "orders", 1), [-1]);
}
