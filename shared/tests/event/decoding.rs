//! Typed decoding of values.

use msk_shared::event::{CloudEventMode, ConfluentPrefix, DecodeError, Header, Message, Record};
use serde::Deserialize;
use serde_json::json;

fn record(headers: &[(&str, &str)], value: &[u8]) -> Record {
    let headers = headers
        .iter()
        .map(|(name, value)| Header { name: (*name).to_owned(), value: Some(value.as_bytes().to_vec().into()) });
    Record::new("t", 0, 1).with_headers(headers).with_value(Some(value.to_vec()))
}

#[derive(Debug, PartialEq, Deserialize)]
struct Order {
    id: String,
    total: u64,
}

const BINARY: &[(&str, &str)] =
    &[("ce_specversion", "1.0"), ("ce_id", "9"), ("ce_source", "/s"), ("ce_type", "order.placed")];

#[test]
fn json_becomes_the_type_asked_for() {
    let order = Order { id: "o-1".into(), total: 5 };
    assert_eq!(record(&[], br#"{"id":"o-1","total":5,"more":1}"#).json::<Order>(), Ok(order));
    let framed = record(&[], b"\0\0\0\x01\x02{\"id\":\"o-1\",\"total\":5}");
    assert_eq!(framed.json::<Order>().unwrap().id, "o-1");
    let value = framed.value().unwrap().unwrap().into_owned();
    let (prefix, rest) = ConfluentPrefix::split(&value).unwrap();
    assert_eq!((prefix.schema_id, rest.len()), (258, value.len() - ConfluentPrefix::LEN));
    assert_eq!(ConfluentPrefix::split(b"\0\0\0\0"), None);
    assert_eq!(ConfluentPrefix::split(b"{\"a\":1}"), None);
}

#[test]
fn errors_say_where_and_never_what() {
    let error = |value: &[u8]| record(&[], value).json::<Order>().unwrap_err();
    assert_eq!(error(b"{\"id\":"), DecodeError::NotJson { line: 1, column: 6 });
    assert!(matches!(error(b"{\"id\":\"secret\",\"total\":\"secret\"}"), DecodeError::Shape { .. }));
    assert!(!error(b"{\"id\":\"secret\",\"total\":\"secret\"}").to_string().contains("secret"));
    assert!(matches!(error(b"\xff\xfe"), DecodeError::NotJson { .. }));
    assert_eq!(Record::new("t", 0, 1).json::<Order>(), Err(DecodeError::Tombstone));
    assert_eq!(record(&[], b"ab\xff").text(), Err(DecodeError::NotUtf8 { position: 3 }));
    assert_eq!(record(&[], "주문".as_bytes()).text().unwrap(), "주문");
    let deep = [b"[".repeat(10_000), b"]".repeat(10_000)].concat();
    assert!(matches!(record(&[], &deep).message(), Err(DecodeError::NotJson { .. })));
}

#[test]
fn a_binary_cloud_event_has_its_attributes_in_headers() {
    let headers = [BINARY, &[("ce_subject", "o-1"), ("ce_time", "2026-01-01T00:00:00Z")]].concat();
    let event = record(&headers, br#"{"id":1}"#).cloud_event().unwrap();
    assert_eq!(event.mode, CloudEventMode::Binary);
    assert_eq!((event.id.as_str(), event.source.as_str(), event.kind.as_str()), ("9", "/s", "order.placed"));
    assert_eq!(event.subject.as_deref(), Some("o-1"));
    assert_eq!(event.time.as_deref(), Some("2026-01-01T00:00:00Z"));
    assert_eq!(event.data, Some(json!({"id": 1})));
    let image = record(&[BINARY, &[("content-type", "image/png")]].concat(), b"\x89PNG").cloud_event().unwrap();
    assert_eq!((image.data, image.data_content_type.as_deref()), (None, Some("image/png")));
    let text = record(&[BINARY, &[("content-type", "Application/vnd.x+JSON; charset=utf-8")]].concat(), b"7");
    assert_eq!(text.cloud_event().unwrap().data, Some(json!(7)));
    assert!(matches!(record(BINARY, b"not json").message(), Err(DecodeError::NotJson { .. })));
}

#[test]
fn a_structured_cloud_event_is_json() {
    let json = br#"{"specversion":"1.0","id":"9","source":"/s","type":"order.placed","datacontenttype":"application/json","data":{"id":1}}"#;
    for headers in [&[][..], &[("content-type", "application/cloudevents+json; charset=UTF-8")]] {
        let Ok(Message::CloudEvent(event)) = record(headers, json).message() else { panic!("{headers:?}") };
        assert_eq!((event.mode, event.kind.as_str()), (CloudEventMode::Structured, "order.placed"));
        assert_eq!(event.data, Some(json!({"id": 1})));
    }
    assert!(record(&[], json).cloud_event().is_ok());
}

#[test]
fn a_claim_to_be_a_cloud_event_must_hold() {
    let structured = &[("content-type", "application/cloudevents+json")];
    for (headers, value, attribute) in [
        (&BINARY[1..], &b"{}"[..], "specversion"),
        (&BINARY[..3], b"{}", "type"),
        (&[("ce_specversion", "0.3"), ("ce_id", "1"), ("ce_source", "/"), ("ce_type", "t")], b"{}", "specversion"),
        (&[("ce_specversion", "1.0"), ("ce_id", ""), ("ce_source", "/"), ("ce_type", "t")], b"{}", "id"),
        (structured, b"{}", "specversion"),
        (structured, b"[]", "specversion"),
        (structured, br#"{"specversion":"1.0","id":7,"source":"/","type":"t"}"#, "id"),
        (structured, br#"{"specversion":"1.0","id":"7","source":null,"type":"t"}"#, "source"),
        (&[("content-type", "application/cloudevents-batch+json")], b"[]", "datacontenttype"),
    ] {
        match record(headers, value).message() {
            Err(DecodeError::CloudEvent { attribute: found, .. }) => assert_eq!(found, attribute, "{headers:?}"),
            other => panic!("{headers:?}: {other:?}"),
        }
    }
}

#[test]
fn other_json_is_json_and_no_value_is_a_tombstone() {
    assert_eq!(
        record(&[], br#"{"specversion":"1.0","id":"9"}"#).message().map(|m| matches!(m, Message::Json(_))),
        Ok(true)
    );
    assert_eq!(record(&[], b"[1]").message(), Ok(Message::Json(json!([1]))));
    assert_eq!(Record::new("t", 0, 1).message(), Ok(Message::Tombstone));
    assert!(matches!(record(&[], b"").message(), Err(DecodeError::NotJson { .. })));
}
