//! What the projection into a DynamoDB table promises, on DynamoDB Local: stage `examples-dynamodb` fetches it and runs these tests.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failing test may panic")]

#[path = "../endpoint/mod.rs"]
mod endpoint;
mod server;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::mpsc::channel;

use endpoint::Endpoint;
use msk_consumer::dead_letters::NoSink;
use msk_consumer::idempotency::MemoryStore;
use msk_consumer::{BatchProcessor, BatchSettings, InvocationContext};
use msk_consumer_examples::dynamodb_writer::DynamoDbWriter;
use msk_shared::event::{Header, MskEvent, Record, TombstoneStyle};
use msk_test_kit::{Extensions, FunctionHost, PATIENCE, clean};
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Map, Value, json};

use crate::server::{SERVER, Table};

/// What one delivery came to.
struct Delivered {
    failed: Vec<String>,
    poisoned: f64,
}

/// Delivers to an execution environment of its own, which knows nothing of what another one did.
async fn deliver(writer: DynamoDbWriter, records: &[Record]) -> Delivered {
    let settings = BatchSettings { report_batch_item_failures: true, ..BatchSettings::default() };
    let processor = BatchProcessor::new(writer, NoSink, MemoryStore::default(), settings);
    let invocation = InvocationContext { request_id: "test".to_owned(), deadline: None };
    let event = MskEvent::new(records.iter().cloned()).to_json(TombstoneStyle::Omit);
    let processed = processor.process(event, &invocation).await;
    let failed = processed.answer.unwrap().failed().map(ToString::to_string).collect();
    Delivered { failed, poisoned: processed.metrics.unwrap().to_json()["RecordsPoisoned"].as_f64().unwrap() }
}

fn state(offset: i64, id: &str, document: Option<Value>) -> Record {
    let record = Record::new("customers", 0, offset).with_key(Some(id.to_owned()));
    record.with_value(document.map(|document| document.to_string()))
}

/// Changes of 20 entities, some of them deletions.
fn changes(count: i64, rng: &mut StdRng) -> Vec<Record> {
    let change = |offset| {
        let id = format!("customer-{}", rng.random_range(0..20));
        let document =
            rng.random_bool(0.8).then(|| json!({"name": format!("n{offset}"), "visits": offset, "tags": ["a"]}));
        state(offset, &id, document)
    };
    (0..count).map(change).collect()
}

/// The table that each entity's last change makes.
fn expected(changes: &[Record]) -> Vec<Value> {
    let mut items = BTreeMap::new();
    for change in changes {
        let id = String::from_utf8(change.key().unwrap().unwrap().into_owned()).unwrap();
        let (offset, of) = (change.offset(), change.id().partition_name());
        let mut item = json!({"id": {"S": id}, "version": {"N": offset.to_string()}, "version_of": {"S": of}});
        if change.is_tombstone() {
            item["deleted"] = json!({"BOOL": true});
        } else {
            item["document"] = json!({"M": {
                "name": {"S": format!("n{offset}")}, "visits": {"N": offset.to_string()}, "tags": {"L": [{"S": "a"}]},
            }});
        }
        items.insert(id, item);
    }
    items.into_values().collect()
}

/// Batches that overlap, some of them twice.
fn batches<'c>(changes: &'c [Record], rng: &mut StdRng) -> Vec<&'c [Record]> {
    let mut batches: Vec<&[Record]> = Vec::new();
    let mut at = 0;
    while at < changes.len() {
        let (from, to) =
            (at.saturating_sub(rng.random_range(0..10)), (at + rng.random_range(1..60)).min(changes.len()));
        batches.extend(std::iter::repeat_n(&changes[from..to], rng.random_range(1..3)));
        at = to;
    }
    batches
}

#[tokio::test]
#[ignore = "stage `examples-dynamodb` runs it: it needs DynamoDB Local"]
async fn redelivery_and_reordering_leave_the_same_table() {
    let table = SERVER.table("redelivery", "id");
    let mut rng = StdRng::seed_from_u64(17);
    let changes = changes(400, &mut rng);
    let mut batches = batches(&changes, &mut rng);
    // As they were written, then in any order: retries of different batches overtake each other.
    for round in 0..3 {
        for batch in &batches {
            assert!(deliver(table.writer(&[]), batch).await.failed.is_empty());
        }
        assert_eq!(table.items(), expected(&changes), "round {round}");
        batches.shuffle(&mut rng);
    }
    let reordered = SERVER.table("reordering", "id");
    for batch in &batches {
        assert!(deliver(reordered.writer(&[]), batch).await.failed.is_empty());
    }
    assert_eq!(reordered.items(), expected(&changes));
}

