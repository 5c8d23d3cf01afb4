//! `?validate_only=` and `Prefer`.

use msk_shared::kafka::{Delivery, FailureCause};
use serde_json::{Value, json};

use crate::calls::{Call, JSON_V2, Scripted, app, app_with, not_sent};
use crate::cloud_events::{BATCH, LEAST, binary, structured};
use crate::formats::{BYTES, NDJSON, PLAIN};

const RECORDS: &str = r#"{"records":[{"value":1},{"value":2,"partition":3}]}"#;

/// A good request of each kind, and how many records it has.
fn requests() -> Vec<(Call, usize)> {
    vec![
        (Call::records(RECORDS), 2),
        (Call::post("/topics/orders", "application/json", RECORDS), 2),
        (Call::post("/topics/orders/partitions/3", JSON_V2, RECORDS), 2),
        (Call::post("/topics/orders", NDJSON, "1\n2\n3"), 3),
        (Call::post("/topics/orders", BYTES, "x"), 1),
        (Call::post("/topics/orders", PLAIN, "x"), 1),
        (structured(LEAST), 1),
        (binary("x"), 1),
        (Call::post("/topics/orders", BATCH, format!("[{LEAST},{LEAST}]")), 2),
        (Call::post("/messages", "application/json", "1"), 1),
    ]
}

fn with_query(call: &Call, query: &str) -> Call {
    Call { target: format!("{}?{query}", call.target), ..call.clone() }
}

#[tokio::test]
async fn a_request_that_is_only_checked_writes_nothing() {
    let publisher = Scripted::default();
    for compatibility in ["strict", "confluent"] {
        let router = app_with(&[("COMPATIBILITY", compatibility)], publisher.clone());
        for (call, count) in requests() {
            let answer = with_query(&call, "validate_only=true").header("prefer", "return=minimal").send(&router).await;
            assert_eq!(answer.status, 200, "{call:?}: {:?}", answer.body);
            let body = answer.json();
            assert_eq!(body["topic"], "orders");
            assert!(body["request_id"].is_string(), "{body}");
            let checked =
                json!({"partition": null, "offset": null, "timestamp": null, "error_code": null, "error": null});
            match body["offsets"].as_array() {
                Some(offsets) => assert_eq!(*offsets, vec![checked; count], "{body}"),
                None => assert_eq!((&body["partition"], &body["offset"]), (&Value::Null, &Value::Null), "{body}"),
            }
        }
    }
    assert_eq!(publisher.records(), []);
}

#[tokio::test]
async fn what_is_wrong_is_found_without_writing() {
    let publisher = Scripted::default();
    let router = app(publisher.clone());
    let bad = [
        (Call::records(r#"{"records":[{}]}"#), 422),
        (Call::records("{"), 400),
        (Call::records(r#"{"records":[{"value":1,"partition":4}]}"#), 404),
        (Call::post("/messages", "application/json", "{"), 400),
        (Call::post("/topics/nowhere", JSON_V2, RECORDS), 404),
    ];
    for (call, status) in bad {
        assert_eq!(with_query(&call, "validate_only=true").send(&router).await.problem().0, status, "{call:?}");
    }
    for (call, _) in requests() {
        for query in ["validate_only=1", "validate_only", "validate_only=TRUE", "validate_only=true&validate_only=true"]
        {
            let answer = with_query(&call, query).send(&router).await;
            assert_eq!(answer.problem(), (422, 42206), "{query}");
        }
    }
    assert_eq!(publisher.records(), []);
    for (call, count) in requests() {
        publisher.clear();
        assert_eq!(with_query(&call, "validate_only=false").send(&router).await.status, 200);
        assert_eq!(publisher.records().len(), count);
    }
}

#[tokio::test]
async fn who_prefers_no_answer_gets_a_204_once_every_record_is_written() {
    let publisher = Scripted::default();
    let router = app(publisher.clone());
    for (call, count) in requests() {
        publisher.clear();
        let call = call.header("prefer", "respond-async, return=minimal");
        for answer in [call.send(&router).await, call.invoke(&router, true).await] {
            assert_eq!((answer.status, &answer.body[..]), (204, &b""[..]), "{call:?}");
            assert_eq!(answer.header("preference-applied"), Some("return=minimal"));
            assert!(answer.header("x-request-id").is_some() && answer.header("content-type").is_none(), "{answer:?}");
        }
        assert_eq!(publisher.records().len(), 2 * count);
    }
}

#[tokio::test]
async fn who_prefers_no_answer_still_hears_of_failures() {
    let second_fails = Scripted::new(|_, index| match index {
        1 => Err(not_sent(FailureCause::QueueFull)),
        _ => Ok(Delivery { partition: 0, offset: 7, timestamp_ms: None }),
    });
    for (compatibility, status) in [("strict", 207), ("confluent", 200)] {
        let router = app_with(&[("COMPATIBILITY", compatibility)], second_fails.clone());
        let answer = Call::records(RECORDS).header("prefer", "return=minimal").send(&router).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.json()["offsets"][1]["error_code"], 42901);
    }
    let router = app(Scripted::failing(not_sent(FailureCause::QueueFull)));
    for call in [Call::records(RECORDS), Call::post("/messages", "application/json", "1")] {
        assert_eq!(call.header("prefer", "return=minimal").send(&router).await.problem(), (429, 42901));
    }
}

#[tokio::test]
async fn api_v3_knows_both() {
    let publisher = Scripted::default();
    let router = app(publisher.clone());
    let record = r#"{"value":{"type":"JSON","data":1}}"#;
    let entries = format!(r#"{{"entries":[{{"id":"a",{}]}}"#, &record[1..]);
    for (path, body, written) in [("records", record.to_owned(), 200), ("records:batch", entries, 207)] {
        publisher.clear();
        let call = Call::post(format!("/v3/clusters/c/topics/orders/{path}"), "application/json", body);
        assert_eq!(call.send(&router).await.status, written);
        let answer = call.clone().header("prefer", "return=minimal").send(&router).await;
        assert_eq!((answer.status, &answer.body[..]), (204, &b""[..]));
        assert_eq!(publisher.records().len(), 2);
        let answer = with_query(&call, "validate_only=true").send(&router).await;
        let body = answer.json();
        let result = if written == 207 { &body["successes"][0] } else { &body };
        assert_eq!(
            (answer.status, &result["partition_id"], &result["offset"]),
            (200, &Value::Null, &Value::Null),
            "{body}"
        );
        assert_eq!(with_query(&call, "validate_only=x").send(&router).await.problem(), (422, 42206));
        assert_eq!(publisher.records().len(), 2);
    }
}
