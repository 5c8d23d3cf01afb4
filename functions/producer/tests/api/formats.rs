//! Formats other than Kafka REST v2's: what records their bodies become, and what is wrong with them.

use bytes::Bytes;
use msk_shared::kafka::{FailureCause, Header, OutboundRecord};

use crate::calls::{Call, Scripted, app, app_with, not_sent};

pub(crate) const NDJSON: &str = "application/x-ndjson";
pub(crate) const BYTES: &str = "application/octet-stream";
pub(crate) const PLAIN: &str = "text/plain";

async fn records_of(call: &Call) -> Vec<OutboundRecord> {
    let publisher = Scripted::default();
    let router = app(publisher.clone());
    let answer = call.send(&router).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    assert_eq!(answer.header("content-type"), Some("application/vnd.kafka.v2+json"));
    let records = publisher.records();
    assert_eq!(answer.json()["offsets"].as_array().unwrap().len(), records.len());
    for base64 in [true, false] {
        // Bytes that are no UTF-8 cannot be a text event.
        if base64 || std::str::from_utf8(&call.body).is_ok() {
            publisher.clear();
            assert_eq!(call.invoke(&router, base64).await.status, 200);
            assert_eq!(publisher.records(), records, "the same by every way");
        }
    }
    records
}

fn orders(content_type: &str, body: impl Into<Vec<u8>>) -> Call {
    Call::post("/topics/orders", content_type, body)
}

fn values(records: &[OutboundRecord]) -> Vec<Option<&str>> {
    records.iter().map(|r| r.value.as_ref().map(|v| std::str::from_utf8(v).unwrap())).collect()
}

#[tokio::test]
async fn each_line_of_ndjson_is_a_record() {
    let body = "\u{feff}{ \"a\" : 1 }\r\n\n \t\r\n null\n\"x\\u000ay\"\n[1,\t2]";
    let records = records_of(&orders(NDJSON, body)).await;
    assert_eq!(values(&records), [Some("{\"a\":1}"), None, Some("\"x\\ny\""), Some("[1,2]")]);
    let one = records_of(&orders("Application/X-NDJSON; charset=utf-8", "0\n")).await;
    assert_eq!(values(&one), [Some("0")]);
}

#[tokio::test]
async fn a_raw_body_is_the_value_as_it_is() {
    let cases: [(&str, &[u8]); 6] = [
        (BYTES, b"\0\xff\n"),
        (BYTES, b""),
        (PLAIN, b""),
        (PLAIN, b"null"),
        (PLAIN, "\u{feff} \u{e9}\r\n".as_bytes()),
        ("text/plain; charset=utf-8", b"{\"a\": 1}"),
    ];
    for (content_type, body) in cases {
        let records = records_of(&orders(content_type, body)).await;
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].value.as_deref(), Some(body), "{content_type}");
        assert_eq!((&records[0].key, records[0].partition, &records[0].headers[..]), (&None, None, &[][..]));
    }
}

#[tokio::test]
async fn the_kafka_headers_hold_for_every_record() {
    for (content_type, body, count) in [(NDJSON, "1\n2", 2), (BYTES, "1", 1), (PLAIN, "1", 1)] {
        let call = orders(content_type, body)
            .header("kafka-key", "k")
            .header("kafka-partition", "2")
            .header("kafka-timestamp", "1760000000000")
            .header("kafka-header-source", "web")
            .header("idempotency-key", "i");
        let records = records_of(&call).await;
        assert_eq!(records.len(), count);
        for (index, record) in records.iter().enumerate() {
            assert_eq!(record.key.as_deref(), Some(&b"k"[..]));
            assert_eq!((record.partition, record.timestamp_ms), (Some(2), Some(1_760_000_000_000)));
            let id = if count == 1 { "i".to_owned() } else { format!("i/{index}") };
            let header = |name: &str, value: String| Header { name: name.to_owned(), value: Some(Bytes::from(value)) };
            assert_eq!(record.headers, [header("source", "web".to_owned()), header("idempotency-key", id)]);
        }
        let empty_key = records_of(&orders(content_type, body).header("kafka-key", "")).await;
        assert_eq!(empty_key[0].key.as_deref(), Some(&b""[..]), "an empty key is a key");
        let by_path = Call::post("/topics/orders/partitions/3", content_type, body);
        assert!(records_of(&by_path).await.iter().all(|record| record.partition == Some(3)));
    }
}

