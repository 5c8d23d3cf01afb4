//! Where records go when they are given up.
//!
//! AWS's rules: <https://docs.aws.amazon.com/lambda/latest/dg/kafka-on-failure-destination.html>.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use msk_local::esm::running_mapping::End;
use msk_shared::event::MskEvent;
use serde_json::{Value, json};

use super::function::{Function, Reply};
use super::harness::Harness;

const DEAD: &str = "orders.dead";
const CLUSTER: &str = "arn:aws:kafka:eu-central-1:123456789012:cluster/orders/6cc0432b-8618-4f44-bccc-e1fbd8fb7c4d-2";

fn harness() -> Harness {
    let harness = Harness::start(1);
    harness.brokers.create_topic(&format!("{DEAD}:1").parse().unwrap()).unwrap();
    harness
}

fn to_kafka(members: Value) -> Value {
    let mut all = json!({"DestinationConfig": {"OnFailure": {"Destination": format!("kafka://{DEAD}")}}});
    all.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    all
}

/// The only document in the folder.
fn only_document(folder: &Path) -> Value {
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "one message for the batch: {files:?}");
    serde_json::from_slice(&std::fs::read(&files[0]).unwrap()).unwrap()
}

#[tokio::test]
async fn with_a_destination_endless_retries_end_after_eleven_invocations() {
    let harness = harness();
    harness.produce(0, 1).await;
    let function = Function::start(|_, _| Reply::error()).await;
    assert_eq!(harness.drain(harness.mapping(&function, &to_kafka(json!({})))).await, End::Drained);
    assert_eq!(function.sizes(), [1; 11]);
    let (key, document) = harness.read(DEAD, 1).await.remove(0);
    assert_eq!(key.as_deref(), Some(b"key".as_slice()));
    assert_eq!(document["requestContext"]["condition"], "RetriesExhausted");
    assert_eq!(document["requestContext"]["approximateInvokeCount"], 11);
    assert_eq!(document["responseContext"]["functionError"], "Unhandled");
    let counts = harness.counts();
    assert_eq!((counts.dropped_event_count, counts.on_failure_destination_delivered_event_count), (0, 1));
    assert_eq!(harness.committed(1).await, [1]);
}

/// <https://docs.aws.amazon.com/lambda/latest/dg/kafka-retry-configurations.html>: records older than the age go to the destination.
#[tokio::test]
async fn a_record_above_its_age_goes_to_the_destination_and_a_younger_one_to_the_function() {
    let harness = harness();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    harness.send_at(0, now - 120_000).await;
    harness.send_at(0, now).await;
    let function = Function::start(|_, _| Reply::ok()).await;
    let members = to_kafka(json!({"MaximumRecordAgeInSeconds": 60}));
    assert_eq!(harness.drain(harness.mapping(&function, &members)).await, End::Drained);
    assert_eq!((function.sizes(), function.deliveries_of((0, 1))), (vec![1], 1));
    let (_, document) = harness.read(DEAD, 1).await.remove(0);
    assert_eq!(document["requestContext"]["condition"], "RecordAgeExceeded");
    assert_eq!(document["KafkaBatchInfo"]["recordInfo"]["offset"], "0");
    assert_eq!(harness.committed(1).await, [2]);
}

/// A batch is halved at once; what is left to retry is the record that cannot be halved.
#[tokio::test]
async fn retries_are_for_the_record_that_halving_finds() {
    let harness = harness();
    harness.produce(0, 8).await;
    let function = Function::failing_on((0, 3)).await;
    let members = json!({"BisectBatchOnFunctionError": true, "MaximumRetryAttempts": 2, "BatchSize": 8});
    assert_eq!(harness.drain(harness.mapping(&function, &to_kafka(members))).await, End::Drained);
    assert_eq!(function.sizes(), [8, 4, 2, 2, 1, 1, 1, 1, 4]);
    assert_eq!(function.deliveries_of((0, 3)), 6);
    assert_eq!(harness.read(DEAD, 1).await[0].1["KafkaBatchInfo"]["recordInfo"]["offset"], "3");
}

