//! Topics whose values must satisfy a JSON Schema: what would be stored is judged, in whatever format it came.

use axum::Router;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use msk_shared::messages::{AuditEntry, OrderPlaced, PaymentChanged};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::calls::{Call, HttpAnswer, JSON_V2, Scripted, app_with};

pub(crate) const SAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../events/schemas");
const TOPICS: &str = r#"{"orders":{"schema":"orders.v1"},"payments":{"schema":"payments.v1"},
    "audit":{"schema":"audit.v1"},"free":{}}"#;
const V3: &str = "/v3/clusters/any/topics/orders/records";

/// The API with the sample messages' schemas.
pub(crate) fn samples(publisher: &Scripted) -> Router {
    app_with(&[("TOPICS", TOPICS), ("SCHEMAS", SAMPLES)], publisher.clone())
}

pub(crate) fn example(name: &str) -> Value {
    let schema: Value = serde_json::from_slice(&std::fs::read(format!("{SAMPLES}/{name}.json")).unwrap()).unwrap();
    schema["examples"][0].clone()
}

/// The order of the samples with a member of another value.
fn order_with(member: &str, value: Value) -> Value {
    let mut order = example("orders.v1");
    order[member] = value;
    order
}

/// A folder with one schema, `it`, and the API over it, whose topic `orders` asks for it.
pub(crate) fn app_of(schema: &Value, publisher: &Scripted) -> (TempDir, Router) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("it.json"), schema.to_string()).unwrap();
    let schemas = folder.path().display().to_string();
    let app = app_with(&[("TOPICS", r#"{"orders":{"schema":"it"}}"#), ("SCHEMAS", &schemas)], publisher.clone());
    (folder, app)
}

pub(crate) fn message(value: impl ToString) -> Call {
    Call::post("/messages?topic=orders", "application/json", value.to_string())
}

/// Pointers and details of a refused request.
fn violations(answer: &HttpAnswer) -> Vec<(String, String)> {
    assert_eq!(answer.problem(), (422, 42206), "{answer:?}");
    let body = answer.json();
    assert_eq!((&body["persisted"], &body["retriable"]), (&json!("no"), &json!(false)));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    body["errors"].as_array().unwrap().iter().map(|it| (text(&it["pointer"]), text(&it["detail"]))).collect()
}

/// Each way to send an order, and where a fault of its `total` is then said to be; with `true`, of the value there.
fn ways(order: &Value) -> Vec<(&'static str, Call, &'static str, bool)> {
    let (text, base64) = (order.to_string(), STANDARD.encode(order.to_string()));
    let post = |kind: &str, body: Value| Call::post("/topics/orders", kind, body.to_string());
    let v3 = |path: &str, body: String| Call::post(format!("{V3}{path}"), "application/json", body);
    let typed = |kind: &str, data: &Value| json!({"value": {"type": kind, "data": data}});
    let good = example("orders.v1");
    let event =
        |member: &str, data: Value| json!({"id": "1", "source": "/t", "specversion": "1.0", "type": "t", member: data});
    let binary_event = |kind: &str| {
        let call = Call::post("/topics/orders", kind, text.clone()).header("ce-id", "1").header("ce-source", "/t");
        call.header("ce-specversion", "1.0").header("ce-type", "t")
    };
    vec![
        ("JSON", post(JSON_V2, json!({"records": [{"value": order}]})), "/records/0/value/total", false),
        (
            "plain JSON",
            post("application/json", json!({"records": [{"value": order}]})),
            "/records/0/value/total",
            false,
        ),
        (
            "a partition",
            Call::post("/topics/orders/partitions/1", JSON_V2, json!({"records": [{"value": order}]}).to_string()),
            "/records/0/value/total",
            false,
        ),
        (
            "the second record",
            post(JSON_V2, json!({"records": [{"value": good}, {"value": order}]})),
            "/records/1/value/total",
            false,
        ),
        (
            "binary",
            post("application/vnd.kafka.binary.v2+json", json!({"records": [{"value": base64}]})),
            "/records/0/value",
            true,
        ),
        (
            "text",
            post("application/vnd.kafka.text.v2+json", json!({"records": [{"value": text}]})),
            "/records/0/value",
            true,
        ),
        (
            "a record's own format",
            post(JSON_V2, json!({"records": [{"value": base64, "value_format": "binary"}]})),
            "/records/0/value",
            true,
        ),
        ("a message", message(order), "/total", false),
        (
            "a line",
            post("application/x-ndjson", good.clone()).body(format!("{good}\n{text}\n")),
            "/records/1/total",
            false,
        ),
        ("bytes", Call::post("/topics/orders", "application/octet-stream", text.clone()), "/total", false),
        ("plain text", Call::post("/topics/orders", "text/plain", text.clone()), "/total", false),
        ("a binary event", binary_event("application/json"), "/total", false),
        ("a binary event of another type", binary_event("text/plain"), "/total", false),
        ("an event", post("application/cloudevents+json", event("data", order.clone())), "/data/total", false),
        (
            "an event in base64",
            post("application/cloudevents+json", event("data_base64", json!(base64))),
            "/data_base64",
            true,
        ),
        (
            "a batch of events",
            post(
                "application/cloudevents-batch+json",
                json!([event("data", good.clone()), event("data", order.clone())]),
            ),
            "/1/data/total",
            false,
        ),
        ("v3", v3("", typed("JSON", order).to_string()), "/value/data/total", false),
        ("v3, binary", v3("", typed("BINARY", &json!(base64)).to_string()), "/value/data", true),
        ("v3, text", v3("", typed("STRING", &json!(text)).to_string()), "/value/data", true),
        (
            "v3, a second record",
            v3("", format!("{}{}", typed("JSON", &good), typed("JSON", order))),
            "/records/1/value/data/total",
            false,
        ),
        (
            "a v3 batch",
            v3(":batch", json!({"entries": [{"id": "a", "value": {"type": "JSON", "data": order}}]}).to_string()),
            "/entries/0/value/data/total",
            false,
        ),
    ]
}

#[tokio::test]
async fn every_format_is_judged_by_what_would_be_stored() {
    let publisher = Scripted::default();
    let router = samples(&publisher);
    for (name, call, ..) in ways(&example("orders.v1")) {
        publisher.clear();
        let answer = call.send(&router).await;
        assert!(answer.status < 300 && !publisher.records().is_empty(), "{name}: {answer:?}");
    }
    publisher.clear();
    for (name, call, pointer, is_opaque) in ways(&order_with("total", json!(-1))) {
        let found = violations(&call.send(&router).await);
        let says = "the value is less than the minimum of 0 (schema orders.v1)";
        let says = if is_opaque { format!("at /total of the value: {says}") } else { says.to_owned() };
        assert_eq!(found, [(pointer.to_owned(), says)], "{name}");
        let validate_only = Call { target: format!("{}?validate_only=true", call.target.replace('?', "&")), ..call };
        if !validate_only.target.starts_with("/messages") {
            violations(&validate_only.send(&router).await);
        }
    }
    assert_eq!(publisher.records().len(), 0, "nothing of a refused request is written");
}

#[tokio::test]
async fn the_first_versions_formats_are_judged_in_the_compatible_mode() {
    let variables = [("TOPICS", TOPICS), ("SCHEMAS", SAMPLES), ("COMPATIBILITY", "confluent")];
    let router = app_with(&variables, Scripted::default());
    for (value, status) in [(example("orders.v1"), 200), (json!({}), 422)] {
        let encoded = STANDARD.encode(value.to_string());
        for (kind, value) in [("json", value), ("binary", json!(encoded))] {
            let body = json!({"records": [{"value": value}]}).to_string();
            let answer = Call::post("/topics/orders", &format!("application/vnd.kafka.{kind}.v1+json"), body);
            assert_eq!(answer.send(&router).await.status, status, "{kind}");
        }
    }
}

#[tokio::test]
async fn a_tombstone_passes_and_bytes_that_are_no_json_do_not() {
    let publisher = Scripted::default();
    let router = samples(&publisher);
    let event = |body: &str| Call::post("/topics/orders", "application/cloudevents+json", body);
    let attributes = r#""id":"1","source":"/t","specversion":"1.0","type":"t""#;
    let empty_event = Call::new("POST", "/topics/orders").header("ce-id", "1").header("ce-source", "/t");
    for call in [
        Call::records(r#"{"records":[{"value":null}]}"#),
        message("null"),
        Call::post("/topics/orders", "application/x-ndjson", "null"),
        Call::post(V3, "application/json", r#"{"value":null}"#),
        empty_event.header("ce-specversion", "1.0").header("ce-type", "t"),
    ] {
        publisher.clear();
        assert_eq!((call.send(&router).await.status, publisher.records()[0].value.as_ref()), (200, None), "{call:?}");
    }
    publisher.clear();
    let binary = |bytes: &[u8]| {
        let body = json!({"records": [{"value": STANDARD.encode(bytes)}]}).to_string();
        Call::post("/topics/orders", "application/vnd.kafka.binary.v2+json", body)
    };
    let raw = |body: &str| Call::post("/topics/orders", "text/plain", body);
    for (call, pointer, says) in [
        (binary(b"\xff"), "/records/0/value", "must be JSON: the body is not UTF-8 at byte 0 of it"),
        (binary(b""), "/records/0/value", "must be JSON"),
        (binary(b"null"), "/records/0/value", "is not of type \"object\""),
        (binary(b"{}{}"), "/records/0/value", "must be JSON"),
        // Readers differ in which of the two counts.
        (binary(br#"{"total":1,"total":2}"#), "/records/0/value", "must be JSON"),
        (raw("hello"), "", "must be JSON"),
        (raw(&"[".repeat(128)), "", "must be JSON"),
        (message(format!("{}{}", "[".repeat(128), "]".repeat(128))), "", "nested deeper than 127 levels"),
        (event(&format!("{{{attributes}}}")), "", "the event has no data"),
        (event(&format!(r#"{{{attributes},"data":null}}"#)), "", "the event has no data"),
        (event(&format!(r#"{{{attributes},"data_base64":"/w=="}}"#)), "/data_base64", "must be JSON"),
    ] {
        let found = violations(&call.send(&router).await);
        assert!(found[0].0 == pointer && found[0].1.contains(says), "{call:?}: {found:?}");
        assert!(found[0].1.ends_with("(schema orders.v1)"), "{found:?}");
    }
    assert_eq!(publisher.records().len(), 0);
}

#[tokio::test]
async fn the_detail_says_what_to_change_and_shows_nothing_of_the_value() {
    let schema = json!({
        "type": "object", "required": ["a", "b/c"],
        "properties": {
            "a": {"type": "integer"}, "word": {"enum": ["x", "y"]}, "time": {"format": "date-time"},
            "list": {"contains": {"const": 1}, "items": {"type": ["integer", "string"]}, "uniqueItems": true},
            "b/c": {}, "long": {"const": "l".repeat(1000)}, "not": {"not": {"const": "canary"}}, "no": false,
            "names": {"propertyNames": {"maxLength": 2}}, "code": {"pattern": "^[A-Z]{3}$"},
            "any": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
            "closed": {"properties": {"x": true}, "unevaluatedProperties": false},
        },
        "additionalProperties": false,
    });
    let (_folder, router) = app_of(&schema, &Scripted::default());
    let cases = [
        (json!({"b/c": 1}), "", "`a` is missing"),
        (json!({"a": 1}), "", "`b/c` is missing"),
        (json!({"a": "canary"}), "/a", "the value is not of type \"integer\""),
        (json!({"a": 1.5}), "/a", "the value is not of type \"integer\""),
        (json!({"word": "canary"}), "/word", "the value is not one of \"x\" or \"y\""),
        (json!({"time": "canary"}), "/time", "the value is not a \"date-time\""),
        (json!({"list": [2]}), "/list", "the items are not what `contains` asks for"),
        (json!({"list": [1, true]}), "/list/1", "the value is not of type"),
        (json!({"list": [1, "canary", "canary"]}), "/list", "the value has non-unique elements"),
        (json!({"long": "canary"}), "/long", " ... (schema it)"),
        (json!({"not": "canary"}), "/not", "the value is what the schema excludes with `not`"),
        (json!({"no": "canary"}), "/no", "the schema allows nothing here"),
        (json!({"names": {"abc": "canary"}}), "/names", "a member's name is not allowed: the name is longer than 2"),
        (json!({"code": "canary"}), "/code", "the value does not match \"^[A-Z]{3}$\""),
        (json!({"any": "canary"}), "/any", "the value is not valid under any of the schemas"),
        (json!({"x~/y": "canary"}), "/x~0~1y", "the schema has no such member"),
        (json!({"closed": {"x": 1, "y": "canary"}}), "/closed/y", "the schema has no such member"),
    ];
    for (mut value, pointer, says) in cases {
        let all = ["a", "b/c"].map(|name| (name, json!(1)));
        let is_about_missing = says.ends_with("missing");
        for (name, filler) in all.into_iter().filter(|_| !is_about_missing) {
            value.as_object_mut().unwrap().entry(name).or_insert(filler);
        }
        let found = violations(&message(&value).send(&router).await);
        assert!(found.len() == 1 && found[0].0 == pointer && found[0].1.contains(says), "{value}: {found:?}");
        assert!(!found[0].1.contains("canary") && found[0].1.len() < 340, "{found:?}");
    }
}

#[tokio::test]
async fn at_most_twenty_places_are_named() {
    let (_folder, router) = app_of(&json!({"items": {"type": "integer"}}), &Scripted::default());
    let wrong = |count: usize| Value::from(vec!["x"; count]);
    for (values, named, says) in [
        (vec![wrong(1), wrong(2)], 3, "(and 2 more)"),
        (vec![wrong(19)], 19, "(and 18 more)"),
        (vec![wrong(20)], 20, "(and at least 19 more)"),
        (vec![wrong(5000)], 20, "(and at least 19 more)"),
        (vec![wrong(19), wrong(5)], 20, "(and 23 more; the first 20 are listed)"),
        (vec![wrong(20), wrong(5)], 20, "(and at least 20 more; the first 20 are listed)"),
        // Above 64 KiB the first place of a value is looked for alone.
        (vec![wrong(20_000)], 1, "(there may be more)"),
    ] {
        let records: Vec<Value> = values.into_iter().map(|value| json!({ "value": value })).collect();
        let answer = Call::records(json!({ "records": records }).to_string()).send(&router).await;
        assert_eq!(violations(&answer).len(), named, "{says}");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.ends_with(says), "{says}: {detail}");
    }
}

#[tokio::test]
async fn a_topic_shows_the_name_of_its_schema() {
    let router = samples(&Scripted::default());
    for (topic, schema) in [("orders", json!("orders.v1")), ("free", Value::Null)] {
        assert_eq!(Call::get(format!("/topics/{topic}")).send(&router).await.json()["schema"], schema);
    }
}

/// What the types of `shared/src/messages.rs` write is taken, so a handler that reads them gets what the topic promises.
#[tokio::test]
async fn what_the_message_types_write_is_taken_and_what_is_taken_they_read() {
    fn written<T: serde::Serialize + serde::de::DeserializeOwned>(name: &str) -> (String, Value) {
        let typed: T = serde_json::from_value(example(name)).unwrap();
        (name.trim_end_matches(".v1").to_owned(), serde_json::to_value(typed).unwrap())
    }
    let publisher = Scripted::default();
    let router = samples(&publisher);
    for (topic, value) in [
        written::<OrderPlaced>("orders.v1"),
        written::<PaymentChanged>("payments.v1"),
        written::<AuditEntry>("audit.v1"),
    ] {
        let call = Call::post(format!("/messages?topic={topic}"), "application/json", value.to_string());
        assert_eq!(call.send(&router).await.status, 200, "{topic}");
        for member in value.as_object().unwrap().keys().filter(|member| *member != "details") {
            let mut damaged = value.clone();
            damaged.as_object_mut().unwrap().remove(member);
            let call = Call::post(format!("/messages?topic={topic}"), "application/json", damaged.to_string());
            let found = violations(&call.send(&router).await);
            assert_eq!(found, [(String::new(), format!("`{member}` is missing (schema {topic}.v1)"))]);
        }
    }
}