#[tokio::test]
async fn what_is_wrong_is_named_and_nothing_is_written() {
    let lines = |count: usize| "1\n".repeat(count);
    let strict = |content_type: &str, body: &str| Call::post("/topics/strict.topic", content_type, body);
    let big = "x".repeat(1_000_001);
    let cases = [
        (orders(NDJSON, "1\n\n{\n2\nnul"), 400, "/records/1: line 3: malformed JSON: expected a string at byte 1"),
        (orders(NDJSON, "1\n\n{\n2\nnul\n\u{c}"), 400, "(and 2 more)"),
        (orders(NDJSON, b"1\n\"\xff\""), 400, "/records/1: line 2: malformed JSON: the body is not UTF-8 at byte 1"),
        (orders(NDJSON, b"\xff\xfe1\0\n\0"), 400, "UTF-16"),
        (orders(NDJSON, "1 2"), 400, "unexpected text after the value at byte 2"),
        (orders(NDJSON, "{\"a\":1,\"a\":1}"), 400, "twice"),
        (orders(NDJSON, ""), 422, "the body has no line with a JSON value"),
        (orders(NDJSON, "\r\n \n"), 422, "the body has no line with a JSON value"),
        (orders(NDJSON, lines(501)), 422, "501 records; the limit is 500 (MAX_RECORDS)"),
        (
            orders(NDJSON, format!("1\n\"{big}\"")),
            413,
            "/records/1: the record has 1000003 bytes; the limit is 1000000",
        ),
        (orders(BYTES, &*big), 413, "the record has 1000001 bytes; the limit is 1000000 bytes (MAX_RECORD_BYTES)"),
        (orders(PLAIN, &*big), 413, "1000001 bytes"),
        (orders(BYTES, vec![0; 4_194_305]), 413, "4194305 bytes; the limit is 4194304 bytes (MAX_REQUEST_BYTES)"),
        (orders(PLAIN, b"a\xff"), 400, "the text is not UTF-8 at byte 1; send other bytes as application/octet-stream"),
        (orders("text/plain; charset=iso-8859-1", "a"), 415, "the charset is not UTF-8"),
        (strict(NDJSON, "1\n2"), 422, "Kafka-Key: missing; this topic's records need a key"),
        (strict(BYTES, "1").header("kafka-key", "k"), 422, "does not accept the format raw; it accepts: json"),
        (strict(NDJSON, "1\n2").header("kafka-key", "k"), 422, "/records/0: this topic does not accept"),
        (orders(PLAIN, "1").header("kafka-partition", "4"), 404, "Kafka-Partition: does not exist"),
        (orders(NDJSON, "1\n2").header("kafka-partition", "x"), 400, "Kafka-Partition: must be a whole number"),
        (orders(BYTES, "1").header("kafka-timestamp", "0"), 400, "Kafka-Timestamp"),
        (orders(BYTES, "1").header("kafka-header-x-principal", "me"), 422, "reserved"),
        (
            Call::post("/topics/orders/partitions/1", NDJSON, "1\n2").header("kafka-partition", "2"),
            422,
            "Kafka-Partition: contradicts",
        ),
        (Call::post("/messages", NDJSON, "1"), 415, "send it as application/json"),
        (Call::post("/messages", BYTES, "1"), 415, "send it as application/json"),
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
            assert_eq!(body["index"].as_u64(), says.starts_with("/records/1").then_some(1), "{body}");
        }
    }
    assert_eq!(publisher.records(), [], "a 4xx means that nothing was written");
}

/// A header that holds for all lines is one place, however many records lack it.
#[tokio::test]
async fn one_header_is_one_fault() {
    let call = Call::post("/topics/strict.topic", NDJSON, "1\n2\n3").header("kafka-partition", "9");
    let router = app_with(&[("TOPICS", r#"{"strict.topic":{"key":"required"}}"#)], Scripted::default());
    let body = call.send(&router).await.json();
    assert_eq!(body["errors"].as_array().unwrap().len(), 1, "{body}");
    let refused = Scripted::failing(not_sent(FailureCause::KeyMissing));
    let body = orders(NDJSON, "1\n2\n3").send(&app(refused)).await.json();
    assert_eq!(body["errors"].as_array().unwrap().len(), 1, "{body}");
    assert_eq!(body["errors"][0]["pointer"], "Kafka-Key", "{body}");
    assert_eq!(body["offsets"].as_array().unwrap().len(), 3, "{body}");
}