/// Planted faults: with another condition than the writer's, the deliveries of the test above make another table.
#[tokio::test]
#[ignore = "stage `examples-dynamodb` runs it: it needs DynamoDB Local"]
async fn a_broken_condition_does_not_go_unnoticed() {
    let broken = [
        ("none", ""),
        ("never-again", "attribute_not_exists(#id)"),
        ("older", "attribute_not_exists(#id) OR (#of = :of AND #version > :version)"),
        ("only-newer", "#of = :of AND #version < :version"),
    ];
    for (name, condition) in broken {
        let (table, relay) = (SERVER.table(name, "id"), with_condition(condition));
        let mut rng = StdRng::seed_from_u64(17);
        let changes = changes(400, &mut rng);
        let mut batches = batches(&changes, &mut rng);
        batches.shuffle(&mut rng);
        for batch in batches {
            deliver(table.writer(&[("APP_DYNAMODB_ENDPOINT", &relay.url())]), batch).await;
        }
        let items = table.items();
        assert_ne!(items, expected(&changes), "{name}");
        // The condition is at fault, not a request that DynamoDB does not take.
        assert_eq!(items.is_empty(), name == "only-newer", "{name}");
    }
}

/// A way to DynamoDB on which the condition of each write becomes this one.
fn with_condition(condition: &'static str) -> Endpoint {
    Endpoint::serve(move |request| {
        let mut request = request.clone();
        let mut input: Map<String, Value> = serde_json::from_slice(&request.body).unwrap();
        input.insert("ConditionExpression".to_owned(), condition.into());
        for names in ["ExpressionAttributeNames", "ExpressionAttributeValues"] {
            // DynamoDB refuses those that no expression uses.
            input[names].as_object_mut().unwrap().retain(|name, _| condition.contains(name.as_str()));
        }
        let is_empty = |value: &Value| *value == json!("") || *value == json!({});
        input.retain(|_, value| !is_empty(value));
        if condition.is_empty() {
            input.remove("ReturnValuesOnConditionCheckFailure");
        }
        request.body = serde_json::to_vec(&input).unwrap();
        pass_on(&request)
    })
}

#[tokio::test]
#[ignore = "stage `examples-dynamodb` runs it: it needs DynamoDB Local"]
async fn an_older_state_does_not_bring_a_deleted_item_back() {
    let table = SERVER.table("deleted", "id");
    let document = json!({"name": "n0", "visits": 0, "tags": ["a"]});
    let changes = [state(0, "ann", Some(document)), state(1, "ann", None)];
    for records in [&changes[1..], &changes[..1], &changes[..]] {
        assert!(deliver(table.writer(&[]), records).await.failed.is_empty());
        assert_eq!(table.items(), expected(&changes));
    }
}

#[test]
#[ignore = "stage `examples-dynamodb` runs it: it needs DynamoDB Local"]
fn killed_in_the_middle_of_a_batch_the_next_environment_finishes_it() {
    const WRITTEN: usize = 70;
    let table = SERVER.table("killed", "id");
    let changes: Vec<Record> = (0..200)
        .map(|offset| {
            let document = json!({"name": format!("n{offset}"), "visits": offset, "tags": ["a"]});
            state(offset, &format!("customer-{offset:03}"), (offset % 7 != 0).then_some(document))
        })
        .collect();
    let event = String::from_utf8(MskEvent::new(changes.iter().cloned()).to_json(TombstoneStyle::Omit)).unwrap();
    let (reached, is_reached) = channel();
    let (release, released) = channel::<()>();
    let count = Cell::new(0);
    // Passes so many writes on, and holds the next: the kill can come neither too early nor too late.
    let relay = Endpoint::serve(move |request| {
        count.set(count.get() + 1);
        if count.get() > WRITTEN {
            let _ = reached.send(());
            let _ = released.recv();
            return ("503 Gone\r\n".to_owned(), Vec::new());
        }
        pass_on(request)
    });
    let host = FunctionHost::start(Extensions::Served);
    let mut first = host.function(function(&table, &relay.url()));
    let pending = host.send(event.clone());
    is_reached.recv_timeout(PATIENCE).expect("the function writes");
    assert!(pending.is_waiting(), "the batch is under way");
    first.kill();
    drop(release);
    assert_eq!(table.items().len(), WRITTEN, "killed in the middle");

    let host = FunctionHost::start(Extensions::Served);
    let mut second = host.function(function(&table, &SERVER.url()));
    let posted = host.send(event).posted();
    assert_eq!((posted.kind, posted.body), ("response", json!({"batchItemFailures": []})));
    second.kill();
    assert_eq!(table.items(), expected(&changes));
}

fn function(table: &Table, endpoint: &str) -> std::process::Command {
    let mut command = clean(env!("CARGO_BIN_EXE_dynamodb-writer"));
    command.envs(table.variables(endpoint)).env("REPORT_BATCH_ITEM_FAILURES", "true");
    command
}

