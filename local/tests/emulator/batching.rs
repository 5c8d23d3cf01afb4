//! A batch is closed by its count, its window or the size of its event.
//!
//! AWS's rules: <https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventsourcemapping.html>.

use std::time::{Duration, Instant};

use msk_local::esm::MAX_EVENT_BYTES;
use msk_local::esm::running_mapping::End;
use serde_json::json;

use super::function::{Function, Reply};
use super::harness::{Harness, until, within};

#[tokio::test]
async fn a_full_batch_does_not_wait_for_the_window() {
    let harness = Harness::start(1);
    let function = Function::start(|_, _| Reply::ok()).await;
    let members = json!({"BatchSize": 3, "MaximumBatchingWindowInSeconds": 300});
    let running = harness.run(harness.mapping(&function, &members)).await;
    harness.produce(0, 7).await;
    until("two full batches", || function.sizes() == [3, 3]).await;
    // The seventh record waits for two more.
    harness.produce(0, 2).await;
    until("the third batch", || function.sizes() == [3, 3, 3]).await;
    within(running.stop()).await;
}

#[tokio::test]
async fn a_batch_that_does_not_fill_is_sent_when_its_window_ends() {
    let harness = Harness::start(2);
    let function = Function::start(|_, _| Reply::ok()).await;
    let running = harness.run(harness.mapping(&function, &json!({"MaximumBatchingWindowInSeconds": 1}))).await;
    let sent = Instant::now();
    harness.produce(0, 2).await;
    harness.produce(1, 1).await;
    until("the batch", || !function.sizes().is_empty()).await;
    let waited = function.invocations()[0].at - sent;
    assert_eq!(function.sizes(), [3], "records of both partitions share the event");
    assert!(waited >= Duration::from_millis(990), "{waited:?}");
    within(running.stop()).await;
}

#[tokio::test]
async fn without_a_batch_size_a_batch_has_a_hundred_records() {
    let harness = Harness::start(1);
    harness.produce_many(0, 250).await;
    let function = Function::start(|_, _| Reply::ok()).await;
    let running = harness.run(harness.mapping(&function, &json!({"MaximumBatchingWindowInSeconds": 300}))).await;
    until("two full batches", || function.sizes().len() >= 2).await;
    within(running.stop()).await;
    // The others wait for more.
    assert_eq!(function.sizes(), [100, 100]);
}

#[tokio::test]
async fn without_a_window_a_batch_waits_half_a_second() {
    let harness = Harness::start(1);
    let function = Function::start(|_, _| Reply::ok()).await;
    let mapping = harness.mapping(&function, &json!({}));
    assert_eq!(mapping.batching.window, Duration::from_millis(500));
    let running = harness.run(mapping).await;
    let sent = Instant::now();
    harness.produce(0, 1).await;
    until("the batch", || !function.invocations().is_empty()).await;
    let waited = function.invocations()[0].at - sent;
    assert!(waited >= Duration::from_millis(490), "{waited:?}");
    within(running.stop()).await;
}

#[tokio::test]
async fn a_window_of_zero_waits_for_no_other_record() {
    let harness = Harness::start(1);
    let function = Function::start(|_, _| Reply::ok()).await;
    let mapping = harness.mapping(&function, &json!({"MaximumBatchingWindowInSeconds": 0}));
    assert_eq!(mapping.batching.window, Duration::ZERO);
    let running = harness.run(mapping).await;
    harness.produce(0, 1).await;
    until("the batch", || function.sizes() == [1]).await;
    within(running.stop()).await;
}

#[tokio::test]
async fn an_event_stays_within_six_megabytes() {
    let harness = Harness::start(2);
    // A header byte costs up to five characters, so these records are far larger as an event than in Kafka.
    let header = vec![200_u8; 260_000];
    for partition in 0..2 {
        for _ in 0..6 {
            harness.send(partition, None, Some(b"v"), &[("h", Some(&header))]).await;
        }
    }
    let function = Function::start(|_, _| Reply::ok()).await;
    assert_eq!(
        harness.drain(harness.mapping(&function, &json!({"MaximumBatchingWindowInSeconds": 2}))).await,
        End::Drained
    );
    let sizes: Vec<_> = function.invocations().iter().map(|invocation| invocation.body.len()).collect();
    assert!(sizes.iter().all(|size| *size <= MAX_EVENT_BYTES), "{sizes:?}");
    assert!(sizes.iter().max().unwrap() + 2_000_000 > MAX_EVENT_BYTES, "events are filled: {sizes:?}");
    assert_eq!(function.batches().concat().len(), 12);
    assert_eq!(harness.committed(2).await, [6, 6]);
}

#[tokio::test]
async fn a_record_too_large_for_any_event_is_dropped_and_blocks_nothing() {
    let harness = Harness::start(1);
    let header = vec![200_u8; 1_700_000];
    harness.produce(0, 1).await;
    harness.send(0, None, Some(b"v"), &[("h", Some(&header))]).await;
    harness.produce(0, 1).await;
    let function = Function::start(|_, _| Reply::ok()).await;
    assert_eq!(harness.drain(harness.mapping(&function, &json!({}))).await, End::Drained);
    assert_eq!(function.batches().concat(), [(0, 0), (0, 2)]);
    assert_eq!(harness.counts().dropped_event_count, 1);
    assert_eq!(harness.committed(1).await, [3]);
}
