//! What the mirror of a change stream promises, against a small document store on this machine.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failing test may panic")]

mod endpoint;

use std::collections::BTreeMap;

use endpoint::Endpoint;
use msk_consumer::dead_letters::NoSink;
use msk_consumer::idempotency::MemoryStore;
use msk_consumer::lanes::Ordering;
use msk_consumer::{BatchProcessor, BatchSettings, InvocationContext};
use msk_consumer_examples::change_stream::ChangeStream;
use msk_consumer_examples::http_client::HttpClient;
use msk_shared::event::{MskEvent, Record, TombstoneStyle};
use serde_json::{Value, json};

/// An execution environment of its own, which knows nothing of what another one did.
fn environment(store: &Endpoint) -> BatchProcessor<ChangeStream, NoSink, MemoryStore> {
    let settings =
        BatchSettings { report_batch_item_failures: true, ordering: Ordering::Key, ..BatchSettings::default() };
    BatchProcessor::new(
        ChangeStream::new(store.url().parse().unwrap(), HttpClient::without_tls()),
        NoSink,
        MemoryStore::default(),
        settings,
    )
}

fn change(offset: i64, id: u64, op: &str, after: Value) -> Record {
    let value = json!({"before": null, "after": after, "op": op, "ts_ms": 1, "source": {"table": "customers"}});
    keyed(offset, &json!({ "id": id })).with_value(Some(value.to_string()))
}

fn keyed(offset: i64, key: &Value) -> Record {
    Record::new("shop.customers", 0, offset).with_key(Some(key.to_string()))
}

async fn deliver(store: &Endpoint, records: &[Record]) -> Vec<String> {
    let invocation = InvocationContext { request_id: "test".to_owned(), deadline: None };
    let event = MskEvent::new(records.iter().cloned()).to_json(TombstoneStyle::Omit);
    let processed = environment(store).process(event, &invocation).await;
    processed.answer.unwrap().failed().map(ToString::to_string).collect()
}

/// The documents that the requests so far have left.
fn mirror(store: &Endpoint) -> BTreeMap<String, Value> {
    let mut documents = BTreeMap::new();
    for request in store.received() {
        let name = request.path.trim_start_matches("/intake/").to_owned();
        match request.method.as_str() {
            "PUT" => documents.insert(name, serde_json::from_slice(&request.body).unwrap()),
            "DELETE" => documents.remove(&name),
            other => panic!("{other}"),
        };
    }
    documents
}

fn changes() -> Vec<Record> {
    vec![
        change(0, 1, "r", json!({"id": 1, "name": "Ann"})),
        change(1, 2, "c", json!({"id": 2, "name": "Bo"})),
        change(2, 1, "u", json!({"id": 1, "name": "Anna"})),
        change(3, 2, "d", Value::Null),
        keyed(4, &json!({"id": 2})),
        change(5, 3, "c", json!({"id": 3, "name": "Cy"})),
    ]
}

#[tokio::test]
async fn the_mirror_ends_as_the_table_is_however_often_changes_come() {
    let expected = BTreeMap::from([
        ("1".to_owned(), json!({"id": 1, "name": "Anna"})),
        ("3".to_owned(), json!({"id": 3, "name": "Cy"})),
    ]);
    let store = Endpoint::start(|_| "200 OK\r\n".to_owned());
    let changes = changes();
    // A crash at any place, then all of it again.
    for crashed_after in 0..=changes.len() {
        assert!(deliver(&store, &changes[..crashed_after]).await.is_empty());
        assert!(deliver(&store, &changes).await.is_empty());
        assert_eq!(mirror(&store), expected, "after a crash behind {crashed_after} changes");
    }
}

#[tokio::test]
async fn a_row_that_the_store_fails_at_holds_up_its_own_changes_alone() {
    let store = Endpoint::start(|body| {
        if body == br#"{"id":1,"name":"Ann"}"# { "503 Busy\r\n" } else { "204 Done\r\n" }.into()
    });
    assert_eq!(deliver(&store, &changes()).await, ["shop.customers-0@0", "shop.customers-0@2"]);
    assert!(mirror(&store).contains_key("3"));
}

#[tokio::test]
async fn what_compaction_leaves_of_a_deleted_row_deletes_it_and_a_row_that_is_gone_is_no_failure() {
    let store = Endpoint::start(|body| if body.is_empty() { "404 Not Found\r\n" } else { "200 OK\r\n" }.into());
    assert!(deliver(&store, &[keyed(9, &json!({"id": 7})), change(10, 8, "d", Value::Null)]).await.is_empty());
    let mut deleted: Vec<String> =
        store.received().into_iter().map(|request| request.method + " " + &request.path).collect();
    // Rows do not wait for each other.
    deleted.sort();
    assert_eq!(deleted, ["DELETE /intake/7", "DELETE /intake/8"]);
}

#[tokio::test]
async fn keys_with_and_without_schema_and_of_several_columns_name_one_document_each() {
    let store = Endpoint::start(|_| "200 OK\r\n".to_owned());
    let with_schema = |payload: Value| json!({"schema": {"type": "struct"}, "payload": payload});
    let row = with_schema(json!({"op": "c", "after": {"a": 1}})).to_string();
    for key in [with_schema(json!({"id": "a/b c"})), json!({"id": "a/b c"}), json!({"x": 1, "y": "z"}), json!("é")] {
        assert!(deliver(&store, &[keyed(0, &key).with_value(Some(row.clone()))]).await.is_empty(), "{key}");
    }
    let names: Vec<String> = mirror(&store).into_keys().collect();
    assert_eq!(names, ["%7B%22x%22%3A1%2C%22y%22%3A%22z%22%7D", "%C3%A9", "a%2Fb%20c"]);
}

#[tokio::test]
async fn what_is_no_change_of_a_row_is_poison_and_the_rest_goes_on() {
    let store = Endpoint::start(|body| if body == br#"{"id":5}"# { "422 No\r\n" } else { "200 OK\r\n" }.into());
    let keyless = Record::new("shop.customers", 0, 0).with_value(Some(changes()[0].text().unwrap().into_owned()));
    let records = [
        keyless,
        keyed(1, &json!({"id": 4})).with_value(Some("{}".to_owned())),
        change(2, 5, "c", json!({"id": 5})),
        change(3, 6, "t", Value::Null),
        change(4, 7, "m", Value::Null),
        change(5, 8, "c", json!({"id": 8})),
    ];
    // Without a dead-letter sink poison is reported.
    let expected: Vec<String> = (0..4).map(|offset| format!("shop.customers-0@{offset}")).collect();
    assert_eq!(deliver(&store, &records).await, expected);
    assert!(mirror(&store).contains_key("8"));
}
