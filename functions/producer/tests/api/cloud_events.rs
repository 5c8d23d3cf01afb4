//! CloudEvents 1.0 in all modes: what the specification's examples become, and that the consumer reads it as the Kafka
//! protocol binding says. Examples: <https://github.com/cloudevents/spec/tree/v1.0.2/cloudevents>.

use msk_shared::event::{CloudEvent, CloudEventMode, Header as ReadHeader, Message, Record};
use msk_shared::kafka::{FailureCause, Header, OutboundRecord};
use serde_json::{Value, json};

use crate::calls::{Call, Scripted, app, app_with, not_sent};

pub(crate) const STRUCTURED: &str = "application/cloudevents+json";
pub(crate) const BATCH: &str = "application/cloudevents-batch+json";

/// An event with nothing but what is required.
pub(crate) const LEAST: &str = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t"}"#;

pub(crate) fn structured(body: impl Into<Vec<u8>>) -> Call {
    Call::post("/topics/orders", STRUCTURED, body)
}

/// A binary event with nothing but what is required, and this body.
pub(crate) fn binary(body: impl Into<Vec<u8>>) -> Call {
    let attributes = [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/s"), ("ce-type", "t")];
    with(&attributes).body(body)
}

fn with(headers: &[(&str, &str)]) -> Call {
    headers.iter().fold(Call::new("POST", "/topics/orders"), |call, (name, value)| call.header(name, value))
}

async fn records_of(call: &Call) -> Vec<OutboundRecord> {
    let publisher = Scripted::default();
    let router = app(publisher.clone());
    let answer = call.send(&router).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    let records = publisher.records();
    assert_eq!(answer.json()["offsets"].as_array().unwrap().len(), records.len());
    // Bytes that are no UTF-8 cannot be a text event.
    for base64 in [true, std::str::from_utf8(&call.body).is_err()] {
        publisher.clear();
        assert_eq!(call.invoke(&router, base64).await.status, 200);
        assert_eq!(publisher.records(), records, "the same by every way");
    }
    records
}

fn headers(record: &OutboundRecord) -> Vec<(&str, &str)> {
    record.headers.iter().map(|header| (header.name.as_str(), text(header))).collect()
}

fn text(header: &Header) -> &str {
    std::str::from_utf8(header.value.as_deref().unwrap()).unwrap()
}

/// The record as the consumer gets it.
fn received(record: &OutboundRecord) -> Record {
    let header = |h: &Header| ReadHeader { name: h.name.clone(), value: h.value.clone() };
    Record::new("orders", 0, 1).with_value(record.value.clone()).with_headers(record.headers.iter().map(header))
}

fn event(record: &OutboundRecord) -> CloudEvent {
    received(record).cloud_event().unwrap()
}

/// JSON event format 1.0.2, 3.2: the examples with JSON data, with text in another format, and with base64, which there is
/// only hinted at.
fn examples() -> [Value; 4] {
    let common = |id: &str, rest: Value| {
        let mut event = json!({
            "specversion": "1.0", "type": "com.example.someevent", "source": "/mycontext", "id": id,
            "time": "2018-04-05T17:31:00Z", "comexampleextension1": "value", "comexampleothervalue": 5,
        });
        event.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        event
    };
    let thrift = "application/vnd.apache.thrift.binary";
    let data = json!({"appinfoA": "abc", "appinfoB": 123, "appinfoC": true});
    [
        common("A234-1234-1234", json!({"datacontenttype": thrift, "data_base64": "gAEAAQ=="})),
        common(
            "B234-1234-1234",
            json!({"unsetextension": null, "datacontenttype": "application/xml", "data": "<much wow=\"xml\"/>"}),
        ),
        common("C234-1234-1234", json!({"subject": null, "datacontenttype": "application/json", "data": data})),
        common("D234-1234-1234", json!({"subject": null, "data": "I'm just a string"})),
    ]
}

#[tokio::test]
async fn structured_examples_are_stored_as_json_events() {
    for example in examples() {
        for content_type in [STRUCTURED, "Application/CloudEvents+JSON; charset=UTF-8"] {
            let body = serde_json::to_string_pretty(&example).unwrap();
            let records = records_of(&Call::post("/topics/orders", content_type, body)).await;
            assert_eq!(records.len(), 1);
            assert_eq!(headers(&records[0]), [("content-type", "application/cloudevents+json; charset=UTF-8")]);
            assert_eq!(records[0].value.as_deref(), Some(example.to_string().as_bytes()), "compact, in its order");
            let read = event(&records[0]);
            assert_eq!((read.mode, read.id.as_str()), (CloudEventMode::Structured, example["id"].as_str().unwrap()));
            assert_eq!((read.source.as_str(), read.kind.as_str()), ("/mycontext", "com.example.someevent"));
            assert_eq!((read.time.as_deref(), read.data.as_ref()), (Some("2018-04-05T17:31:00Z"), example.get("data")));
            assert_eq!(read.data_content_type.as_deref(), example["datacontenttype"].as_str());
        }
    }
}

/// The same events in binary mode, as the examples show them beside.
#[tokio::test]
async fn binary_examples_become_headers_and_a_value() {
    let cases: [(&str, Option<&str>, &[u8]); 4] = [
        ("A234-1234-1234", Some("application/vnd.apache.thrift.binary"), b"\x80\x01\0\x01"),
        ("B234-1234-1234", Some("application/xml"), b"<much wow=\"xml\"/>"),
        ("C234-1234-1234", Some("application/json"), b"{\n  \"appinfoA\" : \"abc\",\n  \"appinfoB\" : 123\n}"),
        ("D234-1234-1234", Some("application/json"), b"\"I'm just a string\""),
    ];
    for (id, content_type, data) in cases {
        let attributes = [
            ("ce-specversion", "1.0"),
            ("ce-type", "com.example.someevent"),
            ("ce-source", "/mycontext"),
            ("ce-id", id),
            ("ce-time", "2018-04-05T17:31:00Z"),
            ("ce-comexampleextension1", "value"),
            ("ce-comexampleothervalue", "5"),
        ];
        let call = with(&attributes).header("content-type", content_type.unwrap()).body(data);
        let records = records_of(&call).await;
        assert_eq!(records[0].value.as_deref(), Some(data), "the data stay as they are");
        let mut expected: Vec<(String, &str)> =
            attributes.iter().map(|(name, value)| (name.replace("ce-", "ce_"), *value)).collect();
        expected.sort();
        expected.push(("content-type".to_owned(), content_type.unwrap()));
        let stored: Vec<(String, &str)> = headers(&records[0]).iter().map(|(n, v)| ((*n).to_owned(), *v)).collect();
        assert_eq!(stored, expected);
        let read = event(&records[0]);
        assert_eq!(
            (read.mode, read.id.as_str(), read.data_content_type.as_deref()),
            (CloudEventMode::Binary, id, content_type)
        );
        assert_eq!(read.data, serde_json::from_slice(data).ok().filter(|_| content_type == Some("application/json")));
    }
}

/// HTTP protocol binding 1.0.2, 3.1.4, as its header says with a charset; JSON event format 4.3.
#[tokio::test]
async fn a_batch_is_one_structured_record_per_event() {
    let [thrift, _, object, _] = examples();
    let body = serde_json::to_string_pretty(&json!([thrift, object])).unwrap();
    let call = Call::post("/topics/orders", "application/cloudevents-batch+json; charset=utf-8", body);
    let records = records_of(&call.header("idempotency-key", "k")).await;
    for (index, (record, example)) in records.iter().zip([thrift, object]).enumerate() {
        assert_eq!(record.value.as_deref(), Some(example.to_string().as_bytes()));
        let key = format!("k/{index}");
        let structured = ("content-type", "application/cloudevents+json; charset=UTF-8");
        assert_eq!(headers(record), [structured, ("idempotency-key", key.as_str())]);
        assert_eq!(event(record).id, example["id"].as_str().unwrap());
    }
    assert_eq!(records.len(), 2);
}

/// HTTP protocol binding 1.0.2, 3.1.3.2.
#[tokio::test]
async fn header_values_are_unquoted_and_decoded_once() {
    let cases = [
        ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),
        ("euro%20%e2%82%ac", "euro €"),
        ("\"a \\\"quoted\\\" one\"", "a \"quoted\" one"),
        ("\"%41\\\\\"", "A\\"),
        ("%2541", "%41"),
        ("100%", "100%"),
        ("\"", "\""),
        ("plain, text", "plain, text"),
    ];
    for (sent, stored) in cases {
        let records = records_of(&binary("x").header("ce-subject", sent)).await;
        assert!(headers(&records[0]).contains(&("ce_subject", stored)), "{sent}: {:?}", headers(&records[0]));
        assert_eq!(event(&records[0]).subject.as_deref(), Some(stored));
    }
}

