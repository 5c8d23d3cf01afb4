//! What the projection into a DynamoDB table asks for, and what it makes of the answers; `dynamodb_local` has it write a table.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failing test may panic")]

mod endpoint;

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use endpoint::{Endpoint, Received};
use msk_consumer::{BatchHandler, Outcome, RecordBatch};
use msk_consumer_examples::dynamodb_writer::DynamoDbWriter;
use msk_shared::env::EnvReader;
use msk_shared::event::{Header, Record};
use msk_test_kit::{Extensions, FunctionHost, clean};
use serde_json::{Value, json};

const OK: &str = "200 OK\r\n";
const REFUSED: &str = "400 Bad Request\r\n";

fn writer(endpoint: &Endpoint, more: &[(&str, &str)]) -> DynamoDbWriter {
    let variables = [
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_SESSION_TOKEN", "session"),
        ("APP_TABLE", "customers"),
        ("APP_DYNAMODB_ENDPOINT", &endpoint.url()),
    ];
    let mut env = EnvReader::new(variables.into_iter().chain(more.iter().copied()));
    let writer = DynamoDbWriter::from_env(&mut env);
    env.finish(writer).unwrap()
}

fn state(offset: i64, id: &str, value: &str) -> Record {
    let record = Record::new("customers", 0, offset).with_key(Some(id.to_owned()));
    if value.is_empty() { record } else { record.with_value(Some(value.to_owned())) }
}

/// Each record's outcome, in one word.
async fn outcomes(writer: &DynamoDbWriter, records: &[Record]) -> Vec<&'static str> {
    let mut batch = RecordBatch::new(records);
    writer.handle_batch(&mut batch).await;
    let word = |outcome: Option<Outcome>| match outcome {
        Some(Outcome::Done) => "done",
        Some(Outcome::Skip(_)) => "skip",
        Some(Outcome::Retry(_)) => "retry",
        Some(Outcome::Poison(_)) => "poison",
        None => "open",
    };
    batch.into_outcomes().map(word).collect()
}

fn exception(name: &str) -> Vec<u8> {
    format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{name}","message":"canary"}}"#).into_bytes()
}

fn operation(request: &Received) -> &str {
    request.header("x-amz-target").and_then(|target| target.strip_prefix("DynamoDB_20120810.")).unwrap()
}

