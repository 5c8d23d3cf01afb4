//! Confluent's REST API v3: one record, several one after the other, and batches with ids.

use bytes::Bytes;
use msk_shared::kafka::{Delivery, FailureCause, Header, Persisted, PublishFailure, PublishResult};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use crate::arbitrary::{damage, damaged, json_text, judge, like, run};
use crate::calls::{Call, HttpAnswer, Scripted, app, app_with, not_sent};

const RECORDS: &str = "/v3/clusters/cluster-1/topics/orders/records";
const BATCH: &str = "/v3/clusters/cluster-1/topics/orders/records:batch";

fn records(body: impl Into<Vec<u8>>) -> Call {
    Call::post(RECORDS, "application/json", body)
}

fn batch(body: impl Into<Vec<u8>>) -> Call {
    Call::post(BATCH, "application/json", body)
}

/// The objects of an answer, one after the other.
fn objects(answer: &HttpAnswer) -> Vec<Value> {
    serde_json::Deserializer::from_slice(&answer.body).into_iter().collect::<Result<_, _>>().unwrap()
}

fn playing(results: Vec<PublishResult>) -> Scripted {
    Scripted::new(move |_, index| results[index])
}

fn written(offset: i64) -> PublishResult {
    Ok(Delivery { partition: 1, offset, timestamp_ms: Some(1_612_552_482_500) })
}

const UNKNOWN: PublishFailure = PublishFailure { cause: FailureCause::TimedOut, persisted: Persisted::Unknown };

#[tokio::test]
async fn one_record_is_written_and_answered_as_documented() {
    let publisher = playing(vec![written(0)]);
    let body = r#"{"partition_id":1,"headers":[{"name":"Header-1","value":"SGVhZGVyLTE="},{"name":"Header-2","value":null}],
        "key":{"type":"BINARY","data":"Zm9vYmFy"},"value":{"type":"JSON","data":{ "foo" : "bar" }},
        "timestamp":"2021-02-05T19:14:42Z"}"#;
    let answer = records(body).send(&app(publisher.clone())).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(
        answer.json(),
        json!({"error_code": 200, "cluster_id": "cluster-1", "topic_name": "orders", "partition_id": 1, "offset": 0,
            "timestamp": "2021-02-05T19:14:42.5Z", "key": {"type": "BINARY", "size": 6}, "value": {"type": "JSON", "size": 13}})
    );
    let record = &publisher.records()[0];
    assert_eq!(
        (record.topic.as_str(), record.partition, record.timestamp_ms),
        ("orders", Some(1), Some(1_612_552_482_000))
    );
    assert_eq!(
        (record.key.as_deref(), record.value.as_deref()),
        (Some(&b"foobar"[..]), Some(&br#"{"foo":"bar"}"#[..]))
    );
    let header = |name: &str, value: Option<&'static [u8]>| Header {
        name: name.to_owned(),
        value: value.map(Bytes::from_static),
    };
    assert_eq!(record.headers, [header("Header-1", Some(b"Header-1")), header("Header-2", None)]);
}

