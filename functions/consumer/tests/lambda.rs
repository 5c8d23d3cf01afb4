//! The consumer as a process, driven through the Lambda Runtime API as AWS does.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failing test may panic")]

use std::process::Command;

use msk_test_kit::{Extensions, FunctionHost, Posted, Process, clean, sample};
use serde_json::{Value, json};

/// A consumer that polls a Runtime API.
struct Consumer {
    process: Process,
    host: FunctionHost,
}

/// The command, with these variables alone.
fn function(variables: &[(&str, &str)]) -> Command {
    let mut command = clean(env!("CARGO_BIN_EXE_consumer"));
    command.envs(variables.iter().copied());
    command
}

impl Consumer {
    fn start(variables: &[(&str, &str)]) -> Self {
        let host = FunctionHost::start(Extensions::Served);
        Self { process: host.function(function(variables)), host }
    }

    fn invoke(&self, event: impl Into<String>) -> Posted {
        self.host.invoke(event)
    }

    /// The first log line that `is` accepts.
    fn line(&self, is: impl Fn(&Value) -> bool) -> Value {
        self.process.line(is)
    }
}

#[test]
fn a_batch_is_answered_with_a_line_per_record_and_one_of_metrics() {
    let consumer = Consumer::start(&[("REPORT_BATCH_ITEM_FAILURES", "true")]);
    let posted = consumer.invoke(sample("msk-headers.json"));
    assert_eq!((posted.kind, posted.body), ("response", json!({"batchItemFailures": []})));

    let record = consumer.line(|line| line["message"] == "record");
    for (name, value) in
        [("topic", json!("orders")), ("partition", json!(0)), ("offset", json!(100)), ("type", json!("json"))]
    {
        assert_eq!(record[name], value, "{name} in {record}");
    }
    assert!(record["bytes"].as_u64().is_some_and(|bytes| bytes > 100), "{record}");
    let span = &record["span"];
    assert_eq!(span["request_id"], "request-7");
    assert_eq!(span["record"], "orders-0@100");
    assert_eq!(span["traceparent"], "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    let second = consumer.line(|line| line["message"] == "record");
    assert_eq!((&second["offset"], second["span"].get("traceparent")), (&json!(101), None));

    let metrics = consumer.line(|line| line.get("_aws").is_some());
    assert_eq!(metrics["service"], "consumer");
    assert_eq!(metrics["_aws"]["CloudWatchMetrics"][0]["Namespace"], "msk-ha-cluster");
    assert_eq!(metrics["_aws"]["CloudWatchMetrics"][0]["Dimensions"], json!([["service"]]));
    assert_eq!((&metrics["RecordsReceived"], &metrics["RecordsDone"]), (&json!(5), &json!(5)));
}

#[test]
fn failures_are_reported_or_fail_the_invocation_as_the_mapping_wants() {
    let partial = Consumer::start(&[("REPORT_BATCH_ITEM_FAILURES", "true"), ("ORDERING", "partition")]);
    let posted = partial.invoke(sample("msk-poison.json"));
    let item = |offset: i64| json!({"itemIdentifier": {"partition": "orders-0", "offset": offset}});
    assert_eq!(posted.body, json!({"batchItemFailures": [item(501), item(502), item(503)]}));

    let whole = Consumer::start(&[]);
    let posted = whole.invoke(sample("msk-poison.json"));
    assert_eq!((posted.kind, &posted.body["errorType"]), ("error", &json!("RecordsFailed")));
    let message = posted.body["errorMessage"].as_str().unwrap();
    assert!(message.contains("3 of 4 records failed, the first one is orders-0@501"), "{message}");
    let line = whole.line(|line| line["level"] == "ERROR" && line["message"] == "the invocation failed");
    assert_eq!(line["span"]["request_id"], "request-7");
}

#[test]
fn an_event_of_another_kind_fails_and_the_next_one_is_handled() {
    let consumer = Consumer::start(&[]);
    for event in [&sample("msk-not-an-msk-event.json"), "{}", "7"] {
        let posted = consumer.invoke(event);
        assert_eq!((posted.kind, &posted.body["errorType"]), ("error", &json!("NotAnMskEvent")), "{event}");
        assert!(posted.body["errorMessage"].as_str().unwrap().contains("event source mapping"), "{:?}", posted.body);
    }
    assert_eq!(consumer.invoke(sample("msk-empty.json")).body, json!({"batchItemFailures": []}));
    assert_eq!(consumer.invoke(sample("msk-cloudevents.json")).kind, "response");
}

#[test]
fn no_content_reaches_the_log() {
    let canary = "c4n4ry-9f2";
    let encoded = |text: &str| json!(text.bytes().collect::<Vec<u8>>());
    let records: Vec<Value> = ["aGVsbG8gYzRuNHJ5LTlmMg==", "c4n4ry-9f2 not base64", "eyJjNG40cnktOWYyIjoxfQ==", "AAECc4n4ry"]
        .iter()
        .enumerate()
        .map(|(offset, value)| {
            json!({"topic": "t", "partition": offset, "offset": offset, "key": "YzRuNHJ5LTlmMg==", "value": value,
                   "headers": [{"traceparent": encoded(canary)}, {(canary): encoded(canary)}, {"n": encoded("\r\n\u{1b}\0\u{202e}")}]})
        })
        .collect();
    let consumer = Consumer::start(&[("LOG_LEVEL", "trace"), ("REPORT_BATCH_ITEM_FAILURES", "true")]);
    consumer.invoke(json!({"eventSource": "aws:kafka", "records": {"t-0": records}}).to_string());
    consumer.invoke(format!(r#"{{"Records":"{canary}"}}"#));
    consumer.invoke(format!(r#"{{"records": "{canary}" "#));
    let mut metrics = 0;
    // The last line is the third invocation's.
    let mut failures = 0;
    while failures < 2 {
        let line = consumer.line(|_| true);
        assert!(!line.to_string().contains("c4n4ry"), "{line}");
        metrics += usize::from(line.get("_aws").is_some());
        failures += usize::from(line["message"] == "the invocation failed");
    }
    assert_eq!(metrics, 1, "one line of metrics per batch");
}

#[test]
fn every_problem_of_the_environment_is_named_before_it_ends() {
    let output =
        function(&[("ORDERING", "x"), ("CONCURRENCY", "0"), ("IDEMPOTENCY_TABLE", "t"), ("DEAD_LETTER", "sqs:u")])
            .env("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9")
            .output()
            .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let line: Value = serde_json::from_slice(&output.stdout).unwrap();
    let error = line["error"].as_str().unwrap();
    for name in ["ORDERING", "CONCURRENCY", "IDEMPOTENCY_TABLE", "DEAD_LETTER"] {
        assert!(error.contains(name), "{name}: {error}");
    }
}

/// A function whose start Lambda is told of: the report's JSON, after its error type and the exit code are checked.
fn report_of(variables: &[(&str, &str)]) -> Value {
    let mut consumer = Consumer::start(variables);
    let (error_type, document) = consumer.host.start_fault();
    assert_eq!(error_type.as_deref(), Some("Runtime.ConfigInvalid"));
    assert_eq!(document["errorType"], "Runtime.ConfigInvalid");
    assert_eq!(document["stackTrace"], json!([]));
    assert_eq!(consumer.process.end().code(), Some(1));
    document
}

#[test]
fn a_start_fault_is_reported_to_lambda_without_a_value() {
    let document = report_of(&[("ORDERING", "c4n4ry"), ("CONCURRENCY", "c4n4ry"), ("DEAD_LETTER", "sqs:c4n4ry")]);
    let message = document["errorMessage"].as_str().unwrap();
    for name in ["ORDERING", "CONCURRENCY", "DEAD_LETTER"] {
        assert!(message.contains(name), "{name}: {message}");
    }
    assert!(!message.contains("c4n4ry"), "{message}");
}

#[cfg(feature = "dead-letter-kafka")]
#[test]
fn a_dead_letter_client_that_cannot_be_created_is_reported_too() {
    let password = ("KAFKA_SASL_PASSWORD", "c4n4ry");
    let variables = [("DEAD_LETTER", "kafka:dead"), ("KAFKA_BOOTSTRAP_SERVERS", "b:9096"), ("KAFKA_AUTH", "scram")];
    let document =
        report_of(&[&variables[..], &[password, ("KAFKA_OPTIONS", r#"{"compression.type":"c4n4ry"}"#)]].concat());
    let message = document["errorMessage"].as_str().unwrap();
    assert!(message.contains("KAFKA_SASL_USERNAME") && message.contains("compression.type"), "{message}");
    assert!(!message.contains("c4n4ry"), "{message}");
}

#[test]
fn outside_of_lambda_it_says_how_to_start_it() {
    let output = function(&[]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("cargo xtask up"), "{text}");
}
