//! The function under the Lambda Runtime API.

use std::time::{Duration, Instant};

use msk_test_kit::{Extensions, FunctionHost, PATIENCE, Pending};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::{Value, json};

use crate::support::{Brokers, brokers, producer, producer_of, sample};

fn answered(body: &Value) -> Value {
    serde_json::from_str(body["body"].as_str().unwrap()).unwrap()
}

#[test]
fn events_are_answered_and_a_sigterm_ends_it_cleanly() {
    let brokers = brokers();
    let host = FunctionHost::start(Extensions::Served);
    let mut process = host.function(producer_of(&brokers));
    for name in ["records-text", "records-base64"] {
        let posted = host.invoke(sample(name));
        assert_eq!((posted.kind, &posted.body["statusCode"]), ("response", &json!(200)), "{:?}", posted.body);
        let answer = answered(&posted.body);
        assert_eq!(answer["request_id"], "request-7");
        assert_eq!(answer["offsets"].as_array().map(Vec::len), Some(2), "{answer}");
    }
    let line = process.line(|line| line["message"] == "request");
    assert_eq!(line["span"]["request_id"], "request-7");
    let posted = host.invoke(sample("error-query"));
    assert_eq!((posted.kind, &posted.body["statusCode"]), ("response", &json!(400)));
    assert_eq!(posted.body["headers"]["content-type"], "application/problem+json");
    let posted = host.invoke(sample("not-an-http-event"));
    assert_eq!((posted.kind, &posted.body["errorType"]), ("error", &json!("NotAnHttpEvent")));
    assert_eq!(host.invoke(sample("healthz")).body["statusCode"], 200);
    process.terminate();
    assert_eq!(process.end().code(), Some(0));
}

/// Reads partition 0 of `orders` from its start, and waits for no record longer than it must.
fn reader(brokers: &Brokers) -> BaseConsumer {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers.bootstrap_servers())
        .set("group.id", "reader")
        .set("fetch.wait.max.ms", "10")
        .create()
        .unwrap();
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset("orders", 0, Offset::Beginning).unwrap();
    consumer.assign(&assignment).unwrap();
    consumer
}

/// Reads until `count` records have come or none comes any more.
fn read(reader: &BaseConsumer, count: usize, patience: Duration) -> usize {
    let give_up = Instant::now() + patience;
    let mut read = 0;
    while read < count && Instant::now() < give_up {
        read += usize::from(matches!(reader.poll(Duration::from_millis(10)), Some(Ok(_))));
    }
    read
}