fn pass_on(request: &endpoint::Received) -> (String, Vec<u8>) {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut onward = agent.post(SERVER.url());
    for name in ["content-type", "x-amz-target", "authorization", "x-amz-date"] {
        onward = onward.header(name, request.header(name).unwrap());
    }
    let mut answer = onward.send(&request.body).unwrap();
    (format!("{}\r\n", answer.status()), answer.body_mut().read_to_vec().unwrap())
}

#[tokio::test]
#[ignore = "stage `examples-dynamodb` runs it: it needs DynamoDB Local"]
async fn what_no_item_can_hold_is_poison_and_the_rest_is_written() {
    let table = SERVER.table("poison", "id");
    let nested = (0..40).fold(json!(1), |inner, _| json!([inner]));
    let many: Vec<u64> = (0..100_000).map(|number| 1_000_000_000 + number).collect();
    let records = [
        state(0, "good-1", Some(json!({"name": "n0", "visits": 0, "tags": ["a"]}))),
        state(1, "number", Some(json!({"far": 1e200}))),
        state(2, &"k".repeat(3_000), Some(json!({}))),
        state(3, "nested", Some(json!({"deep": nested}))),
        state(4, "large", Some(json!({"many": many}))),
        state(5, "large", Some(json!({"text": "x".repeat(500_000)}))),
        state(6, "list", Some(json!([1]))),
        state(7, "good-2", Some(json!({"name": "n7", "visits": 7, "tags": ["a"]}))),
    ];
    let delivered = deliver(table.writer(&[]), &records).await;
    // Without a dead-letter sink poison is reported, with what follows it in its partition.
    assert_eq!((delivered.failed.first().map(String::as_str), delivered.failed.len()), (Some("customers-0@1"), 7));
    assert_eq!(table.items(), expected(&[records[0].clone(), records[7].clone()]));
    for record in &records {
        let is_good = [0, 7].contains(&record.offset());
        let delivered = deliver(table.writer(&[]), std::slice::from_ref(record)).await;
        assert_eq!(delivered.poisoned, f64::from(u8::from(!is_good)), "{}", record.id());
    }
}

#[tokio::test]
#[ignore = "stage `examples-dynamodb` runs it: it needs DynamoDB Local"]
async fn a_wrong_table_makes_no_record_poison() {
    let wrong = SERVER.table("wrong-key", "pk");
    let records = [state(0, "ann", Some(json!({}))), state(1, "bo", None)];
    for more in [&[][..], &[("APP_TABLE", "not-there")]] {
        let delivered = deliver(wrong.writer(more), &records).await;
        assert_eq!((delivered.failed.len(), delivered.poisoned), (2, 0.0), "{more:?}");
    }
    assert!(wrong.items().is_empty());
}

#[tokio::test]
#[ignore = "stage `examples-dynamodb` runs it: it needs DynamoDB Local"]
async fn versions_that_cannot_be_compared_replace_nothing() {
    let table = SERVER.table("moved", "id");
    let first = state(7, "ann", Some(json!({"name": "n7", "visits": 7, "tags": ["a"]})));
    let moved = Record::new("customers", 3, 99).with_key(Some("ann")).with_value(Some("{}"));
    assert!(deliver(table.writer(&[]), std::slice::from_ref(&first)).await.failed.is_empty());
    assert_eq!(deliver(table.writer(&[]), std::slice::from_ref(&moved)).await.poisoned, 1.0);
    assert_eq!(table.items(), expected(std::slice::from_ref(&first)));
    // A planted fault: compared all the same, the version of another partition replaces it.
    let relay = with_condition("attribute_not_exists(#id) OR #version < :version");
    deliver(table.writer(&[("APP_DYNAMODB_ENDPOINT", &relay.url())]), &[moved]).await;
    assert_ne!(table.items(), expected(&[first]));
}

#[tokio::test]
#[ignore = "stage `examples-dynamodb` runs it: it needs DynamoDB Local"]
async fn versions_of_a_header_outlast_a_change_of_partition() {
    let table = SERVER.table("header", "id");
    let state = |partition, offset, version: u64| {
        let header = Header { name: "version".into(), value: Some(version.to_string().into()) };
        let document = json!({ "v": version }).to_string();
        Record::new("customers", partition, offset)
            .with_key(Some("ann"))
            .with_value(Some(document))
            .with_headers([header])
    };
    let records = [state(0, 90, 1), state(3, 0, 3), state(0, 91, 2)];
    for record in &records {
        let writer = table.writer(&[("APP_VERSION_HEADER", "version")]);
        assert!(deliver(writer, std::slice::from_ref(record)).await.failed.is_empty());
    }
    let [item] = &table.items()[..] else { panic!("one item") };
    assert_eq!((&item["version"]["N"], &item["document"]["M"]["v"]["N"]), (&json!("3"), &json!("3")));
}