#[tokio::test]
async fn the_key_is_the_partition_key_else_that_of_the_header() {
    let keyed = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","partitionkey":"p\u00e9"}"#;
    let cases = [
        (binary("x").header("ce-partitionkey", "p%C3%A9").header("kafka-key", "k"), Some("pé")),
        (binary("x").header("kafka-key", "k"), Some("k")),
        (binary("x"), None),
        (structured(keyed).header("kafka-key", "k"), Some("pé")),
        (structured(LEAST).header("kafka-key", "k"), Some("k")),
        (structured(LEAST.replace('}', ",\"partitionkey\":null}")), None),
        (Call::post("/topics/orders", BATCH, format!("[{keyed}]")), Some("pé")),
    ];
    for (call, key) in cases {
        let records = records_of(&call).await;
        assert_eq!(records[0].key.as_deref(), key.map(str::as_bytes), "{call:?}");
        // A key mapper must not change the event (Kafka protocol binding 1.0.2, 3.1).
        if key == Some("pé") {
            let is_header = headers(&records[0]).contains(&("ce_partitionkey", "pé"));
            assert!(is_header || event(&records[0]).mode == CloudEventMode::Structured, "{:?}", records[0]);
        }
    }
    let both = format!("[{keyed},{LEAST}]");
    let records = records_of(&Call::post("/topics/orders", BATCH, both).header("kafka-key", "k")).await;
    let keys: Vec<_> = records.iter().map(|record| record.key.as_deref().unwrap()).collect();
    assert_eq!(keys, ["pé".as_bytes(), b"k"]);
}

