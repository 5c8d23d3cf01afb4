//! `docs/openapi.json` against what the API does: every call of these tests is checked with [`check`], its examples are sent,
//! and what it says of bodies is what is taken and refused.

use std::collections::HashMap;
use std::io::Read;
use std::sync::{Arc, LazyLock, Mutex};

use jsonschema::Validator;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::calls::{Call, HttpAnswer, Scripted, app};
use crate::front_doors::{ALL, FrontDoor};

const FILE: &str = include_str!("../../../../docs/openapi.json");

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(FILE).unwrap());

/// Fails unless the answer is one that the document gives for the call. Calls that the document does not have (of other
/// methods and paths, and with media types of the compatible mode) are not judged.
pub(crate) fn check(call: &Call, answer: &HttpAnswer) {
    let Some((path, operation)) = operation(call) else { return };
    let place = format!("{} {path} -> {}", call.method, answer.status);
    let response = resolved(&operation["responses"][answer.status.to_string()]);
    assert!(response.is_object(), "{place} is not described");
    assert!(answer.header("x-request-id").is_some(), "{place}");
    let Some(media_type) = answer.header("content-type") else {
        assert!(answer.body.is_empty() && response.get("content").is_none(), "{place}: no Content-Type");
        return;
    };
    if media_type == "application/vnd.kafka.v1+json" || answer.header("content-encoding").is_some() {
        return;
    }
    let schema = &response["content"][media_type]["schema"];
    assert!(schema.is_object(), "{place}: {media_type} is not described");
    let validator = validator(&format!("{place} {media_type}"), schema);
    let mut values = 0;
    // A body of several objects has one a line.
    for value in serde_json::Deserializer::from_slice(&answer.body).into_iter::<Value>() {
        let value = value.unwrap_or_else(|error| panic!("{place}: {error}"));
        let errors: Vec<String> =
            validator.iter_errors(&value).map(|error| format!("{} {error}", error.instance_path())).collect();
        assert_eq!(errors, [""; 0], "{place}: {value}");
        values += 1;
    }
    assert!(values > 0, "{place}: no body");
}

/// The operation of a call, with its path's template.
fn operation(call: &Call) -> Option<(&'static str, &'static Value)> {
    let path = call.target.split('?').next()?;
    let decoded = percent_decode_str(path).decode_utf8().ok()?;
    let fits = |template: &str| {
        let (own, theirs) = (decoded.split('/'), template.split('/'));
        own.clone().count() == theirs.clone().count()
            && own.zip(theirs).all(|(own, theirs)| own == theirs || (theirs.starts_with('{') && !own.is_empty()))
    };
    let (template, item) = DOCUMENT["paths"].as_object()?.iter().find(|(template, _)| fits(template))?;
    Some((template, item.get(call.method.to_lowercase())?))
}

/// What a reference stands for.
fn resolved(value: &'static Value) -> &'static Value {
    match value.get("$ref").and_then(Value::as_str) {
        Some(reference) => DOCUMENT.pointer(reference.trim_start_matches('#')).unwrap(),
        None => value,
    }
}

/// The validator of a schema of the document, made once for each place.
fn validator(place: &str, schema: &Value) -> Arc<Validator> {
    static VALIDATORS: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);
    let mut validators = VALIDATORS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let made = validators.entry(place.to_owned()).or_insert_with(|| {
        let mut rooted = schema.clone();
        rooted["components"] = json!({"schemas": DOCUMENT["components"]["schemas"]});
        Arc::new(jsonschema::draft202012::new(&rooted).unwrap())
    });
    Arc::clone(made)
}

/// The bodies of an operation: media types, schemas and examples.
fn bodies(operation: &'static Value) -> impl Iterator<Item = (&'static String, &'static Value)> {
    operation["requestBody"]["content"].as_object().into_iter().flatten()
}

#[tokio::test]
async fn each_example_is_valid_and_written() {
    let publisher = Scripted::default();
    let router = app(publisher.clone());
    let mut sent = 0;
    for (template, item) in DOCUMENT["paths"].as_object().unwrap() {
        let path = template.replace("{topic}", "orders").replace("{partition}", "0").replace("{cluster}", "any");
        for (media_type, body) in bodies(&item["post"]) {
            let example = &body["example"];
            let is_text = !media_type.contains("json") || media_type == "application/x-ndjson";
            let bytes = if is_text { example.as_str().unwrap().to_owned() } else { example.to_string() };
            let place = format!("{template} {media_type}");
            assert!(validator(&place, &body["schema"]).is_valid(example), "{place}");
            publisher.clear();
            let answer = Call::post(&path, media_type, bytes).invoke(&router, false).await;
            assert_eq!((answer.status / 100, publisher.records().is_empty()), (2, false), "{place}: {answer:?}");
            sent += 1;
        }
    }
    assert!(sent >= 20, "{sent}");
}