#[tokio::test]
async fn the_newest_state_of_each_entity_is_written_signed_and_under_a_condition() {
    let endpoint = Endpoint::start(|_| OK.to_owned());
    let records = [
        state(3, "ann", r#"{"name": "Ann"}"#),
        state(4, "bo", r#"{"name": "Bo"}"#),
        state(5, "ann", r#"{"name": "Anna", "tags": ["a", 1, null]}"#),
        state(6, "bo", ""),
    ];
    assert_eq!(outcomes(&writer(&endpoint, &[]), &records).await, ["skip", "skip", "done", "done"]);
    let mut items = Vec::new();
    for request in endpoint.received() {
        assert_eq!((request.method.as_str(), operation(&request)), ("POST", "PutItem"));
        let authorization = request.header("authorization").unwrap();
        assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"), "{authorization}");
        assert!(authorization.contains("/eu-west-1/dynamodb/aws4_request"), "{authorization}");
        assert_eq!(request.header("x-amz-security-token"), Some("session"));
        let mut input: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(input["TableName"], "customers");
        // What it is worth on a table, and what each part of it prevents, is shown by `dynamodb_local`.
        let condition = "attribute_not_exists(#id) OR (#of = :of AND #version < :version)";
        assert_eq!(input["ConditionExpression"], condition);
        assert_eq!(input["ExpressionAttributeValues"][":version"], input["Item"]["version"]);
        items.push(input["Item"].take());
    }
    items.sort_by_key(Value::to_string);
    let document = json!({"M": {"name": {"S": "Anna"}, "tags": {"L": [{"S": "a"}, {"N": "1"}, {"NULL": true}]}}});
    let of = json!({"S": "customers-0"});
    assert_eq!(
        items,
        [
            json!({"id": {"S": "bo"}, "version": {"N": "6"}, "version_of": of, "deleted": {"BOOL": true}}),
            json!({"id": {"S": "ann"}, "version": {"N": "5"}, "version_of": of, "document": document}),
        ]
    );
}

#[tokio::test]
async fn each_exception_is_the_records_fault_or_not() {
    for (name, expected) in [
        ("ValidationException", "poison"),
        ("ItemCollectionSizeLimitExceededException", "poison"),
        ("AccessDeniedException", "retry"),
        ("ExpiredTokenException", "retry"),
        ("ResourceNotFoundException", "retry"),
        ("InternalServerError", "retry"),
        ("TransactionConflictException", "retry"),
        ("a b", "retry"),
    ] {
        let endpoint = Endpoint::serve(move |request| match operation(request) {
            "PutItem" => (REFUSED.to_owned(), exception(name)),
            _ => (OK.to_owned(), b"{}".to_vec()),
        });
        let records = [state(0, "ann", r#"{"a": 1}"#), state(1, "ann", r#"{"a": 2}"#), state(2, "bo", "no JSON")];
        let found = outcomes(&writer(&endpoint, &[]), &records).await;
        assert_eq!(found, [expected, expected, "poison"], "{name}");
    }
}

#[tokio::test]
async fn a_table_with_another_key_makes_no_record_poison() {
    let endpoint = Endpoint::serve(|_| (REFUSED.to_owned(), exception("ValidationException")));
    let records = [state(0, "ann", r#"{"a": 1}"#), state(1, "bo", r#"{"a": 1}"#)];
    assert_eq!(outcomes(&writer(&endpoint, &[]), &records).await, ["retry", "retry"]);
}

#[tokio::test]
async fn an_item_that_keeps_its_place_is_newer_or_has_versions_of_another_kind() {
    for (item, expected) in [
        (r#","Item":{"id":{"S":"ann"},"version":{"N":"9"},"version_of":{"S":"customers-0"}}"#, "skip"),
        (r#","Item":{"id":{"S":"ann"},"version":{"N":"9"},"version_of":{"S":"customers-3"}}"#, "poison"),
        (r#","Item":{"id":{"S":"ann"}}"#, "poison"),
        ("", "retry"),
    ] {
        let body = format!(r#"{{"__type":"x#ConditionalCheckFailedException"{item}}}"#);
        let endpoint = Endpoint::serve(move |_| (REFUSED.to_owned(), body.clone().into_bytes()));
        assert_eq!(outcomes(&writer(&endpoint, &[]), &[state(4, "ann", "{}")]).await, [expected], "{item}");
    }
}

#[tokio::test]
async fn a_short_throttling_is_waited_for() {
    let asked = AtomicUsize::new(0);
    let endpoint = Endpoint::serve(move |_| match asked.fetch_add(1, SeqCst) {
        0 => (REFUSED.to_owned(), exception("ProvisionedThroughputExceededException")),
        1 => (REFUSED.to_owned(), exception("ThrottlingException")),
        _ => (OK.to_owned(), b"{}".to_vec()),
    });
    assert_eq!(outcomes(&writer(&endpoint, &[]), &[state(0, "ann", "{}")]).await, ["done"]);
    assert_eq!(endpoint.received().len(), 3);
}

#[tokio::test]
async fn a_table_that_stays_throttled_is_left_alone_and_nothing_is_lost() {
    let endpoint = Endpoint::serve(|_| (REFUSED.to_owned(), exception("ProvisionedThroughputExceededException")));
    let records: Vec<Record> = (0..200).map(|offset| state(offset, &format!("id-{offset}"), "{}")).collect();
    assert_eq!(outcomes(&writer(&endpoint, &[]), &records).await, vec!["retry"; 200]);
    let asked = endpoint.received().len();
    assert!(asked <= 16 * 5, "{asked} requests: those that were under way, five times each");
}

#[tokio::test]
async fn a_state_that_no_item_can_hold_leaves_the_one_before_it() {
    let endpoint = Endpoint::start(|_| OK.to_owned());
    let large = json!({"text": "x".repeat(401 * 1024)}).to_string();
    let records = [state(0, "ann", r#"{"a": 1}"#), state(1, "ann", &large)];
    assert_eq!(outcomes(&writer(&endpoint, &[]), &records).await, ["done", "poison"]);
    assert_eq!(endpoint.received().len(), 1);
}

#[tokio::test]
async fn records_without_an_identity_or_a_version_are_poison() {
    let endpoint = Endpoint::start(|_| OK.to_owned());
    let version = |text: &str| Header { name: "version".into(), value: Some(text.to_owned().into()) };
    let keyless = Record::new("customers", 0, 0).with_value(Some("{}"));
    let records = [
        keyless.with_headers([version("1")]),
        Record::new("customers", 0, 1).with_key(Some(vec![0xff])).with_value(Some("{}")).with_headers([version("1")]),
        state(2, "ann", "{}"),
        state(3, "ann", "{}").with_headers([version("-1")]),
        state(4, "ann", "[]").with_headers([version("1")]),
        state(5, "ann", "{}").with_headers([version("12")]),
    ];
    let writer = writer(&endpoint, &[("APP_VERSION_HEADER", "version")]);
    assert_eq!(outcomes(&writer, &records).await, ["poison", "poison", "poison", "poison", "poison", "done"]);
    let input: Value = serde_json::from_slice(&endpoint.received()[0].body).unwrap();
    assert_eq!(input["Item"]["version"], json!({"N": "12"}));
    assert_eq!(input["Item"]["version_of"], json!({"S": "header version"}));
}

#[tokio::test]
async fn a_table_that_cannot_be_reached_loses_nothing() {
    let endpoint = Endpoint::start(|_| OK.to_owned());
    let writer = writer(&endpoint, &[]);
    endpoint.stop();
    assert_eq!(outcomes(&writer, &[state(0, "ann", "{}"), state(1, "bo", "")]).await, ["retry", "retry"]);
}

#[test]
fn what_is_wrong_with_its_environment_is_reported_together_with_the_consumers() {
    let mut command = clean(env!("CARGO_BIN_EXE_dynamodb-writer"));
    command.env("ORDERING", "x").env("APP_DYNAMODB_ENDPOINT", "c4n4ry");
    let host = FunctionHost::start(Extensions::Served);
    let mut process = host.function(command);
    let (_, document) = host.start_fault();
    let message = document["errorMessage"].as_str().unwrap();
    for name in ["ORDERING", "APP_TABLE", "AWS_REGION", "AWS_ACCESS_KEY_ID", "APP_DYNAMODB_ENDPOINT"] {
        assert!(message.contains(name), "{name}: {message}");
    }
    assert!(!message.contains("c4n4ry"), "{message}");
    assert_eq!(process.end().code(), Some(1));
}
