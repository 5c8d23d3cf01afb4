//! How many requests an endpoint gets at once.
//!
//! AWS's rules: <https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html>.

use std::time::Duration;

use msk_local::esm::running_mapping::End;
use serde_json::json;

use super::function::{Function, Reply};
use super::harness::Harness;

/// AWS's runtime interface emulator ends itself on a second request.
#[tokio::test]
async fn one_environment_is_enough() {
    let harness = Harness::start(3);
    for partition in 0..3 {
        harness.produce(partition, 20).await;
    }
    let function = Function::start(|_, _| Reply::ok().after(Duration::from_millis(20))).await;
    let members = json!({
        "BatchSize": 5, "MaximumBatchingWindowInSeconds": 0, "ProvisionedPollerConfig": {"MinimumPollers": 2},
        "Local": {"maxConcurrency": 1, "singlePartitionBatches": true},
    });
    assert_eq!(harness.drain(harness.mapping(&function, &members)).await, End::Drained);
    assert_eq!(function.most_at_once(), 1);
    assert_eq!(harness.committed(3).await, [20; 3]);
}

#[tokio::test]
async fn an_abandoned_request_counts_until_it_ends() {
    let harness = Harness::start(2);
    harness.produce(0, 1).await;
    harness.produce(1, 1).await;
    let slow = Reply::ok().after(Duration::from_secs(2));
    let function = Function::first_then(slow, Reply::ok()).await;
    let members = json!({
        "Local": {"functionTimeoutSeconds": 0.3, "singlePartitionBatches": true, "reservedConcurrentExecutions": 1},
    });
    assert_eq!(harness.drain(harness.mapping(&function, &members)).await, End::Drained);
    assert_eq!((function.most_at_once(), function.invocations().len()), (1, 3));
    assert_eq!(harness.outcomes(), ["timeout", "done", "done"]);
    assert_eq!(harness.committed(2).await, [1, 1]);
}

#[tokio::test]
async fn aws_runtime_interface_emulator_is_known_by_its_url() {
    let harness = Harness::start(1);
    let most = |url: &str, members| harness.mapping_to(url, &members).local.max_concurrency;
    let emulator = "http://127.0.0.1:9000/2015-03-31/functions/function/invocations";
    assert_eq!(most(emulator, json!({})), Some(1));
    assert_eq!(most(emulator, json!({"Local": {"maxConcurrency": 3}})), Some(3));
    assert_eq!(most("http://127.0.0.1:9000/2015-03-31/functions/{FunctionName}/invocations", json!({})), None);
}

/// 28 records a second when reading stopped and started again around every second batch: 21 s. What a busy machine adds, it adds to
/// plain requests too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_of_one_are_fast() {
    const RECORDS: usize = 600;
    let harness = Harness::start(1);
    harness.produce_many(0, RECORDS).await;
    let function = Function::start(|_, _| Reply::ok()).await;
    let members = json!({"BatchSize": 1, "MaximumBatchingWindowInSeconds": 0});
    assert_eq!(harness.drain(harness.mapping(&function, &members)).await, End::Drained);
    let invocations = function.invocations();
    assert_eq!(invocations.len(), RECORDS);
    let took = invocations[RECORDS - 1].at - invocations[0].at;
    let plain = function.invoke_directly(RECORDS).await;
    assert!(took < Duration::from_secs(3) + 10 * plain, "{RECORDS} records took {took:?}, plain requests {plain:?}");
}