/// Five batches of one record each are on their way to slow brokers, as many as idempotence allows; the rest waits in the
/// process when the signal comes.
#[test]
fn a_sigterm_sends_what_is_still_queued() {
    const RECORDS: usize = 20;
    let event_of = |count| {
        let mut event: Value = serde_json::from_str(&sample("records-text")).unwrap();
        event["body"] = json!({ "records": vec![json!({"value": 1, "partition": 0}); count] }).to_string().into();
        event.to_string()
    };
    for extensions in [Extensions::Served, Extensions::Missing] {
        // The signal may come too late, and busy cores may use up the 0.4 s that Lambda gives: once is enough.
        let mut seen_at_most = 0;
        let all_came = (0..10).any(|_| {
            let brokers = brokers();
            let host = FunctionHost::start(extensions);
            let mut command = producer_of(&brokers);
            command.env("KAFKA_OPTIONS", r#"{"batch.num.messages":1}"#);
            let mut process = host.function(command);
            let reader = reader(&brokers);
            assert_eq!(host.invoke(event_of(1)).body["statusCode"], 200);
            assert_eq!(read(&reader, 1, PATIENCE), 1);
            (1..=3).for_each(|id| brokers.broker_round_trip_time(id, Duration::from_millis(80)).unwrap());
            let pending = host.send(event_of(RECORDS));
            let mut seen = read(&reader, 1, PATIENCE);
            assert_eq!(seen, 1);
            let is_early = pending.is_waiting();
            process.terminate();
            assert_eq!(process.end().code(), Some(0));
            if is_early {
                seen += read(&reader, RECORDS - seen, Duration::from_secs(5));
                seen_at_most = seen_at_most.max(seen);
            }
            is_early && seen == RECORDS
        });
        assert!(all_came, "{extensions:?}: at most {seen_at_most} of {RECORDS} records, of a request cut short");
    }
}

/// glibc frees nothing that `setenv` has replaced: with the trace ids in the environment this would be 3 MB.
#[cfg(target_os = "linux")]
#[test]
fn invocations_leave_nothing_in_memory() {
    const WARM_UP: u32 = 2_000;
    const MORE: u32 = 20_000;
    const MOST_KIB: u64 = 1_024;
    let brokers = brokers();
    let host = FunctionHost::start(Extensions::Served);
    let process = host.function(producer_of(&brokers));
    let invoke = |times| (0..times).for_each(|_| assert_eq!(host.invoke(sample("healthz")).body["statusCode"], 200));
    invoke(WARM_UP);
    let before = process.memory_kib();
    invoke(MORE);
    let after = process.memory_kib();
    assert!(after <= before + MOST_KIB, "{before} KiB, and {after} KiB {MORE} invocations later");
}

/// The records are on their way to slow brokers while another invocation is answered.
#[test]
fn a_managed_instance_handles_several_invocations_at_once() {
    let brokers = brokers();
    let host = FunctionHost::start(Extensions::Served);
    let mut command = producer_of(&brokers);
    command.env("AWS_LAMBDA_MAX_CONCURRENCY", "3");
    let _process = host.function(command);
    assert_eq!(host.invoke(sample("message-text")).body["statusCode"], 200);
    (1..=3).for_each(|id| brokers.broker_round_trip_time(id, Duration::from_secs(4)).unwrap());
    let slow = ["request-1", "request-2"].map(|id| host.send_as(id, sample("message-text")));
    assert_eq!(host.invoke(sample("healthz")).body["statusCode"], 200);
    assert!(slow.iter().all(Pending::is_waiting), "the invocations were handled one after the other");
    for (pending, id) in slow.into_iter().zip(["request-1", "request-2"]) {
        let body = pending.posted().body;
        assert_eq!((&body["statusCode"], &answered(&body)["request_id"]), (&json!(200), &json!(id)), "{body}");
    }
}

#[test]
fn a_host_without_extensions_serves_it_too() {
    let brokers = brokers();
    let host = FunctionHost::start(Extensions::Missing);
    let mut process = host.function(producer_of(&brokers));
    assert_eq!(host.invoke(sample("message-text")).body["statusCode"], 200);
    process.terminate();
    assert_eq!(process.end().code(), Some(0));
}

#[test]
fn a_start_fault_is_reported_to_lambda_without_a_value() {
    let kafka = [("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1"), ("KAFKA_AUTH", "none"), ("TOPICS", "orders")];
    for (variables, names) in [
        (&[("MAX_RECORDS", "c4n4ry"), ("TOPICS", "c4n4ry c4n4ry")][..], &["MAX_RECORDS", "TOPICS", "AWS_REGION"][..]),
        (&[&kafka[..], &[("KAFKA_OPTIONS", r#"{"compression.type":"c4n4ry"}"#)]].concat(), &["compression.type"]),
        (&[&kafka[..], &[("KAFKA_CA_FILE", "/c4n4ry")]].concat(), &["KAFKA_CA_FILE"]),
    ] {
        let host = FunctionHost::start(Extensions::Served);
        let mut command = producer();
        command.envs(variables.iter().copied());
        let mut process = host.function(command);
        let (error_type, document) = host.start_fault();
        assert_eq!(error_type.as_deref(), Some("Runtime.ConfigInvalid"));
        assert_eq!(document["errorType"], "Runtime.ConfigInvalid");
        let message = document["errorMessage"].as_str().unwrap();
        for name in names {
            assert!(message.contains(name), "{name}: {message}");
        }
        assert!(!message.contains("c4n4ry"), "{message}");
        assert_eq!(process.end().code(), Some(1));
    }
}

#[test]
fn a_cluster_that_is_down_does_not_fail_init() {
    let host = FunctionHost::start(Extensions::Served);
    let mut command = producer();
    command.envs([("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1"), ("KAFKA_AUTH", "none"), ("TOPICS", "orders")]);
    let process = host.function(command);
    let started = std::time::Instant::now();
    assert_eq!(host.invoke(sample("healthz")).body["statusCode"], 200);
    assert!(started.elapsed() < std::time::Duration::from_secs(6), "{:?}", started.elapsed());
    let starting = "the cluster does not answer yet; starting all the same";
    let line = process.line(|line| line["message"] == starting);
    assert_eq!((&line["level"], &line["cause"]), (&json!("ERROR"), &json!("brokers_unreachable")), "{line}");
    let posted = host.invoke(sample("message-text"));
    let answer = answered(&posted.body);
    assert_eq!((&posted.body["statusCode"], &answer["persisted"]), (&json!(503), &json!("no")), "{answer}");
}
