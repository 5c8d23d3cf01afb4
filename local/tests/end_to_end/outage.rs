//! Every broker goes away and comes back.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use msk_local::brokers::Which;
use msk_test_kit::Process;
use serde_json::Value;

use crate::second_client;
use crate::test_bed::{START_PATIENCE, TOPIC, TestBed};

/// `DELIVERY_TIMEOUT_MS` of the producer here: an outage is answered within it.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(3);
/// What an answer may take on top.
const SLACK: Duration = Duration::from_secs(1);
const REQUESTS_DURING_THE_OUTAGE: usize = 5;

#[test]
#[ignore = "drives packaged functions: run `cargo xtask test e2e`"]
fn an_outage_is_answered_truthfully_in_time_and_the_next_request_after_it_succeeds() {
    let bed = TestBed::start(&["orders:3"]);
    let timeout = DELIVERY_TIMEOUT.as_millis().to_string();
    let producer = bed.producer(&[("DELIVERY_TIMEOUT_MS", &timeout)]);
    let (mut written, mut not_written) = (BTreeSet::new(), BTreeSet::new());
    assert_eq!(post(&bed, "before").status, 200);
    written.insert("before".to_owned());

    bed.brokers.down(Which::All).unwrap();
    for number in 0..REQUESTS_DURING_THE_OUTAGE {
        let message = format!("during-{number}");
        let answer = post(&bed, &message);
        let persisted = assert_truthful(&answer);
        println!("{message}: {} persisted {persisted} after {:.2} s", answer.status, answer.took.as_secs_f64());
        if persisted == "no" {
            not_written.insert(message);
        }
    }
    assert_all_brokers_down_is_logged(&producer);

    bed.brokers.up(Which::All).unwrap();
    let answer = post(&bed, "after");
    println!("after the outage: {} after {:.2} s", answer.status, answer.took.as_secs_f64());
    assert_eq!(answer.status, 200, "{}", answer.body);
    written.insert("after".to_owned());

    let read = second_client::read_all(bed.brokers.bootstrap_servers(), TOPIC);
    let found: BTreeSet<String> = read.iter().map(|record| decoded(record.value.as_deref())).collect();
    assert!(found.is_superset(&written), "{found:?}");
    assert!(found.is_disjoint(&not_written), "answered `persisted: no` and yet in the topic: {found:?}");
}

struct TimedAnswer {
    status: u16,
    body: Value,
    took: Duration,
}

fn post(bed: &TestBed, message: &str) -> TimedAnswer {
    let started = Instant::now();
    let (status, body) = bed.post("/messages", "application/json", format!("\"{message}\""));
    TimedAnswer { status, body, took: started.elapsed() }
}

/// 503 or 504, a problem document, in time; returns what it says was persisted.
fn assert_truthful(answer: &TimedAnswer) -> String {
    let TimedAnswer { status, body, took } = answer;
    assert!([503, 504].contains(status), "{status}: {body}");
    assert!(*took < DELIVERY_TIMEOUT + SLACK, "{took:?}");
    assert_eq!(body["status"], *status, "{body}");
    assert_eq!(body["retriable"], true, "{body}");
    let persisted = body["persisted"].as_str().unwrap_or_else(|| panic!("no persisted in {body}"));
    let expected = if *status == 504 { "unknown" } else { "no" };
    assert_eq!(persisted, expected, "{body}");
    persisted.to_owned()
}

/// A librdkafka that was built without `HAVE_ATOMICS_32_ATOMIC` never notices (librdkafka#5282), and then never resolves
/// its bootstrap names again.
fn assert_all_brokers_down_is_logged(producer: &Process) {
    let noticed =
        |lines: &[Value]| lines.iter().any(|line| line.to_string().contains("ALL_BROKERS_DOWN")).then_some(());
    producer.wait_for("ALL_BROKERS_DOWN line", START_PATIENCE, noticed);
}

fn decoded(value: Option<&str>) -> String {
    let bytes = STANDARD.decode(value.unwrap_or_default()).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}