#[tokio::test]
async fn other_headers_go_along() {
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let origin = "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let call = binary("x")
        .header("ce-traceparent", origin)
        .header("traceparent", parent)
        .header("kafka-partition", "2")
        .header("kafka-timestamp", "1760000000000")
        .header("kafka-header-a", "1");
    let record = &records_of(&call).await[0];
    let stored = headers(record);
    assert!(stored.contains(&("ce_traceparent", origin)) && stored.contains(&("traceparent", parent)), "{stored:?}");
    assert!(stored.contains(&("a", "1")), "{stored:?}");
    assert_eq!((record.partition, record.timestamp_ms), (Some(2), Some(1_760_000_000_000)));
}

#[tokio::test]
async fn the_media_type_decides_which_mode_it_is() {
    let attributes = [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/s"), ("ce-type", "t")];
    // Kafka REST v2's types stay what they are; so do structured events that repeat their attributes as headers.
    let envelope = with(&attributes).header("content-type", crate::calls::JSON_V2).body(r#"{"records":[{"value":1}]}"#);
    assert_eq!(headers(&records_of(&envelope).await[0]), []);
    let structured = with(&attributes).header("content-type", STRUCTURED).body(LEAST.replace("\"1\"", "\"2\""));
    assert_eq!(event(&records_of(&structured).await[0]).id, "2");
    for content_type in ["application/json", "text/plain; charset=utf-16", "application/x-ndjson", "image/png", "x"] {
        let records = records_of(&with(&attributes).header("content-type", content_type).body("1")).await;
        assert!(headers(&records[0]).contains(&("content-type", content_type)));
    }
    let without = records_of(&binary("{ }")).await;
    assert!(headers(&without[0]).iter().all(|(name, _)| *name != "content-type"));
    assert_eq!(without[0].value.as_deref(), Some(&b"{ }"[..]), "the data stay as they are");
    // Kafka protocol binding 1.0.2, 3.2.2.
    let empty = records_of(&binary("").header("content-type", "application/json")).await;
    assert_eq!(empty[0].value, None);
    assert!(matches!(received(&empty[0]).message(), Ok(Message::Tombstone)));
}

#[tokio::test]
async fn what_is_wrong_is_named_and_nothing_is_written() {
    let event =
        |members: &str| structured(format!(r#"{{"specversion":"1.0","id":"1","source":"/s","type":"t",{members}}}"#));
    let batch = |body: &str| Call::post("/topics/orders", BATCH, body);
    let strict = |call: Call| Call { target: "/topics/strict.topic".to_owned(), ..call };
    let cases = [
        (
            with(&[("ce-id", "1")]).body("x"),
            422,
            "ce-specversion: `specversion` is missing; every CloudEvent has one (and 2 more)",
        ),
        (with(&[("ce-type", "t"), ("content-type", "application/json")]).body("1"), 422, "is missing"),
        (binary("x").header("ce-time", "yesterday"), 422, "ce-time: must be an RFC 3339 time"),
        (binary("x").header("ce-subject", ""), 422, "ce-subject: must not be empty"),
        (binary("x").header("ce-partitionkey", ""), 422, "ce-partitionkey: must not be empty"),
        (binary("x").header("ce-my_ext", "1"), 422, "ce-my_ext: an attribute's name has only lower-case letters"),
        (
            binary("x").header("ce-datacontenttype", "text/xml"),
            422,
            "ce-datacontenttype: send the data's type as Content-Type",
        ),
        (binary("x").header("ce-data", "1"), 422, "ce-data"),
        (binary("x").header("ce-ext", "%C0%A0"), 400, "ce-ext: does not decode to UTF-8"),
        (binary("x").header("ce-ext", "a%00"), 422, "ce-ext: must not contain control characters"),
        (binary("{").header("content-type", "application/json"), 400, "malformed JSON"),
        (binary("{").header("content-type", "application/vnd.x+JSON; a=b"), 400, "malformed JSON"),
        (binary("x").header("kafka-header-content-type", "a/b"), 422, "Kafka-Header-content-type"),
        (binary("x").header("kafka-header-ce_id", "2"), 422, "Kafka-Header-ce_id"),
        (with(&[("ce-specversion", "0.3"), ("ce-id", "1"), ("ce-source", "/s"), ("ce-type", "t")]), 422, "send 1.0"),
        (structured("{}"), 422, "`specversion` is missing; every CloudEvent has one (and 3 more)"),
        (structured("[]"), 422, "an event must be an object, not an array"),
        (structured(""), 400, "malformed JSON"),
        (structured(LEAST.replace('}', ",\"id\":\"2\"}")), 400, "appears twice"),
        (structured(LEAST.replace("\"1\"", "1")), 422, "/id: must be a string, not a number"),
        (structured(LEAST.replace("\"1\"", "null")), 422, "`id` is missing"),
        (structured(LEAST.replace("\"1\"", "\"\"")), 422, "/id: must not be empty"),
        (
            structured(LEAST.replace("1.0", "0.3")),
            422,
            "/specversion: this version of CloudEvents is not supported; send 1.0",
        ),
        (event(r#""myExt":"1""#), 422, "/myExt: an attribute's name has only lower-case letters and digits"),
        (event(r#""my-ext":1"#), 422, "/my-ext: an attribute's name"),
        (event(r#""ext":1.5"#), 422, "/ext: an extension must be a string, a boolean or a whole number of 32 bits"),
        (event(r#""ext":2147483648"#), 422, "/ext"),
        (event(r#""ext":{}"#), 422, "/ext"),
        (event(r#""ext":"a\u0007""#), 422, "/ext: must not contain control characters"),
        (event(r#""partitionkey":7"#), 422, "/partitionkey: must be a string, not a number"),
        (event(r#""time":"2018-04-05""#), 422, "/time: must be an RFC 3339 time"),
        (event(r#""data":1,"data_base64":"AA==""#), 422, "exclude each other"),
        (event(r#""data_base64":"?""#), 400, "/data_base64: not valid base64"),
        (event(r#""data_base64":1"#), 422, "/data_base64: must be a base64 string, not a number"),
        (batch("{}"), 422, "a batch must be an array of events, not an object"),
        (batch("[]"), 422, "the batch is empty"),
        (batch(&format!("[{LEAST},7]")), 422, "/1: an event must be an object, not a number"),
        (batch(&format!("[{LEAST},{{\"id\":\"\"}}]")), 422, "/1/id: must not be empty"),
        (batch(&format!("[{}]", vec![LEAST; 501].join(","))), 422, "501 records; the limit is 500 (MAX_RECORDS)"),
        (
            event(&format!(r#""data":"{}""#, "x".repeat(1_000_000))),
            413,
            "the limit is 1000000 bytes (MAX_RECORD_BYTES)",
        ),
        (
            batch(&format!("[{LEAST},{}]", LEAST.replace('}', &format!(",\"data\":\"{}\"}}", "x".repeat(1_000_000))))),
            413,
            "/1: the record has 10001",
        ),
        (Call::post("/topics/orders", "application/cloudevents+avro", "x"), 415, "does not accept the Content-Type"),
        (Call::post("/topics/orders", "application/cloudevents", "x"), 415, "does not accept the Content-Type"),
        (Call::post("/topics/orders", "application/cloudevents-batch", "x"), 415, "does not accept the Content-Type"),
        (Call::post("/messages", STRUCTURED, LEAST), 415, "send it as application/json"),
        (
            Call { target: "/messages".to_owned(), ..binary("1") },
            415,
            "CloudEvents are accepted by POST /topics/{topic}",
        ),
        (strict(structured(LEAST)).header("kafka-key", "k"), 422, "does not accept the format cloudevents"),
        (strict(structured(LEAST)), 422, "Kafka-Key: missing; this topic's records need a key"),
        (strict(batch(&format!("[{LEAST}]"))), 422, "/0/partitionkey: missing"),
        (binary("x").header("kafka-partition", "4"), 404, "Kafka-Partition: does not exist"),
    ];
    let publisher = Scripted::default();
    let router = app(publisher.clone());
    for (call, status, says) in cases {
        let answer = call.send(&router).await;
        assert_eq!(answer.problem().0, status, "{says}: {:?}", answer.body);
        let body = answer.json();
        assert!(body["detail"].as_str().unwrap().contains(says), "{says}: {body}");
        if status == 413 {
            assert!(body["actual_bytes"].as_u64() > body["limit_bytes"].as_u64(), "{body}");
        }
    }
    let twice = binary("x").header("ce-ext", "1").header("ce-ext", "2").send(&router).await;
    assert_eq!(twice.problem(), (400, 400));
    assert_eq!(publisher.records(), [], "a 4xx means that nothing was written");
}

#[tokio::test]
async fn the_policy_and_the_cluster_speak_of_events_by_their_place() {
    let topics = r#"{"orders":{"key":"required","formats":["cloudevents"]}}"#;
    let router = app_with(&[("TOPICS", topics)], Scripted::default());
    let answer = structured(LEAST).header("kafka-key", "k").send(&router).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    let answer = Call::records(r#"{"records":[{"key":1,"value":1}]}"#).send(&router).await;
    assert!(answer.json()["detail"].as_str().unwrap().contains("it accepts: cloudevents"), "{:?}", answer.body);
    let refused = app(Scripted::failing(not_sent(FailureCause::KeyMissing)));
    let body = Call::post("/topics/orders", BATCH, format!("[{LEAST},{LEAST}]")).send(&refused).await.json();
    let pointers: Vec<_> = body["errors"].as_array().unwrap().iter().map(|error| &error["pointer"]).collect();
    assert_eq!(pointers, ["/0/partitionkey", "/1/partitionkey"], "{body}");
}
