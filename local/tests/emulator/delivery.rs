//! Records reach the function as they are in Kafka, and only finished ones are committed.
//!
//! AWS's rules: <https://docs.aws.amazon.com/lambda/latest/dg/with-msk-process.html> and
//! <https://docs.aws.amazon.com/lambda/latest/dg/kafka-starting-positions.html>.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use msk_local::esm::running_mapping::End;
use serde_json::{Value, json};

use super::embedded_frames::write_with_append_time;
use super::function::{Function, Reply};
use super::harness::{Harness, TOPIC, until, within};

#[tokio::test]
async fn every_record_is_delivered_once_in_order_and_committed() {
    let harness = Harness::start(3);
    for partition in 0..3 {
        harness.produce(partition, 40).await;
    }
    let function = Function::start(|_, _| Reply::ok()).await;
    assert_eq!(harness.drain(harness.mapping(&function, &json!({"BatchSize": 7}))).await, End::Drained);
    for partition in 0..3 {
        let seen: Vec<_> = function.batches().concat().into_iter().filter(|(p, _)| *p == partition).collect();
        assert_eq!(seen, (0..40).map(|offset| (partition, offset)).collect::<Vec<_>>());
    }
    assert!(function.sizes().iter().all(|size| *size <= 7), "{:?}", function.sizes());
    assert_eq!(harness.committed(3).await, [40, 40, 40]);
    let counts = harness.counts();
    assert_eq!((counts.polled_event_count, counts.committed_event_count, counts.dropped_event_count), (120, 120, 0));
}

