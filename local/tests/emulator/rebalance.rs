//! Partitions move between members of the group and come back.

use std::sync::atomic::Ordering;
use std::time::Duration;

use msk_local::esm::running_mapping::End;
use serde_json::{Value, json};

use super::function::{Function, Reply};
use super::harness::{Harness, until, within};

/// Reading of all partitions is paused when a second emulator comes, and both come back to the first one.
async fn a_paused_partition_that_comes_back_is_read_on(protocol: &str) {
    let harness = Harness::start(4);
    for partition in 0..4 {
        harness.produce_many(partition, 4_000).await;
    }
    let (function, repaired) = Function::broken().await;
    // Only full batches of one partition are sent, so it is known how much is read before reading pauses.
    let members = json!({
        "BatchSize": 1_000,
        "MaximumBatchingWindowInSeconds": 300,
        "Local": {"singlePartitionBatches": true, "kafkaOptions": {"group.protocol": protocol}},
    });
    let mapping = harness.mapping(&function, &members);
    let first = harness.run(mapping.clone()).await;
    until("each partition has a batch in flight and two waiting", || harness.counts().polled_event_count == 4 * 3_000)
        .await;
    let second = harness.run(mapping).await;
    within(second.stop()).await;
    repaired.store(true, Ordering::SeqCst);
    harness.until_committed(&[4_000; 4]).await;
    within(first.stop()).await;
    let seen: std::collections::BTreeSet<_> = function.batches().concat().into_iter().collect();
    for record in (0..4).flat_map(|partition| (0..4_000).map(move |offset| (partition, offset))) {
        assert!(seen.contains(&record), "{record:?} was never delivered");
    }
}

#[tokio::test]
async fn a_paused_partition_that_comes_back_is_read_on_with_the_classic_protocol() {
    a_paused_partition_that_comes_back_is_read_on("classic").await;
}

#[tokio::test]
async fn a_paused_partition_that_comes_back_is_read_on_with_the_consumer_protocol() {
    a_paused_partition_that_comes_back_is_read_on("consumer").await;
}

/// What a rebalance makes the next owner receive again is what was in flight when it began, whatever the function's speed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebalance_bounds_what_is_sent_again() {
    const EACH: usize = 5_000;
    for protocol in ["classic", "consumer"] {
        let harness = Harness::start(4);
        for partition in 0..4 {
            harness.produce_many(partition, EACH).await;
        }
        let function = Function::start(|_, _| Reply::ok().after(Duration::from_millis(2))).await;
        let mapping = harness.mapping(&function, &batches_of_one_partition(protocol, 1));
        let first = harness.run(mapping.clone()).await;
        until("the first deliveries", || harness.counts().invocations > 10).await;
        let second = harness.run(mapping).await;
        harness.until_committed(&[EACH as i64; 4]).await;
        within(first.stop()).await;
        within(second.stop()).await;
        let again = function.batches().concat().len() - 4 * EACH;
        // A batch of each partition in flight, as much again that was finished and not committed yet, in two revocations.
        assert!(again <= 2 * 2 * 4 * BATCH, "{protocol}: {again} records were sent again");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pollers_that_start_one_after_the_other_send_little_again() {
    const EACH: usize = 2_000;
    for protocol in ["classic", "consumer"] {
        let harness = Harness::start(4);
        for partition in 0..4 {
            harness.produce_many(partition, EACH).await;
        }
        let function = Function::start(|_, _| Reply::ok().after(Duration::from_millis(2))).await;
        let mapping = harness.mapping(&function, &batches_of_one_partition(protocol, 3));
        assert_eq!(harness.drain(mapping).await, End::Drained);
        let again = function.batches().concat().len() - 4 * EACH;
        // As above, with three pollers that join.
        assert!(again <= 2 * 3 * 4 * BATCH, "{protocol}: {again} records were sent again");
    }
}

const BATCH: usize = 10;

fn batches_of_one_partition(protocol: &str, pollers: u32) -> Value {
    json!({
        "BatchSize": BATCH,
        "MaximumBatchingWindowInSeconds": 0,
        "ProvisionedPollerConfig": {"MinimumPollers": pollers},
        "Local": {"singlePartitionBatches": true, "kafkaOptions": {"group.protocol": protocol}},
    })
}
