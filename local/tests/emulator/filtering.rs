//! Records that no filter keeps.
//!
//! AWS's rules: <https://docs.aws.amazon.com/lambda/latest/dg/kafka-filtering.html>.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use msk_local::esm::running_mapping::End;
use serde_json::{Value, json};

use super::function::{Function, Reply};
use super::harness::{Harness, TIMEOUT};

/// Keeps orders, and refunds.
fn orders() -> Value {
    let filter = |value: Value| json!({"Pattern": json!({"value": value}).to_string()});
    json!({"FilterCriteria": {"Filters": [filter(json!({"type": ["order"]})), filter(json!({"type": ["refund"]}))]}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filtered_records_are_committed_and_never_sent() {
    let harness = Harness::start(1);
    let values: [Option<&[u8]>; 8] = [
        Some(br#"{"type": "order"}"#),
        Some(br#"{"type": "audit"}"#),
        Some(b"a plain text"),
        None,
        Some(b"\xff"),
        Some(br#"{"type": "refund"}"#),
        Some(br#"{}"#),
        Some(br#"{"type": "audit"}"#),
    ];
    for value in values {
        harness.send(0, Some(b"key"), value, &[]).await;
    }
    let function = Function::start(|_, _| Reply::ok()).await;
    assert_eq!(harness.drain(harness.mapping(&function, &orders())).await, End::Drained);
    let sent: Vec<_> = function.invocations().into_iter().flat_map(|received| received.records).collect();
    assert_eq!(sent, [0, 2, 3, 4, 5].map(|offset| (0, offset)));
    let counts = harness.counts();
    assert_eq!((counts.polled_event_count, counts.filtered_out_event_count), (8, 3));
    assert_eq!((counts.invoked_event_count, counts.committed_event_count), (5, 8));
    assert_eq!(harness.committed(1).await, [8]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_without_a_match_is_drained_without_an_invocation() {
    let harness = Harness::start(2);
    harness.produce(0, 20).await;
    harness.produce(1, 5).await;
    let function = Function::start(|_, _| Reply::ok()).await;
    assert_eq!(harness.drain(harness.mapping(&function, &orders())).await, End::Drained);
    assert_eq!((function.invocations().len(), harness.counts().filtered_out_event_count), (0, 25));
    assert_eq!(harness.committed(2).await, [20, 5]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filtered_records_behind_an_unfinished_one_are_not_committed() {
    let harness = Harness::start(1);
    harness.send(0, None, Some(br#"{"type": "order"}"#), &[]).await;
    harness.produce(0, 3).await;
    let works = Arc::new(AtomicBool::new(false));
    let answer = Arc::clone(&works);
    let function = Function::start(move |_, _| if answer.load(SeqCst) { Reply::ok() } else { Reply::error() }).await;
    let running = harness.run(harness.mapping(&function, &orders())).await;
    let started = Instant::now();
    while harness.counts().filtered_out_event_count < 3 || harness.counts().invoke_error_count < 2 {
        assert!(started.elapsed() < TIMEOUT, "{:?}", harness.counts());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(harness.committed(1).await, [-1]);
    works.store(true, SeqCst);
    harness.until_committed(&[4]).await;
    running.stop().await;
}
