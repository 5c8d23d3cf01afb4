//! AWS's system log of a mapping: its events, levels, members, and where it goes.
//!
//! AWS's rules: <https://docs.aws.amazon.com/lambda/latest/dg/esm-logging.html>.

use std::sync::Arc;
use std::time::Duration;

use msk_local::esm::running_mapping::{RunningMapping, Shared};
use msk_local::esm::system_log::SystemLog;
use msk_local::output::{Format, Reporter};
use msk_test_kit::KeptLines;
use serde_json::{Value, json};

use super::function::{Function, Reply};
use super::harness::{Harness, until, within};
use super::program::{config, start};

const CLUSTER: &str = "arn:aws:kafka:eu-central-1:123456789012:cluster/orders/6cc0432b-8618-4f44-bccc-e1fbd8fb7c4d-2";
const UUID: &str = "a1b2c3d4-5678-90ab-cdef-111111111111";

/// AWS's own samples, as the page of the source shows them: the members that each event has.
fn sample(event_type: &str) -> Vec<&'static str> {
    match event_type {
        "ESM_PROCESSING_EVENT" => vec!["errorMessage", "errorCode"],
        "POLLER_STATUS_EVENT" => vec![
            "brokerEndpoints",
            "consumerId",
            "topics",
            "consumerGroupId",
            "securityProtocol",
            "totalPartitionCount",
            "assignedPartitionCount",
            "partitionsAssignmentGeneration",
            "assignedPartitions",
        ],
        _ => vec!["partition", "endOffset", "consumedOffset", "processedOffset", "committedOffset"],
    }
}

fn members(value: &Value) -> Vec<&str> {
    let mut members: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    members.sort_unstable();
    members
}

/// Each event has the members of AWS's sample, and no others.
fn check(event: &Value) {
    let event_type = event["eventType"].as_str().unwrap();
    let (content, level) = match event_type {
        "ESM_PROCESSING_EVENT" => ("error", "WARN"),
        "POLLER_STATUS_EVENT" => ("kafkaEventSourceConnection", "INFO"),
        "KAFKA_STATUS_EVENT" => ("kafkaPartitionOffsets", "DEBUG"),
        other => panic!("AWS has no {other}"),
    };
    let mut expected =
        vec!["eventType", "timestamp", "resourceArn", "eventSourceArn", "eventProcessorId", "logLevel", content];
    expected.sort_unstable();
    assert_eq!(members(event), expected, "{event}");
    let mut expected = sample(event_type);
    expected.sort_unstable();
    assert_eq!(members(&event[content]), expected, "{event}");
    assert_eq!(event["logLevel"], level);
    assert!(event["timestamp"].as_u64().unwrap() > 1_700_000_000_000, "milliseconds: {event}");
    assert_eq!(event["eventSourceArn"], CLUSTER);
    let arn = format!("arn:aws:lambda:eu-central-1:123456789012:event-source-mapping:{UUID}");
    assert_eq!((&event["resourceArn"], &event["eventProcessorId"]), (&json!(arn), &json!(format!("{UUID}/0"))));
}

/// A run of the mapping with the system log at this level, told of its partitions every 100 ms, until it ends.
async fn events_at(level: &str) -> Vec<Value> {
    let harness = Harness::start(2);
    harness.produce(0, 5).await;
    // The first commit fails, and is repeated.
    harness.brokers.refuse_commits(1);
    let function = Function::start(|_, _| Reply::ok()).await;
    let members = json!({
        "UUID": UUID, "EventSourceArn": CLUSTER, "LoggingConfig": {"SystemLogLevel": level}, "MaximumBatchingWindowInSeconds": 0,
    });
    let log = KeptLines::default();
    let interval = Duration::from_millis(100);
    let system_log = SystemLog::new(Box::new(log.clone())).with_status_interval(interval);
    let reporter = Reporter::new(Format::Json, false, false, Box::new(KeptLines::default()));
    let shared = Shared { system_log: Some(Arc::new(system_log)), ..Shared::new(Arc::new(reporter)) };
    let mut running = RunningMapping::start(harness.mapping(&function, &members), &shared).await.unwrap();
    within(running.joined()).await.unwrap();
    harness.until_committed(&[5, -1]).await;
    if level == "DEBUG" {
        let done = |event: &Value| event["kafkaPartitionOffsets"]["committedOffset"] == 5;
        until("a status after the commit", || log.lines().iter().any(done)).await;
    }
    within(running.stop()).await;
    let events = log.lines();
    // What was not read or not processed yet is left out.
    let is_early = |event: &&Value| {
        event["eventType"] == "KAFKA_STATUS_EVENT" && event["kafkaPartitionOffsets"]["processedOffset"].is_null()
    };
    events.iter().filter(|event| !is_early(event)).for_each(check);
    events
}

