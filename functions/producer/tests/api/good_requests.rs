//! What records a request becomes.

use bytes::Bytes;
use msk_shared::kafka::{Header, OutboundRecord};

use crate::calls::{Call, JSON_V2, Scripted, app, app_with};

const BINARY: &str = "application/vnd.kafka.binary.v2+json";
const TEXT: &str = "application/vnd.kafka.text.v2+json";

/// The records that a request becomes.
async fn records_of(call: &Call) -> Vec<OutboundRecord> {
    let publisher = Scripted::default();
    let answer = call.send(&app(publisher.clone())).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    publisher.records()
}

fn text(bytes: &Option<Bytes>) -> Option<String> {
    bytes.as_ref().map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
}

/// Key and value of a single record.
async fn pair(content_type: &str, members: &str) -> (Option<String>, Option<String>) {
    let call = Call::post("/topics/orders", content_type, format!(r#"{{"records":[{{{members}}}]}}"#));
    let records = records_of(&call).await;
    assert_eq!(records.len(), 1);
    (text(&records[0].key), text(&records[0].value))
}

fn some(key: &str, value: &str) -> (Option<String>, Option<String>) {
    (Some(key.to_owned()), Some(value.to_owned()))
}

#[tokio::test]
async fn json_values_keep_their_order_and_numbers_and_lose_white_space() {
    let members = r#""key" : {"b" : 1} , "value" : { "z" : 1.50 , "a" : [ 1e2 , "\u00e9\/" ] }"#;
    assert_eq!(pair(JSON_V2, members).await, some(r#"{"b":1}"#, r#"{"z":1.50,"a":[1e2,"é/"]}"#));
}

#[tokio::test]
async fn a_string_key_keeps_its_quotes_unless_its_format_is_string() {
    assert_eq!(pair(JSON_V2, r#""key":"k","value":"v""#).await, some("\"k\"", "\"v\""));
    assert_eq!(pair(JSON_V2, r#""key":"k","key_format":"string","value":"v""#).await, some("k", "\"v\""));
    assert_eq!(
        pair(JSON_V2, r#""key_format":"string","value_format":"string","key":"k","value":"v""#).await,
        some("k", "v")
    );
    assert_eq!(pair(TEXT, r#""key":"k\n\"","value":"v""#).await, some("k\n\"", "v"));
    assert_eq!(pair(TEXT, r#""key":"k","value":"{\"a\": 1}","key_format":"json""#).await, some("\"k\"", r#"{"a": 1}"#));
}

#[tokio::test]
async fn binary_is_base64_with_or_without_padding() {
    assert_eq!(pair(BINARY, r#""key":"aw==","value":"dmFsdWU""#).await, some("k", "value"));
    assert_eq!(pair(JSON_V2, r#""key":1,"value":"dg==","value_format":"binary""#).await, some("1", "v"));
    let call = Call::post("/topics/orders", BINARY, r#"{"records":[{"value":"AP\/+/w"}]}"#);
    assert_eq!(records_of(&call).await[0].value.as_deref(), Some(&[0, 255, 254, 255][..]));
}

#[tokio::test]
async fn partition_timestamp_and_headers_are_kept_in_order() {
    let body = r#"{"records":[{"value":1,"partition":2,"timestamp":"2025-10-09T08:53:20.5Z","headers":[
        {"key":"b","value":"/w=="},{"name":"a","value_utf8":"ü"},{"key":"b","value":null},{"key":"","value":""}]},
        {"value":2,"timestamp":1760000000000,"partition":null,"headers":null,"key":null,"key_format":null}]}"#;
    let records = records_of(&Call::records(body)).await;
    let header = |name: &str, value: Option<&'static [u8]>| Header {
        name: name.to_owned(),
        value: value.map(Bytes::from_static),
    };
    assert_eq!(
        records[0].headers,
        [header("b", Some(b"\xff")), header("a", Some("ü".as_bytes())), header("b", None), header("", Some(b""))]
    );
    assert_eq!((records[0].partition, records[0].timestamp_ms), (Some(2), Some(1_760_000_000_500)));
    assert_eq!((records[1].partition, records[1].timestamp_ms), (None, Some(1_760_000_000_000)));
    assert_eq!((&records[1].key, records[1].headers.len()), (&None, 0));
}

#[tokio::test]
async fn the_partition_of_the_path_holds_for_every_record() {
    let body = r#"{"records":[{"value":1},{"value":2,"partition":3}]}"#;
    let records = records_of(&Call::post("/topics/orders/partitions/3", JSON_V2, body)).await;
    assert_eq!(records.iter().map(|r| r.partition).collect::<Vec<_>>(), [Some(3), Some(3)]);
}

#[tokio::test]
async fn plain_json_and_no_content_type_are_the_json_format() {
    let body = r#"{"records":[{"key":"k","value":{"a":1}}]}"#;
    let plain = records_of(&Call::post("/topics/orders", "application/json", body)).await;
    let without = records_of(&Call::new("POST", "/topics/orders").body(body)).await;
    let v2 = records_of(&Call::post("/topics/orders", "application/vnd.kafka.v2+json; charset=utf-8", body)).await;
    assert_eq!(plain, v2);
    assert_eq!(without, v2);
}

/// PowerShell and .NET write one.
#[tokio::test]
async fn a_byte_order_mark_before_the_body_is_skipped() {
    let body = r#"{"records":[{"key":"aw==","value":"dg=="}]}"#;
    for content_type in [JSON_V2, BINARY, TEXT, "application/json"] {
        let plain = records_of(&Call::post("/topics/orders", content_type, body)).await;
        let marked = records_of(&Call::post("/topics/orders", content_type, format!("\u{feff}{body}"))).await;
        assert_eq!(marked, plain, "{content_type}");
    }
    let without_type = records_of(&Call::new("POST", "/topics/orders").body(format!("\u{feff} {body}"))).await;
    assert_eq!(without_type.len(), 1);
    let message = Call::post("/messages", "application/json", "\u{feff}{\"id\":\"\u{feff}7\"}");
    assert_eq!(text(&records_of(&message).await[0].value).as_deref(), Some("{\"id\":\"\u{feff}7\"}"));
}

#[tokio::test]
async fn a_signed_query_is_ignored_on_every_path() {
    let records = r#"{"records":[{"value":1}]}"#;
    for (target, body) in [
        ("/topics/orders?X-Amz-Date=x&X-Amz-Signature=y", records),
        ("/topics/orders/partitions/1?X-Amz-Date=x", records),
        ("/messages?X-Amz-Date=x", "1"),
    ] {
        assert_eq!(records_of(&Call::post(target, "application/json", body)).await.len(), 1, "{target}");
    }
}

#[tokio::test]
async fn null_schema_fields_of_confluents_clients_are_accepted() {
    let body = r#"{"key_schema":null,"value_schema":null,"key_schema_id":null,"value_schema_id":null,"records":[{"value":1}]}"#;
    assert_eq!(records_of(&Call::records(body)).await.len(), 1);
}

#[tokio::test]
async fn a_message_is_the_body_with_its_fields_as_headers() {
    let call = Call::post("/messages?topic=audit", "application/json", "{ \"id\" : 7 }")
        .header("kafka-key", "k-1")
        .header("kafka-partition", "1")
        .header("kafka-timestamp", "2025-10-09T08:53:20Z")
        .header("kafka-header-source", "web");
    let records = records_of(&call).await;
    assert_eq!(records.len(), 1);
    let record = &records[0];
    assert_eq!(
        (record.topic.as_str(), record.partition, record.timestamp_ms),
        ("audit", Some(1), Some(1_760_000_000_000))
    );
    assert_eq!((text(&record.key), text(&record.value)), some("k-1", r#"{"id":7}"#));
    assert_eq!(record.headers, [Header { name: "source".to_owned(), value: Some(Bytes::from_static(b"web")) }]);
}

#[tokio::test]
async fn a_message_goes_to_the_default_topic_with_the_key_of_the_query() {
    let call = Call::post("/messages?key=a%20b%2B%ED%82%A4&X-Amz-Date=x", "application/json", "null");
    let records = records_of(&call).await;
    assert_eq!(records[0].topic.as_str(), "orders");
    assert_eq!((text(&records[0].key), &records[0].value), (Some("a b+키".to_owned()), &None));
    let no_type = Call::new("POST", "/messages").body("[1, 2]");
    assert_eq!(text(&records_of(&no_type).await[0].value).as_deref(), Some("[1,2]"));
}

#[tokio::test]
async fn trace_and_idempotency_key_reach_every_record() {
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let body = r#"{"records":[{"value":1},{"value":2,"headers":[{"key":"traceparent","value_utf8":"own"}]}]}"#;
    let call = Call::records(body).header("traceparent", parent).header("idempotency-key", "\"k\"");
    let records = records_of(&call).await;
    let shown = |record: &OutboundRecord| -> Vec<(String, String)> {
        record.headers.iter().map(|h| (h.name.clone(), text(&h.value).unwrap())).collect()
    };
    let pairs = |pairs: [(&str, &str); 2]| pairs.map(|(n, v)| (n.to_owned(), v.to_owned())).to_vec();
    assert_eq!(shown(&records[0]), pairs([("traceparent", parent), ("idempotency-key", "k/0")]));
    assert_eq!(shown(&records[1]), pairs([("traceparent", "own"), ("idempotency-key", "k/1")]));
    let single = Call::post("/messages", "application/json", "1").header("idempotency-key", "k");
    assert_eq!(shown(&records_of(&single).await[0]), [("idempotency-key".to_owned(), "k".to_owned())]);
}

#[tokio::test]
async fn the_headers_a_request_adds_do_not_count_against_the_record() {
    let body = format!(r#"{{"records":[{{"value":"{}"}}]}}"#, "x".repeat(999_998));
    let call = Call::records(body).header("idempotency-key", "k");
    assert_eq!(records_of(&call).await.len(), 1);
}

#[tokio::test]
async fn text_and_base64_events_give_the_same_records() {
    let call = Call::records(r#"{"records":[{"key":"키","value":{"a":"ü\u0001"}},{"value":null}]}"#);
    let publisher = Scripted::default();
    let router = app(publisher.clone());
    assert_eq!(call.invoke(&router, false).await.status, 200);
    let from_text = publisher.records();
    publisher.clear();
    assert_eq!(call.invoke(&router, true).await.status, 200);
    assert_eq!(publisher.records(), from_text);
    assert_eq!(from_text.len(), 2);
}

#[tokio::test]
async fn in_confluent_mode_unknown_fields_and_parameters_are_ignored() {
    let publisher = Scripted::default();
    let router = app_with(&[("COMPATIBILITY", "confluent")], publisher.clone());
    let body = r#"{"records":[{"value":1,"vale":2}],"value_schema_id":7}"#;
    assert_eq!(Call::records(body).send(&router).await.status, 200);
    assert_eq!(publisher.records().len(), 1);
    for target in ["/topics/orders?async=true", "/topics/orders/partitions/1?async=true&x", "/messages?user_id=a"] {
        let media = if target.starts_with("/messages") { "application/json" } else { JSON_V2 };
        let answer = Call::post(target, media, r#"{"records":[{"value":1}]}"#).send(&router).await;
        assert_eq!(answer.status, 200, "{target}: {:?}", answer.body);
    }
}
