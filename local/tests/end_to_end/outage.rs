//! Every broker goes away and comes back.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use msk_local::brokers::Which;
use reqwest::StatusCode;
use serde_json::Value;

use crate::process::Process;
use crate::rig::{Rig, START_PATIENCE, TOPIC};
use crate::second_client;

/// `DELIVERY_TIMEOUT_MS` of the producer here: an outage is answered within it.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(3);
/// What an answer may take on top.
const SLACK: Duration = Duration::from_secs(1);
const REQUESTS_DURING_THE_OUTAGE: usize = 5;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "drives packaged functions: run `cargo xtask test e2e`"]
async fn an_outage_is_answered_truthfully_in_time_and_the_next_request_after_it_succeeds() {
    let rig = Rig::start(&["orders:3"]).await;
    let timeout = DELIVERY_TIMEOUT.as_millis().to_string();
    let producer = rig.producer(&[("DELIVERY_TIMEOUT_MS", &timeout)]);
    let (mut written, mut not_written) = (BTreeSet::new(), BTreeSet::new());
    assert_eq!(post(&rig, "before").await.status, StatusCode::OK);
    written.insert("before".to_owned());

    rig.brokers.down(Which::All).unwrap();
    for number in 0..REQUESTS_DURING_THE_OUTAGE {
        let message = format!("during-{number}");
        let answer = post(&rig, &message).await;
        let persisted = assert_truthful(&answer);
        println!("{message}: {} persisted {persisted} after {:.2} s", answer.status, answer.took.as_secs_f64());
        if persisted == "no" {
            not_written.insert(message);
        }
    }
    assert_all_brokers_down_is_logged(&producer).await;

    rig.brokers.up(Which::All).unwrap();
    let answer = post(&rig, "after").await;
    println!("after the outage: {} after {:.2} s", answer.status, answer.took.as_secs_f64());
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    written.insert("after".to_owned());

    let read = second_client::read_all(rig.brokers.bootstrap_servers(), TOPIC);
    let found: BTreeSet<String> = read.iter().map(|record| decoded(record.value.as_deref())).collect();
    assert!(found.is_superset(&written), "{found:?}");
    assert!(found.is_disjoint(&not_written), "answered `persisted: no` and yet in the topic: {found:?}");
}

struct Answer {
    status: StatusCode,
    body: Value,
    took: Duration,
}

async fn post(rig: &Rig, message: &str) -> Answer {
    let started = Instant::now();
    let (status, body) = rig.post("/messages", "application/json", format!("\"{message}\"")).await;
    Answer { status, body, took: started.elapsed() }
}

/// 503 or 504, a problem document, in time; returns what it says was persisted.
fn assert_truthful(answer: &Answer) -> String {
    let Answer { status, body, took } = answer;
    assert!([StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT].contains(status), "{status}: {body}");
    assert!(*took < DELIVERY_TIMEOUT + SLACK, "{took:?}");
    assert_eq!(body["status"], status.as_u16(), "{body}");
    assert_eq!(body["retriable"], true, "{body}");
    let persisted = body["persisted"].as_str().unwrap_or_else(|| panic!("no persisted in {body}"));
    let expected = if *status == StatusCode::GATEWAY_TIMEOUT { "unknown" } else { "no" };
    assert_eq!(persisted, expected, "{body}");
    persisted.to_owned()
}

/// A librdkafka that was built without `HAVE_ATOMICS_32_ATOMIC` never notices (librdkafka#5282), and then never resolves
/// its bootstrap names again.
async fn assert_all_brokers_down_is_logged(producer: &Process) {
    let noticed =
        |lines: &[Value]| lines.iter().any(|line| line.to_string().contains("ALL_BROKERS_DOWN")).then_some(());
    producer.wait_for("ALL_BROKERS_DOWN line", START_PATIENCE, noticed).await;
}

fn decoded(value: Option<&str>) -> String {
    let bytes = STANDARD.decode(value.unwrap_or_default()).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}