/// What the document allows is taken, what it forbids is refused.
#[tokio::test]
async fn bodies_are_valid_by_the_document_if_they_are_taken() {
    const V3: &str = "/v3/clusters/any/topics/orders/records";
    let headers = |header: Value| json!({"records": [{"value": 1, "headers": [header]}]});
    let record = |member: &str, value: Value| json!({"records": [{"value": 1, member: value}]});
    let part = json!({"type": "JSON", "data": 1});
    let entry = |id: Value| json!({"entries": [{"id": id, "value": part}]});
    let cases = [
        ("/topics/orders", json!({"records": []}), false),
        ("/topics/orders", json!({"records": [{"value": null}]}), true),
        ("/topics/orders", json!({"records": [{"key": "k"}]}), false),
        ("/topics/orders", json!({"records": [{"value": 1}], "key_schema_id": null}), true),
        ("/topics/orders", json!({"records": [{"value": 1}], "key_schema_id": 1}), false),
        ("/topics/orders", json!({"recs": []}), false),
        ("/topics/orders", json!([]), false),
        ("/topics/orders", record("vlaue", json!(1)), false),
        ("/topics/orders", record("partition", json!(0)), true),
        ("/topics/orders", record("partition", json!(null)), true),
        ("/topics/orders", record("partition", json!(-1)), false),
        ("/topics/orders", record("partition", json!("0")), false),
        ("/topics/orders", record("timestamp", json!(1)), true),
        ("/topics/orders", record("timestamp", json!("2025-10-09T08:53:20Z")), true),
        ("/topics/orders", record("timestamp", json!(0)), false),
        ("/topics/orders", record("key_format", json!("text")), true),
        ("/topics/orders", record("key_format", json!("avro")), false),
        ("/topics/orders", record("headers", json!(null)), true),
        ("/topics/orders", record("headers", json!({})), false),
        ("/topics/orders", headers(json!({"key": "a", "value": "YQ=="})), true),
        ("/topics/orders", headers(json!({"name": "a", "value_utf8": null})), true),
        ("/topics/orders", headers(json!({"key": "a"})), false),
        ("/topics/orders", headers(json!({"key": "a", "name": "a", "value": null})), false),
        ("/topics/orders", headers(json!({"key": "a", "value": null, "value_utf8": "a"})), false),
        ("/topics/orders", headers(json!({"key": "X-Principal", "value": null})), false),
        ("/topics/orders", headers(json!({"key": "x-dlq-topic", "value": null})), false),
        ("/topics/orders", headers(json!({"key": "x-dlq", "value": null})), true),
        ("/topics/orders", headers(json!({"key": "a\0", "value": null})), false),
        (V3, json!({"value": part, "key": null}), true),
        (V3, json!({"key": part}), false),
        (V3, json!({"value": {"type": "AVRO", "data": 1}}), false),
        (V3, json!({"value": {"type": "JSON"}}), false),
        (V3, json!({"value": part, "partition": 1}), false),
        ("batch", entry(json!("1")), true),
        ("batch", entry(json!("")), false),
        ("batch", entry(json!("i".repeat(80))), true),
        ("batch", entry(json!("i".repeat(81))), false),
        ("batch", entry(json!(1)), false),
        ("batch", json!({"entries": []}), false),
    ];
    let router = app(Scripted::default());
    for (path, body, valid) in cases {
        let path = if path == "batch" { format!("{V3}:batch") } else { path.to_owned() };
        let call = Call::post(path, "application/json", body.to_string());
        let (template, operation) = operation(&call).unwrap();
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        assert_eq!(validator(template, schema).is_valid(&body), valid, "the document: {body}");
        let answer = call.invoke(&router, false).await;
        assert_eq!(answer.status < 300, valid, "{body}: {answer:?}");
    }
}

#[tokio::test]
async fn the_document_is_served_under_both_names_compressed_for_those_who_accept_it() {
    let router = app(Scripted::default());
    for target in ["/openapi.json", "/openapi"] {
        let plain = Call::get(target).send(&router).await;
        assert_eq!((plain.status, plain.header("content-encoding")), (200, None));
        assert_eq!((plain.header("content-type"), plain.body.as_ref()), (Some("application/json"), FILE.as_bytes()));
        let coded = Call::get(target).header("accept-encoding", "br, gzip").send(&router).await;
        assert_eq!((coded.header("content-encoding"), coded.header("vary")), (Some("gzip"), Some("accept-encoding")));
        assert!(coded.body.len() * 5 < FILE.len(), "{} of {} bytes", coded.body.len(), FILE.len());
        let mut decoded = String::new();
        flate2::read::GzDecoder::new(coded.body.as_ref()).read_to_string(&mut decoded).unwrap();
        assert_eq!(decoded, FILE);
        // The bytes come through every front door; a REST API hands only text on unless it is told otherwise.
        for front_door in ALL {
            let call = Call::get(target).header("Accept-Encoding", "gzip");
            let payload = front_door.event(&call, false).to_string();
            let response = crate::calls::respond(&router, payload, std::time::Duration::from_secs(30)).await.unwrap();
            let is_text =
                matches!(front_door, FrontDoor::RestApi | FrontDoor::RestApiCustomDomain | FrontDoor::HttpApiFormat1);
            assert_eq!(response["isBase64Encoded"], !is_text, "{front_door:?}");
            let answer = HttpAnswer::from_function(&response);
            assert_eq!(answer.body, if is_text { &plain.body } else { &coded.body }, "{front_door:?}");
        }
    }
}