fn with_type<'a>(events: &'a [Value], event_type: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["eventType"] == event_type).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_level_has_the_events_that_aws_documents_for_it() {
    let debug = events_at("DEBUG").await;
    let status = with_type(&debug, "KAFKA_STATUS_EVENT");
    let last = status.iter().rfind(|event| event["kafkaPartitionOffsets"]["partition"] == "orders-0").unwrap();
    let expected = json!({
        "partition": "orders-0", "endOffset": 5, "consumedOffset": 4, "processedOffset": 4, "committedOffset": 5,
    });
    assert_eq!(last["kafkaPartitionOffsets"], expected, "as in AWS's sample, the last two offsets are one apart");
    let empty = status.iter().find(|event| event["kafkaPartitionOffsets"]["partition"] == "orders-1").unwrap();
    assert_eq!(members(&empty["kafkaPartitionOffsets"]), ["committedOffset", "endOffset", "partition"]);

    let connections = with_type(&debug, "POLLER_STATUS_EVENT");
    let connection = &connections[0]["kafkaEventSourceConnection"];
    assert_eq!(connection["topics"], json!(["orders"]));
    assert_eq!(connection["consumerGroupId"], "msk-local.consumer.orders");
    assert_eq!(connection["consumerId"], format!("{UUID}-0"));
    assert_eq!(connection["securityProtocol"], "PLAINTEXT");
    assert_eq!(
        (&connection["totalPartitionCount"], &connection["partitionsAssignmentGeneration"]),
        (&json!(2), &json!(1))
    );
    assert!(connection["brokerEndpoints"].as_str().unwrap().starts_with("127.0.0.1:"), "{connection}");
    let all = connections.iter().map(|event| &event["kafkaEventSourceConnection"]["assignedPartitions"]);
    assert!(
        all.clone().any(|partitions| *partitions == json!(["orders-0", "orders-1"])),
        "{:?}",
        all.collect::<Vec<_>>()
    );

    let errors = with_type(&debug, "ESM_PROCESSING_EVENT");
    assert_eq!(errors[0]["error"]["errorCode"], "org.apache.kafka.common.errors.TopicAuthorizationException");

    let info = events_at("INFO").await;
    assert!(
        with_type(&info, "KAFKA_STATUS_EVENT").is_empty() && !with_type(&info, "POLLER_STATUS_EVENT").is_empty(),
        "{info:?}"
    );
    assert!(!with_type(&info, "ESM_PROCESSING_EVENT").is_empty(), "{info:?}");
    let warn = events_at("WARN").await;
    assert!(warn.iter().all(|event| event["eventType"] == "ESM_PROCESSING_EVENT") && !warn.is_empty(), "{warn:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_goes_to_a_file_to_standard_output_or_with_the_logs() {
    let harness = Harness::start(1);
    let function = Function::start(|_, _| Reply::ok()).await;
    let (folder, path) = config(&harness, &function.url, &json!({"UUID": UUID, "EventSourceArn": CLUSTER}));
    let file = folder.path().join("system.log");
    std::fs::write(&file, "{}\n").unwrap();
    let drain = |flags: &[&str]| {
        let mut drain = start(&[&["esm", "drain", &path], flags].concat());
        assert_eq!(drain.end().code(), Some(0));
        drain.json_lines()
    };
    drain(&["--system-log", file.to_str().unwrap()]);
    let lines: Vec<Value> =
        std::fs::read_to_string(&file).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.len() >= 2 && lines[0] == json!({}), "what was there stays: {lines:?}");
    lines[1..].iter().for_each(check);
    let printed = drain(&["--system-log", "-"]);
    assert!(printed.iter().any(|line| line["eventType"] == "POLLER_STATUS_EVENT"), "{printed:?}");
    assert!(drain(&[]).iter().all(|line| line["eventType"].is_null()), "nobody asked for it");

    let members = json!({"LoggingConfig": {"SystemLogLevel": "INFO"}});
    let (_folder, path) = config(&harness, &function.url, &members);
    let output = super::program::run(&["esm", "drain", &path]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && text.contains("\"eventType\":\"POLLER_STATUS_EVENT\""), "{text}");
    let output = super::program::run(&["esm", "drain", &path, "--system-log", "/no/such/folder/log"]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && text.contains("--system-log (Local.systemLog)"), "{text}");
}
