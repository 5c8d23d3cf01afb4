//! Partitions move between members of the group and come back.

use std::sync::atomic::Ordering;

use serde_json::json;

use super::function::Function;
use super::harness::{Harness, until, within};

/// Reading of all partitions is paused when a second emulator comes, and both come back to the first one.
async fn a_paused_partition_that_comes_back_is_read_on(protocol: &str) {
    let harness = Harness::start(4);
    for partition in 0..4 {
        harness.produce(partition, 40).await;
    }
    let (function, repaired) = Function::broken().await;
    // Only full batches of one partition are sent, so it is known how much is read before reading pauses.
    let members = json!({
        "BatchSize": 5,
        "MaximumBatchingWindowInSeconds": 300,
        "Local": {"singlePartitionBatches": true, "kafkaOptions": {"group.protocol": protocol}},
    });
    let mapping = harness.mapping(&function, &members);
    let first = harness.run(mapping.clone()).await;
    until("each partition has a batch in flight and two waiting", || harness.counts().polled_event_count == 4 * 15)
        .await;
    let second = harness.run(mapping).await;
    within(second.stop()).await;
    repaired.store(true, Ordering::SeqCst);
    harness.until_committed(&[40; 4]).await;
    within(first.stop()).await;
    let seen = function.batches().concat();
    for record in (0..4).flat_map(|partition| (0..40).map(move |offset| (partition, offset))) {
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
