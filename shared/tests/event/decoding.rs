//! Typed decoding of values.

use msk_shared::event::{CloudEventMode, ConfluentPrefix, DecodeError, Header, JsonFault, Message, Record};
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
}

#[test]
fn a_byte_order_mark_before_json_is_skipped() {
    for value in ["\u{feff}{\"a\":1}", "\u{feff} {\"a\":1}", "\0\0\0\0\u{7}\u{feff}{\"a\":1}"] {
        assert_eq!(record(&[], value.as_bytes()).json(), Ok(json!({"a": 1})), "{value:?}");
        assert_eq!(record(&[], value.as_bytes()).message(), Ok(Message::Json(json!({"a": 1}))), "{value:?}");
    }
    let event = "\u{feff}{\"specversion\":\"1.0\",\"id\":\"9\",\"source\":\"/s\",\"type\":\"t\"}".as_bytes();
    assert!(matches!(record(&[], event).message(), Ok(Message::CloudEvent(_))));
    let binary = record(&[BINARY, &[("content-type", "application/json")]].concat(), b"\xef\xbb\xbf7");
    assert_eq!(binary.cloud_event().unwrap().data, Some(json!(7)));
    for value in ["\u{feff}", "\u{feff}\u{feff}1", "[\u{feff}1]"] {
        assert!(matches!(record(&[], value.as_bytes()).message(), Err(DecodeError::NotJson { .. })), "{value:?}");
    }
    assert_eq!(record(&[], "\u{feff}a".as_bytes()).text().unwrap(), "\u{feff}a", "text is kept as it is");
}

#[test]
fn json_that_cannot_be_read_says_why() {
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let mut objects = (0..200).fold(json!(1), |inner, _| json!({ "a": inner })).to_string();
    for (value, fault, says) in [
        ("1e400", JsonFault::NumberOutOfRange, "number is out of range"),
        (r#"{"a":-1e999}"#, JsonFault::NumberOutOfRange, "number is out of range"),
        (&"9".repeat(400), JsonFault::NumberOutOfRange, "number is out of range"),
        (r#""\ud800""#, JsonFault::UnpairedSurrogate, "unpaired surrogate"),
        (r#"{"a":"\ud800\u0041"}"#, JsonFault::UnpairedSurrogate, "unpaired surrogate"),
        (r#"["\udc00"]"#, JsonFault::UnpairedSurrogate, "unpaired surrogate"),
        (r#"{"\ud83d":1}"#, JsonFault::UnpairedSurrogate, "unpaired surrogate"),
        (&deep(129), JsonFault::TooDeep, "deeper than 128 levels"),
        (&deep(10_000), JsonFault::TooDeep, "deeper than 128 levels"),
        (&objects, JsonFault::TooDeep, "deeper than 128 levels"),
    ] {
        let error = record(&[], value.as_bytes()).message().unwrap_err();
        let shown = value.get(..20).unwrap_or(value);
        assert!(matches!(error, DecodeError::Unreadable { fault: found, .. } if found == fault), "{shown}: {error}");
        assert!(error.to_string().contains(says), "{shown}: {error}");
    }
    assert!(record(&[], deep(128).as_bytes()).message().is_ok());
    objects = (0..128).fold(json!(1), |inner, _| json!({ "a": inner })).to_string();
    let Ok(Message::Json(read)) = record(&[], objects.as_bytes()).message() else { panic!("128 levels are read") };
    assert_eq!(read.to_string(), objects);
    let broken = format!("{}x{}", "[".repeat(128), "]".repeat(128));
    assert!(matches!(record(&[], broken.as_bytes()).message(), Err(DecodeError::NotJson { .. })));
}

#[test]
fn a_schema_registrys_frame_is_named() {
    let error = |value: &[u8]| record(&[], value).message().unwrap_err();
    let avro = error(b"\0\0\0\x01\x02\x06o-1\x8c\x1f");
    assert!(matches!(avro, DecodeError::Framed(_)), "{avro:?}");
    let text = avro.to_string();
    assert!(text.contains("frame") && text.contains("magic byte 0") && text.contains("schema id 258"), "{text}");
    assert!(!text.contains("line 1"), "{text}");
    assert!(matches!(error(b"\0\0\0\0\x07"), DecodeError::Framed(_)), "nothing follows");
    assert!(matches!(error(b"\0\0\0\0"), DecodeError::NotJson { .. }), "too short for a frame");
    let glue = |compression: u8, rest: &[u8]| [&[3, compression], &[0xab; 16][..], rest].concat();
    for (compression, says) in [(0, "abababababababababababababababab)"), (5, "compressed")] {
        let text = error(&glue(compression, b"\x02\x04")).to_string();
        assert!(text.contains("Glue") && text.contains(says), "{text}");
    }
    assert_eq!(record(&[], &glue(0, b"{\"a\":1}")).json(), Ok(json!({"a": 1})));
    assert!(matches!(error(&glue(1, b"{}")), DecodeError::NotJson { .. }), "no such compression");
    let number = error(b"\0\0\0\0\x07{\"a\":1e400}");
    assert!(matches!(number, DecodeError::Unreadable { fault: JsonFault::NumberOutOfRange, .. }), "{number:?}");
    assert!(matches!(record(&[], b"\0\0\0\0\x07\xff").text(), Err(DecodeError::Framed(_))));
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
    let claims_json = [BINARY, &[("content-type", "application/json")]].concat();
    assert!(matches!(record(&claims_json, b"not json").message(), Err(DecodeError::NotJson { .. })));
}

#[test]
fn a_binary_cloud_event_without_a_content_type_keeps_its_data_as_they_are() {
    for value in [&b"not json"[..], b"\x89PNG", b"\0\0\0\0\x07\x02", b"1e400", b""] {
        let record = record(BINARY, value);
        let Ok(Message::CloudEvent(event)) = record.message() else { panic!("{value:?}") };
        assert_eq!((event.data, event.data_content_type), (None, None), "{value:?}");
        assert_eq!(record.value().unwrap().as_deref(), Some(value));
    }
    assert_eq!(record(BINARY, br#"{"id":1}"#).cloud_event().unwrap().data, Some(json!({"id": 1})));
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
    for no_event in [
        r#"{"specversion":"0.3","id":"9","source":"/s","type":"t"}"#,
        r#"{"specversion":"1.0","id":"","source":"/s","type":"t"}"#,
    ] {
        assert!(matches!(record(&[], no_event.as_bytes()).message(), Ok(Message::Json(_))), "{no_event}");
    }
    assert_eq!(record(&[], b"[1]").message(), Ok(Message::Json(json!([1]))));
    assert_eq!(Record::new("t", 0, 1).message(), Ok(Message::Tombstone));
    assert!(matches!(record(&[], b"").message(), Err(DecodeError::NotJson { .. })));
}