#[tokio::test]
async fn keys_values_and_headers_arrive_as_they_were_written() {
    let harness = Harness::start(1);
    let all_bytes: Vec<u8> = (0..=255).collect();
    let headers: &[(&str, Option<&[u8]>)] = &[
        ("all", Some(&all_bytes)),
        ("empty", Some(b"")),
        ("null", None),
        ("repeated", Some(b"first")),
        ("repeated", Some(b"second")),
    ];
    harness.send(0, Some(&all_bytes), Some(&all_bytes), headers).await;
    harness.send(0, Some(b"tombstone"), None, &[]).await;
    harness.send(0, Some(b""), Some(b""), &[]).await;
    harness.send(0, None, Some(b"no key"), &[]).await;
    let function = Function::start(|_, _| Reply::ok()).await;
    assert_eq!(harness.drain(harness.mapping(&function, &json!({}))).await, End::Drained);
    let records: Vec<_> =
        function.invocations().iter().flat_map(|i| i.event.records().cloned().collect::<Vec<_>>()).collect();
    let [full, tombstone, empty, no_key] = records.as_slice() else { panic!("{records:?}") };
    assert_eq!(full.key().unwrap().as_deref(), Some(all_bytes.as_slice()));
    assert_eq!(full.value().unwrap().as_deref(), Some(all_bytes.as_slice()));
    let read: Vec<_> = full.headers().unwrap().iter().map(|h| (h.name.as_str(), h.value.as_deref())).collect();
    assert_eq!(read, headers);
    assert!(tombstone.is_tombstone());
    assert_eq!(tombstone.key().unwrap().as_deref(), Some(b"tombstone".as_slice()));
    assert!(!empty.is_tombstone());
    assert_eq!(
        (empty.key().unwrap().as_deref(), empty.value().unwrap().as_deref()),
        (Some(b"".as_slice()), Some(b"".as_slice()))
    );
    assert_eq!(no_key.key().unwrap(), None);
    assert!(records.iter().all(|record| record.timestamp_ms().is_some_and(|ms| ms > 1_600_000_000_000)));
    // Java's bytes are signed, and so are AWS's header values.
    let text = String::from_utf8(function.invocations()[0].body.to_vec()).unwrap();
    assert!(text.contains("126,127,-128,-127"), "{text}");
    assert!(
        text.contains(r#""eventSource":"aws:kafka""#) && text.contains(&format!(r#""records":{{"{TOPIC}-0":["#)),
        "{text}"
    );
}

#[tokio::test]
async fn an_event_names_its_cluster_and_each_record_its_place_and_time() {
    const CLUSTER: &str =
        "arn:aws:kafka:eu-central-1:123456789012:cluster/orders/6cc0432b-8618-4f44-bccc-e1fbd8fb7c4d-2";
    let harness = Harness::start(2);
    let now_ms = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    let before = now_ms();
    harness.send(1, Some(b"key"), Some(b"value"), &[("name", Some(b"\xff\x01"))]).await;
    let function = Function::start(|_, _| Reply::ok()).await;
    let mapping = harness.mapping(&function, &json!({"EventSourceArn": CLUSTER}));
    assert_eq!(harness.drain(mapping).await, End::Drained);
    let event: Value = serde_json::from_slice(&function.invocations()[0].body).unwrap();
    let timestamp = event["records"]["orders-1"][0]["timestamp"].as_u64().unwrap();
    assert!((before..=now_ms()).contains(&timestamp), "{timestamp}");
    let record = json!({
        "topic": TOPIC, "partition": 1, "offset": 0, "timestamp": timestamp, "timestampType": "CREATE_TIME",
        "key": "a2V5", "value": "dmFsdWU=", "headers": [{"name": [-1, 1]}],
    });
    let expected = json!({
        "eventSource": "aws:kafka", "eventSourceArn": CLUSTER, "bootstrapServers": harness.brokers.bootstrap_servers(),
        "records": {"orders-1": [record]},
    });
    assert_eq!(event, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_time_that_the_broker_has_set_is_told_as_such() {
    let harness = Harness::start(1);
    let function = Function::start(|_, _| Reply::ok()).await;
    let running = harness.run(harness.mapping(&function, &json!({}))).await;
    write_with_append_time(&harness.brokers, "value");
    until("the invocation", || !function.invocations().is_empty()).await;
    within(running.stop()).await;
    let event: Value = serde_json::from_slice(&function.invocations()[0].body).unwrap();
    assert_eq!(event["records"]["orders-0"][0]["timestampType"], "LOG_APPEND_TIME", "{event}");
}

#[tokio::test]
async fn a_new_record_reaches_the_function_within_two_seconds() {
    let harness = Harness::start(6);
    let function = Function::start(|_, _| Reply::ok()).await;
    let running = harness.run(harness.mapping(&function, &json!({}))).await;
    for partition in [5, 0, 3] {
        let seen = function.invocations().len();
        let sent = Instant::now();
        harness.produce(partition, 1).await;
        until("the invocation", || function.invocations().len() > seen).await;
        let took = function.invocations()[seen].at - sent;
        assert!(took < Duration::from_secs(2), "{took:?}");
    }
    within(running.stop()).await;
}

#[tokio::test]
async fn a_second_run_goes_on_where_the_first_one_stopped() {
    let harness = Harness::start(2);
    let function = Function::start(|_, _| Reply::ok()).await;
    for round in 1..=2 {
        harness.produce(0, 5).await;
        assert_eq!(harness.drain(harness.mapping(&function, &json!({}))).await, End::Drained);
        assert_eq!(function.batches().concat().len(), 5 * round);
    }
    assert_eq!(harness.committed(2).await, [10, -1]);
}

#[tokio::test]
async fn latest_starts_behind_what_is_there_and_skips_nothing_after_that() {
    let harness = Harness::start(1);
    harness.produce(0, 3).await;
    let function = Function::start(|_, _| Reply::ok()).await;
    let latest = harness.mapping(&function, &json!({"StartingPosition": "LATEST"}));
    assert_eq!(harness.drain(latest.clone()).await, End::Drained);
    assert_eq!(function.invocations().len(), 0);
    // Written while nobody polls, after the starting position was fixed: not skipped.
    harness.produce(0, 2).await;
    assert_eq!(harness.drain(latest).await, End::Drained);
    assert_eq!(function.batches().concat(), [(0, 3), (0, 4)]);
}

#[tokio::test]
async fn a_partition_without_a_record_of_the_time_begins_at_its_end() {
    let harness = Harness::start(1);
    harness.send_at(0, 1_700_000_000_000).await;
    let function = Function::start(|_, _| Reply::ok()).await;
    let members = json!({"StartingPosition": "AT_TIMESTAMP", "StartingPositionTimestamp": 1_700_000_001});
    let mapping = harness.mapping(&function, &members);
    assert_eq!(harness.drain(mapping.clone()).await, End::Drained);
    assert_eq!(function.invocations().len(), 0);
    // Behind the end, whatever its time.
    harness.send_at(0, 1_700_000_000_500).await;
    assert_eq!(harness.drain(mapping).await, End::Drained);
    assert_eq!(function.batches().concat(), [(0, 1)]);
}

#[tokio::test]
async fn another_group_begins_at_the_starting_position_again() {
    let harness = Harness::start(1);
    harness.produce(0, 2).await;
    let function = Function::start(|_, _| Reply::ok()).await;
    let with_group = |group: &str| json!({"AmazonManagedKafkaEventSourceConfig": {"ConsumerGroupId": group}});
    for group in ["first", "second", "second"] {
        assert_eq!(harness.drain(harness.mapping(&function, &with_group(group))).await, End::Drained);
    }
    assert_eq!(function.batches().concat(), [(0, 0), (0, 1), (0, 0), (0, 1)]);
}

#[tokio::test]
async fn a_function_that_is_slow_to_recover_loses_nothing_that_waits() {
    let harness = Harness::start(2);
    let (function, repaired) = Function::broken().await;
    // Two thousand records may wait: reading is stopped for both partitions, and goes on later.
    const WRITTEN: usize = 2_600;
    let members = json!({"BatchSize": 4, "MaximumBatchingWindowInSeconds": 0});
    let running = harness.run(harness.mapping(&function, &members)).await;
    for partition in 0..2 {
        harness.produce_many(partition, WRITTEN).await;
    }
    until("reading ahead", || harness.counts().polled_event_count >= 2 * 2_000).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(harness.counts().polled_event_count < 2 * WRITTEN as u64, "reading went on: {:?}", harness.counts());
    repaired.store(true, Ordering::SeqCst);
    harness.until_committed(&[WRITTEN as i64; 2]).await;
    within(running.stop()).await;
    let mut seen: Vec<_> = function.batches().concat();
    seen.dedup();
    for partition in 0..2 {
        let mut offsets: Vec<_> = seen.iter().filter(|(p, _)| *p == partition).map(|(_, offset)| *offset).collect();
        offsets.sort_unstable();
        offsets.dedup();
        assert_eq!(offsets, (0..WRITTEN as i64).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn several_pollers_share_the_partitions_and_keep_their_order() {
    let harness = Harness::start(5);
    for partition in 0..5 {
        harness.produce(partition, 20).await;
    }
    let function = Function::start(|_, _| Reply::ok()).await;
    let members = json!({"ProvisionedPollerConfig": {"MinimumPollers": 3}, "BatchSize": 4});
    assert_eq!(harness.drain(harness.mapping(&function, &members)).await, End::Drained);
    harness.until_committed(&[20; 5]).await;
    for partition in 0..5 {
        let seen: Vec<_> = function.batches().concat().into_iter().filter(|(p, _)| *p == partition).collect();
        let firsts: Vec<_> =
            (0..20).map(|offset| seen.iter().position(|r| *r == (partition, offset)).unwrap()).collect();
        assert!(firsts.is_sorted(), "first deliveries of partition {partition} out of order: {seen:?}");
    }
}

#[tokio::test]
async fn a_second_emulator_takes_over_partitions_and_nothing_is_lost() {
    let harness = Harness::start(4);
    let function = Function::start(|_, _| Reply::ok().after(Duration::from_millis(20))).await;
    let mapping = harness.mapping(&function, &json!({"BatchSize": 5}));
    let first = harness.run(mapping.clone()).await;
    for partition in 0..4 {
        harness.produce(partition, 30).await;
    }
    let second = harness.run(mapping).await;
    for partition in 0..4 {
        harness.produce(partition, 30).await;
    }
    harness.until_committed(&[60; 4]).await;
    within(first.stop()).await;
    for partition in 0..4 {
        harness.produce(partition, 5).await;
    }
    harness.until_committed(&[65; 4]).await;
    within(second.stop()).await;
    let seen = function.batches().concat();
    for record in (0..4).flat_map(|partition| (0..65).map(move |offset| (partition, offset))) {
        assert!(seen.contains(&record), "{record:?} was never delivered");
    }
}

#[tokio::test]
async fn stopping_lets_invocations_in_flight_end_and_commits_them() {
    let harness = Harness::start(1);
    let function = Function::start(|_, _| Reply::ok().after(Duration::from_millis(500))).await;
    let running = harness.run(harness.mapping(&function, &json!({"MaximumBatchingWindowInSeconds": 0}))).await;
    harness.produce(0, 1).await;
    until("the invocation", || !function.invocations().is_empty()).await;
    within(running.stop()).await;
    assert_eq!((function.sizes(), harness.committed(1).await), (vec![1], vec![1]));
}

#[tokio::test]
async fn a_stuck_partition_does_not_hold_up_another() {
    let harness = Harness::start(2);
    let stuck = Arc::new(AtomicBool::new(true));
    let is_stuck = Arc::clone(&stuck);
    let function = Function::start(move |_, invocation| {
        let concerned = invocation.records.iter().any(|(partition, _)| *partition == 0);
        if concerned && is_stuck.load(Ordering::SeqCst) { Reply::error() } else { Reply::ok() }
    })
    .await;
    let members = json!({"BatchSize": 5, "Local": {"singlePartitionBatches": true}});
    let running = harness.run(harness.mapping(&function, &members)).await;
    harness.produce(0, 10).await;
    harness.produce(1, 30).await;
    harness.until_committed(&[-1, 30]).await;
    stuck.store(false, Ordering::SeqCst);
    harness.until_committed(&[10, 30]).await;
    within(running.stop()).await;
    let first_partition: Vec<_> = function.batches().into_iter().filter(|batch| batch[0].0 == 0).collect();
    assert!(first_partition.len() > 2, "the stuck batch is tried again");
    let first = &first_partition[0];
    let repeats = first_partition.iter().take_while(|batch| *batch == first).count();
    assert!(first_partition[repeats..].iter().all(|batch| batch[0].1 >= 5), "one batch in flight per partition");
}

#[tokio::test]
async fn at_most_five_invocations_run_at_once_and_one_per_partition() {
    let harness = Harness::start(8);
    for partition in 0..8 {
        harness.produce(partition, 4).await;
    }
    let slow = Duration::from_millis(150);
    let function = Function::start(move |_, _| Reply::ok().after(slow)).await;
    let members = json!({"BatchSize": 2, "Local": {"singlePartitionBatches": true}});
    assert_eq!(harness.drain(harness.mapping(&function, &members)).await, End::Drained);
    let invocations = function.invocations();
    for invocation in &invocations {
        let running: Vec<_> =
            invocations.iter().filter(|other| other.at <= invocation.at && other.at + slow > invocation.at).collect();
        assert!(running.len() <= 5, "{} at once", running.len());
        let same = running.iter().filter(|other| other.records[0].0 == invocation.records[0].0).count();
        assert_eq!(same, 1, "two batches of one partition in flight");
    }
    assert_eq!(harness.committed(8).await, [4; 8]);
}