#[tokio::test]
async fn each_type_is_stored_as_its_format_and_null_is_a_tombstone() {
    for (members, key, value) in [
        (r#""key":{"data":"k","type":"STRING"},"value":{"data":"v","type":"string"}"#, Some("k"), Some("v")),
        (r#""key":{"type":"JSON","data":"k"},"value":{"type":"JSON","data":1.50}"#, Some("\"k\""), Some("1.50")),
        (r#""value":{"type":"BINARY","data":"dg"}"#, None, Some("v")),
        (r#""value":{"type":"STRING","data":""}"#, None, Some("")),
        (r#""key":null,"value":null"#, None, None),
        (r#""key":{"type":"JSON","data":null},"value":{"type":"JSON","data":null}"#, None, None),
    ] {
        let publisher = Scripted::default();
        let answer = records(format!("{{{members}}}")).send(&app(publisher.clone())).await;
        assert_eq!(answer.status, 200, "{members}: {:?}", answer.body);
        let record = &publisher.records()[0];
        let text = |bytes: &Option<Bytes>| bytes.as_ref().map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
        assert_eq!((text(&record.key).as_deref(), text(&record.value).as_deref()), (key, value), "{members}");
        let size = |part: &str| answer.json()[part]["size"].as_u64();
        if let Some(size) = size("value") {
            assert_eq!(size, value.map_or(0, str::len) as u64, "{members}");
        }
        assert_eq!(answer.json().get("key").is_some(), members.contains("\"key\":{"), "{members}");
    }
}

#[tokio::test]
async fn several_records_have_one_object_each_in_order() {
    let one = |n: usize| format!(r#"{{"value":{{"type":"JSON","data":{n}}}}}"#);
    let body = format!("\u{feff} {}{}\n\n{}  ", one(7), one(8), one(9));
    let publisher = Scripted::default();
    let answer = records(body).send(&app(publisher.clone())).await;
    assert_eq!(answer.status, 200);
    assert_eq!(objects(&answer).iter().map(|it| it["offset"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 1, 2]);
    let values: Vec<_> = publisher.records().into_iter().map(|record| record.value.unwrap()).collect();
    assert_eq!(values, ["7", "8", "9"]);
    for (mode, status) in [("strict", 207), ("confluent", 200)] {
        let partly = app_with(&[("COMPATIBILITY", mode)], playing(vec![written(3), Err(UNKNOWN)]));
        let answer = records(one(1) + &one(2)).send(&partly).await;
        let both = objects(&answer);
        assert_eq!(
            (answer.status, &both[0]["error_code"], &both[1]["error_code"]),
            (status, &json!(200), &json!(50003))
        );
        assert_eq!((&both[1]["retriable"], &both[1]["persisted"]), (&json!(true), &json!("unknown")));
        assert!(both[1]["message"].is_string() && both[1].get("partition_id").is_none(), "{both:?}");
    }
}

#[tokio::test]
async fn a_batch_tells_its_entries_apart_by_their_ids() {
    let entry = |id: &str, n: usize| format!(r#"{{"id":"{id}","value":{{"type":"JSON","data":{n}}}}}"#);
    let body = format!(r#"{{"entries":[{},{},{}]}}"#, entry("a", 1), entry("b", 2), entry("커피", 3));
    for mode in ["strict", "confluent"] {
        let results = vec![written(17), Err(not_sent(FailureCause::RecordTooLarge)), written(18)];
        let answer = batch(body.clone()).send(&app_with(&[("COMPATIBILITY", mode)], playing(results))).await;
        let answered = answer.json();
        assert_eq!(answer.status, 207);
        let successes = answered["successes"].as_array().unwrap();
        assert_eq!(successes.iter().map(|it| &it["id"]).collect::<Vec<_>>(), ["a", "커피"]);
        assert_eq!((&successes[1]["offset"], &successes[1]["error_code"]), (&json!(18), &json!(200)));
        let failure = &answered["failures"][0];
        assert_eq!(
            (&failure["id"], &failure["error_code"], &failure["actual_bytes"]),
            (&json!("b"), &json!(413), &json!(1))
        );
        let all = batch(body.clone()).send(&app_with(&[("COMPATIBILITY", mode)], Scripted::default())).await;
        assert_eq!((all.status, &all.json()["failures"]), (207, &json!([])));
    }
}

#[tokio::test]
async fn when_none_is_written_strict_answers_with_a_problem_and_confluent_in_the_body() {
    for call in [
        records(r#"{"value":{"type":"JSON","data":1}}"#),
        batch(r#"{"entries":[{"id":"1","value":{"type":"JSON","data":1}}]}"#),
    ] {
        let answer = call.send(&app(Scripted::failing(UNKNOWN))).await;
        assert_eq!(answer.problem(), (504, 50003));
        assert_eq!(answer.json()["offsets"][0]["error_code"], 50003);
        let refused = call.send(&app(Scripted::failing(not_sent(FailureCause::KeyMissing)))).await;
        let place = if call.target == BATCH { "/entries/0/key" } else { "/key" };
        assert_eq!((refused.problem(), &refused.json()["errors"][0]["pointer"]), ((422, 42206), &json!(place)));
        let answer = call.send(&app_with(&[("COMPATIBILITY", "confluent")], Scripted::failing(UNKNOWN))).await;
        let failure = if call.target == BATCH { answer.json()["failures"][0].clone() } else { answer.json() };
        assert_eq!(
            (answer.status, &failure["error_code"]),
            (if call.target == BATCH { 207 } else { 200 }, &json!(50003))
        );
    }
}

#[tokio::test]
async fn what_is_wrong_is_named_by_its_place_and_nothing_is_written() {
    let good = r#"{"value":{"type":"JSON","data":1}}"#;
    let value = |members: &str| format!(r#"{{"value":{{{members}}}}}"#);
    let entries = |entries: &str| format!(r#"{{"entries":[{entries}]}}"#);
    let cases: Vec<(Call, (u16, u64), &str)> = vec![
        (records(""), (400, 400), "malformed JSON"),
        (records("[1]"), (422, 42206), "a record must be an object with `value`, not an array"),
        (records(format!("{good} x")), (400, 400), "expected a value"),
        (records("{}"), (422, 42206), "`value` is missing"),
        (records(r#"{"value":1}"#), (422, 42206), "/value: must be an object with `type` and `data`, not a number"),
        (records(value(r#""data":1"#)), (422, 42206), "/value/type: must be `BINARY`, `JSON` or `STRING`"),
        (records(value(r#""type":"AVRO","data":1"#)), (422, 42206), "/value/type: must be `BINARY`"),
        (records(value(r#""type":1,"data":1"#)), (422, 42206), "/value/type"),
        (records(value(r#""type":"JSON""#)), (422, 42206), "/value/data: missing; null is allowed"),
        (records(value(r#""type":"JSON","data":1,"schema_id":7"#)), (422, 42206), "/value/schema_id: unknown field"),
        (
            records(value(r#""type":"STRING","data":1"#)),
            (422, 42206),
            "/value/data: must be a string or null, not a number",
        ),
        (records(value(r#""data":"?","type":"BINARY""#)), (400, 400), "/value/data: not valid base64"),
        (records(r#"{"value":null,"partition":1}"#), (422, 42206), "/partition: unknown field"),
        (records(r#"{"value":null,"partition_id":4}"#), (404, 40402), "/partition_id: does not exist"),
        (records(r#"{"value":null,"id":"1"}"#), (422, 42206), "/id: unknown field"),
        (records(format!("{{}} {good}")), (422, 42206), "/records/0: `value` is missing"),
        (records(format!(r#"{good}{{"value":null,"partition_id":9}}"#)), (404, 40402), "/records/1/partition_id"),
        (records(good.repeat(501)), (422, 42208), "the request has 501 records; the limit is 500"),
        (records(good).header("content-encoding", "x"), (415, 415), "Content-Encoding"),
        (Call::post(RECORDS, "application/vnd.kafka.json.v2+json", good), (415, 415), "send it as application/json"),
        (Call::new("POST", RECORDS).body("x"), (415, 415), "send it as application/json"),
        (Call::post("/v3/clusters/c/topics/nothing/records", "application/json", good), (404, 40401), "topic"),
        (batch("{}"), (422, 42206), "/entries: missing"),
        (batch("[]"), (422, 42206), "an object with `entries`, not an array"),
        (batch(r#"{"entries":{}}"#), (422, 42206), "/entries: must be an array, not an object"),
        (batch(entries("")), (422, 42208), "`entries` is empty"),
        (batch(entries("1")), (422, 42206), "/entries/0: a record must be an object"),
        (batch(entries(good)), (422, 42206), "/entries/0/id: each entry needs an id"),
        (batch(entries(r#"{"id":"","value":null}"#)), (422, 42206), "/entries/0/id"),
        (batch(entries(&format!(r#"{{"id":"{}","value":null}}"#, "x".repeat(81)))), (422, 42206), "/entries/0/id"),
        (batch(entries(r#"{"id":7,"value":null}"#)), (422, 42206), "/entries/0/id"),
        (
            batch(entries(r#"{"id":"a","value":null},{"id":"a","value":null}"#)),
            (422, 42206),
            "/entries/1/id: appears twice",
        ),
        (batch(entries(r#"{"id":"a","value":null,"partition_id":4}"#)), (404, 40402), "/entries/0/partition_id"),
        (batch(r#"{"entries":[],"x":1}"#), (422, 42206), "/x: unknown field"),
        (batch(format!("{} 1", entries(""))), (400, 400), "unexpected text after the value"),
    ];
    let publisher = Scripted::default();
    let router = app(publisher.clone());
    for (call, expected, says) in cases {
        let answer = call.send(&router).await;
        assert_eq!(answer.problem(), expected, "{call:?}");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(says), "{says:?} is not in {detail:?}");
    }
    assert_eq!(publisher.records(), []);
    let policy = Call::post("/v3/clusters/c/topics/strict.topic/records", "application/json", good).send(&router).await;
    assert_eq!(policy.json()["errors"][0]["pointer"], "/key", "{:?}", policy.body);
}

#[tokio::test]
async fn the_compatible_mode_is_as_lenient_here() {
    let publisher = Scripted::default();
    let router = app_with(&[("COMPATIBILITY", "confluent")], publisher.clone());
    let body = r#"{"partition_id":-1,"timestamp":"-1","x":1}{"value":{"type":"JSON"},"partition_id":"2.0"}
        {"value":{"type":"STRING","data":"v","subject":"s"},"headers":[{"name":"h","x":1}]}"#;
    let answer = records(body).send(&router).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    let written = publisher.records();
    assert_eq!(written.iter().map(|record| record.partition).collect::<Vec<_>>(), [None, Some(2), None]);
    assert_eq!(written.iter().map(|record| record.value.is_some()).collect::<Vec<_>>(), [false, false, true]);
    assert_eq!(objects(&answer)[0].get("value"), None);
    // What would change what is stored is refused all the same.
    let schema = records(r#"{"value":{"schema_id":1,"data":{}}}"#).send(&router).await;
    assert_eq!(schema.problem(), (422, 42206));
}

/// A key or value, mostly of the right form.
fn part() -> impl Strategy<Value = String> {
    let r#type = select(vec!["\"JSON\"", "\"JSON\"", "\"STRING\"", "\"BINARY\"", "\"AVRO\"", "null", "1"]);
    prop_oneof![
        4 => (r#type.clone(), json_text()).prop_map(|(t, data)| format!(r#"{{"type":{t},"data":{data}}}"#)),
        1 => (r#type.clone(), json_text()).prop_map(|(t, data)| format!(r#"{{"data":{data},"type":{t}}}"#)),
        1 => r#type.prop_map(|t| format!(r#"{{"type":{t}}}"#)),
        1 => json_text(),
    ]
}

fn record() -> impl Strategy<Value = String> {
    let member = prop_oneof![
        1 => part().prop_map(|part| format!(r#""key":{part}"#)),
        1 => select(vec!["0", "3", "4", "-1", "1.0", "null", "\"0\""]).prop_map(|v| format!(r#""partition_id":{v}"#)),
        1 => select(vec!["1", "\"2025-01-01T00:00:00Z\"", "\"now\"", "-1"]).prop_map(|v| format!(r#""timestamp":{v}"#)),
        1 => select(vec!["[]", r#"[{"name":"h","value":"YQ=="}]"#, "[1]"]).prop_map(|v| format!(r#""headers":{v}"#)),
        1 => (like("[a-z_]{1,8}"), json_text()).prop_map(|(n, v)| format!(r#""{n}":{v}"#)),
    ];
    let id = prop_oneof![8 => like("[a-z]{1,12}").prop_map(|id| format!(r#""{id}""#)), 1 => json_text()];
    (part(), id, prop::collection::vec(member, 0..2), any::<bool>()).prop_map(|(value, id, members, has_id)| {
        let id = if has_id { format!(r#","id":{id}"#) } else { String::new() };
        let members: String = members.iter().map(|member| format!(",{member}")).collect();
        format!(r#"{{"value":{value}{id}{members}}}"#)
    })
}

/// Nothing panics, nothing is a 5xx, and each record that is accepted is written and answered.
#[test]
fn arbitrary_and_damaged_bodies() {
    let publisher = Scripted::default();
    let routers = ["strict", "confluent"].map(|mode| app_with(&[("COMPATIBILITY", mode)], publisher.clone()));
    let body = (prop::collection::vec(record(), 0..4), any::<bool>()).prop_map(|(records, is_batch)| match is_batch {
        true => (BATCH, format!(r#"{{"entries":[{}]}}"#, records.join(","))),
        false => (RECORDS, records.join(" ")),
    });
    run("v3 bodies", 12_000, (body, damage()), |runtime, ((target, body), damage), shares| {
        let call = Call::post(target, "application/json", damaged(body.into_bytes(), &damage));
        for router in &routers {
            publisher.clear();
            let answer = runtime.block_on(call.send(router));
            shares.note(Some(&answer));
            let answered = match answer.status {
                207 => answer.json()["successes"].as_array().unwrap().len(),
                200 => objects(&answer).len(),
                _ => {
                    judge(&answer)?;
                    0
                }
            };
            prop_assert_eq!(answered, publisher.records().len());
        }
        Ok(())
    });
}