#[tokio::test]
async fn a_poison_record_found_by_halving_is_the_only_one_at_the_destination() {
    let harness = harness();
    harness.produce(0, 4).await;
    let function = Function::failing_on((0, 0)).await;
    let members = json!({"BisectBatchOnFunctionError": true, "MaximumRetryAttempts": 0, "BatchSize": 4});
    assert_eq!(harness.drain(harness.mapping(&function, &to_kafka(members))).await, End::Drained);
    assert_eq!(function.sizes(), [4, 2, 1, 1, 2]);
    assert_eq!(harness.committed(1).await, [4]);
    let documents = harness.read(DEAD, 1).await;
    let document = &documents[0].1;
    assert_eq!(document["KafkaBatchInfo"]["recordInfo"]["offset"], "0");
    assert_eq!(document["KafkaBatchInfo"]["batchSize"], 1);
    // The record as it was, in an event of its own.
    let event = MskEvent::parse(document["payload"].to_string()).unwrap();
    let record = event.records().next().unwrap();
    assert_eq!(record.value().unwrap().as_deref(), Some(br#"{"number":0}"#.as_slice()));
    assert_eq!(harness.counts().on_failure_destination_delivered_event_count, 1);
}

/// A default topic takes 1,048,588 bytes, and a document has 4/3 of its record and more.
#[tokio::test]
async fn a_document_larger_than_its_topic_takes_is_refused_and_the_record_dropped() {
    let harness = harness();
    for bytes in [780_000, 790_000, 900_000] {
        harness.send(0, Some(b"key"), Some(&vec![b'x'; bytes]), &[]).await;
    }
    let function = Function::start(|_, _| Reply::error()).await;
    let members = to_kafka(json!({"MaximumRetryAttempts": 0, "BatchSize": 1}));
    assert_eq!(harness.drain(harness.mapping(&function, &members)).await, End::Drained);
    let counts = harness.counts();
    assert_eq!((counts.on_failure_destination_delivered_event_count, counts.dropped_event_count), (1, 2));
    assert_eq!(counts.on_failure_destination_delivery_error_count, 2);
    let (_, document) = harness.read(DEAD, 1).await.remove(0);
    assert_eq!(document["KafkaBatchInfo"]["recordInfo"]["offset"], "0");
    assert_eq!(harness.committed(1).await, [3], "what is dropped blocks nothing, as on AWS");
}

#[tokio::test]
async fn queues_and_buckets_are_folders() {
    for (service, with_payload) in [("sqs", false), ("sns", false), ("s3", true)] {
        let harness = Harness::start(1);
        harness.produce(0, 3).await;
        let folder = tempfile::tempdir().unwrap();
        let function = Function::start(|_, _| Reply::error()).await;
        let members = json!({
            "MaximumRetryAttempts": 1,
            "DestinationConfig": {"OnFailure": {"Destination": format!("arn:aws:{service}:::given-up")}},
            "Local": {"destinationFolder": folder.path()},
        });
        assert_eq!(harness.drain(harness.mapping(&function, &members)).await, End::Drained);
        let document = only_document(folder.path());
        assert_eq!(document["requestContext"]["condition"], "RetryAttemptsExhausted");
        let info = &document["KafkaBatchInfo"]["recordsInfo"]["orders-0"];
        assert_eq!((&info["firstRecordOffset"], &info["lastRecordOffset"]), (&json!("0"), &json!("2")));
        assert_eq!(document.get("payload").is_some_and(Value::is_string), with_payload, "{service}");
    }
}

/// As AWS's samples have them, of two partitions.
#[tokio::test]
async fn a_batchs_document_has_the_members_of_awss_sample() {
    for (service, with_payload) in [("sqs", false), ("sns", false), ("s3", true)] {
        let harness = Harness::start(2);
        for (partition, ms) in [(0, 0), (0, 1_000), (1, 2_000)] {
            harness.send_at(partition, 1_700_000_000_000 + ms).await;
        }
        let folder = tempfile::tempdir().unwrap();
        let function = Function::start(|_, _| Reply::error()).await;
        let members = json!({
            "EventSourceArn": CLUSTER, "MaximumRetryAttempts": 0, "BatchSize": 3, "MaximumBatchingWindowInSeconds": 300,
            "DestinationConfig": {"OnFailure": {"Destination": format!("arn:aws:{service}:::given-up")}},
            "Local": {"destinationFolder": folder.path()},
        });
        assert_eq!(harness.drain(harness.mapping(&function, &members)).await, End::Drained);
        let event = function.invocations()[0].body.clone();
        let document = only_document(folder.path());
        let span = |first: (&str, &str), last: (&str, &str)| {
            json!({
                "firstRecordOffset": first.0, "firstRecordTimestamp": first.1,
                "lastRecordOffset": last.0, "lastRecordTimestamp": last.1,
            })
        };
        let [first, second, third] = ["2023-11-14T22:13:20Z", "2023-11-14T22:13:21Z", "2023-11-14T22:13:22Z"];
        let context = &document["requestContext"];
        let mut expected = json!({
            "requestContext": {
                "requestId": context["requestId"], "functionArn": context["functionArn"],
                "condition": "RetryAttemptsExhausted", "approximateInvokeCount": 1,
            },
            "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
            "version": "1.0",
            "timestamp": document["timestamp"],
            "KafkaBatchInfo": {
                "batchSize": 3, "eventSourceArn": CLUSTER, "bootstrapServers": harness.brokers.bootstrap_servers(),
                "payloadSize": event.len(),
                "recordsInfo": {
                    "orders-0": span(("0", first), ("1", second)),
                    "orders-1": span(("0", third), ("0", third)),
                },
            },
        });
        if with_payload {
            expected["payload"] = json!(String::from_utf8(event.to_vec()).unwrap());
        }
        assert_eq!(document, expected, "{service}");
        let texts = [&context["requestId"], &context["functionArn"], &document["timestamp"]];
        assert!(texts.iter().all(|text| text.is_string()), "{document}");
    }
}

#[tokio::test]
async fn a_failed_batch_becomes_a_message_for_each_record_with_its_key() {
    let harness = harness();
    let keys: [Option<&[u8]>; 3] = [Some(b"a"), Some(b"b"), None];
    for key in keys {
        harness.send(0, key, Some(b"{}"), &[]).await;
    }
    let function = Function::start(|_, _| Reply::error()).await;
    let members = json!({
        "EventSourceArn": CLUSTER, "MaximumRetryAttempts": 0, "BatchSize": 3, "MaximumBatchingWindowInSeconds": 300,
    });
    assert_eq!(harness.drain(harness.mapping(&function, &to_kafka(members))).await, End::Drained);
    assert_eq!(function.sizes(), [3], "no retry");
    let event: Value = serde_json::from_slice(&function.invocations()[0].body).unwrap();
    for (number, (key, document)) in harness.read(DEAD, 3).await.into_iter().enumerate() {
        assert_eq!(key.as_deref(), keys[number]);
        let mut payload = event.clone();
        payload["records"]["orders-0"] = json!([event["records"]["orders-0"][number]]);
        assert_eq!(document["payload"], payload, "an event of its own, as an object");
        let info = &document["KafkaBatchInfo"];
        let expected = json!({
            "batchSize": 1, "eventSourceArn": CLUSTER, "bootstrapServers": harness.brokers.bootstrap_servers(),
            "payloadSize": payload.to_string().len(),
            "recordInfo": {"offset": number.to_string(), "timestamp": info["recordInfo"]["timestamp"]},
        });
        assert_eq!(*info, expected);
        assert!(info["recordInfo"]["timestamp"].as_str().unwrap().ends_with('Z'), "{info}");
    }
}

#[tokio::test]
async fn records_without_a_key_are_spread_over_the_destinations_partitions() {
    const RECORDS: i64 = 40;
    let harness = Harness::start(1);
    harness.brokers.create_topic(&format!("{DEAD}:3").parse().unwrap()).unwrap();
    for _ in 0..RECORDS {
        harness.send(0, None, Some(b"{}"), &[]).await;
    }
    let function = Function::start(|_, _| Reply::error()).await;
    let members = json!({"MaximumRetryAttempts": 0, "BatchSize": RECORDS, "MaximumBatchingWindowInSeconds": 300});
    assert_eq!(harness.drain(harness.mapping(&function, &to_kafka(members))).await, End::Drained);
    let ends = harness.ends(DEAD, 3).await;
    assert_eq!(ends.iter().sum::<i64>(), RECORDS, "{ends:?}");
    assert!(ends.iter().all(|end| *end > 0), "{ends:?}");
}

/// These destinations need no provisioned mode, and end endless retries, too.
#[tokio::test]
async fn in_on_demand_mode_an_arn_gets_what_ten_retries_did_not_deliver() {
    for service in ["sqs", "sns", "s3"] {
        let harness = Harness::start(1);
        harness.produce(0, 1).await;
        let folder = tempfile::tempdir().unwrap();
        let function = Function::start(|_, _| Reply::error()).await;
        let members = json!({
            "ProvisionedPollerConfig": null,
            "DestinationConfig": {"OnFailure": {"Destination": format!("arn:aws:{service}:::given-up")}},
            "Local": {"destinationFolder": folder.path()},
        });
        assert_eq!(harness.drain(harness.mapping(&function, &members)).await, End::Drained);
        assert_eq!(function.sizes(), [1; 11], "{service}");
        assert_eq!(only_document(folder.path())["requestContext"]["approximateInvokeCount"], 11, "{service}");
    }
}

#[tokio::test]
async fn a_destination_that_fails_drops_the_records_and_blocks_nothing() {
    let harness = Harness::start(1);
    harness.produce(0, 2).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let function = Function::start(|_, _| Reply::error()).await;
    let members = json!({
        "MaximumRetryAttempts": 0,
        "DestinationConfig": {"OnFailure": {"Destination": "arn:aws:sqs:eu-west-1:123456789012:given-up"}},
        "Local": {"destinationFolder": file.path()},
    });
    assert_eq!(harness.drain(harness.mapping(&function, &members)).await, End::Drained);
    let counts = harness.counts();
    assert_eq!((counts.dropped_event_count, counts.on_failure_destination_delivery_error_count), (2, 1));
    assert_eq!(harness.committed(1).await, [2]);
}

#[tokio::test]
async fn an_oversize_record_goes_to_the_destination_without_an_invocation() {
    let harness = Harness::start(1);
    let folder = tempfile::tempdir().unwrap();
    harness.send(0, None, Some(b"v"), &[("h", Some(&vec![200_u8; 1_700_000]))]).await;
    let function = Function::start(|_, _| Reply::ok()).await;
    let members = json!({
        "DestinationConfig": {"OnFailure": {"Destination": "arn:aws:sns:eu-west-1:123456789012:given-up"}},
        "Local": {"destinationFolder": folder.path()},
    });
    assert_eq!(harness.drain(harness.mapping(&function, &members)).await, End::Drained);
    assert_eq!(function.sizes(), [0; 0]);
    let document = only_document(folder.path());
    assert_eq!(document["requestContext"]["condition"], "MaximumPayloadSizeExceeded");
    assert_eq!(document["responseContext"], Value::Null);
}
