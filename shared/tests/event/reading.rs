//! What the event model accepts, and what it refuses.

use msk_shared::event::{EventError, FieldError, Header, MskEvent, Record, RecordFault, TimestampType};

use crate::{event_of, parse, record_with};

fn refused(json: &str) -> EventError {
    MskEvent::parse(json.as_bytes().to_vec()).unwrap_err()
}

#[test]
fn a_record_as_aws_documents_it_is_read() {
    let record = record_with(
        r#""timestamp":1545084650987,"timestampType":"CREATE_TIME","key":"a2V5","value":"SGVsbG8sIHRoaXMgaXMgYSB0ZXN0Lg==",
           "headers":[{"headerKey":[104,101,97,100,101,114,86,97,108,117,101]}]"#,
    );
    assert_eq!((record.topic(), record.partition(), record.offset()), ("t", 0, 5));
    assert_eq!(record.timestamp_ms(), Some(1_545_084_650_987));
    assert_eq!(record.key().unwrap().unwrap().as_ref(), b"key");
    assert_eq!(record.text().unwrap(), "Hello, this is a test.");
    assert_eq!(record.header("headerKey"), Some(b"headerValue".as_slice()));
    assert_eq!(record.id().to_string(), "t-0@5");
    assert_eq!(record.id().partition_name(), "t-0");
    assert!(!record.is_tombstone());
}

#[test]
fn absent_and_null_members_are_none_and_empty_ones_are_empty() {
    for members in ["", r#""key":null,"value":null,"headers":null,"timestamp":null"#] {
        let record = record_with(members);
        assert_eq!((record.key(), record.value()), (Ok(None), Ok(None)), "{members}");
        assert_eq!(record.headers(), Ok([].as_slice()), "{members}");
        assert_eq!((record.timestamp_ms(), record.timestamp_type()), (None, TimestampType::NoTimestamp), "{members}");
        assert!(record.is_tombstone(), "{members}");
    }
    let empty = record_with(r#""key":"","value":"","headers":[]"#);
    assert_eq!(empty.key().unwrap().as_deref(), Some([].as_slice()));
    assert_eq!(empty.value().unwrap().as_deref(), Some([].as_slice()));
    assert!(!empty.is_tombstone());
}

#[test]
fn header_bytes_are_signed_or_unsigned_names_repeat_and_values_may_be_null() {
    let record = record_with(
        r#""headers":[{"raw":[118,-36,0,127,-128]},{"raw":[255,128]},{"none":null},{},{"a":[],"b":[49]},{"esc\"aped":[1]}]"#,
    );
    let header = |name: &str, value: Option<&[u8]>| Header {
        name: name.to_owned(),
        value: value.map(|bytes| bytes.to_vec().into()),
    };
    let expected = [
        header("raw", Some(&[118, 220, 0, 127, 128])),
        header("raw", Some(&[255, 128])),
        header("none", None),
        header("a", Some(&[])),
        header("b", Some(b"1")),
        header("esc\"aped", Some(&[1])),
    ];
    assert_eq!(record.headers().unwrap(), expected);
    assert_eq!(record.header("raw"), Some([255, 128].as_slice()), "the last one wins, as in Kafka's clients");
    assert_eq!((record.header("none"), record.header("missing")), (None, None));
    assert_eq!((record.header_text("b"), record.header_text("raw")), (Some("1"), None));
}

#[test]
fn a_field_that_cannot_be_decoded_is_an_error_of_that_field_only_and_keeps_its_text() {
    let record = record_with(r#""key":"a2V5","value":"no base64!","headers":[{"n":[256]}]"#);
    assert_eq!(record.key().unwrap().unwrap().as_ref(), b"key");
    let error = record.value().unwrap_err();
    assert_eq!(error.to_string(), "the value is not base64: character 3 is not in the base64 alphabet");
    assert_eq!(record.value_as_received(), Some(b"no base64!".as_slice()));
    assert!(matches!(record.headers(), Err(FieldError::Headers(_))));
    assert_eq!(record.header("n"), None);
    assert!(!record.is_tombstone());
    for odd in ["42", "true", "[1]", r#"{"a":1}"#] {
        let record = record_with(&format!(r#""value":{odd}"#));
        assert_eq!(record.value(), Err(FieldError::NotText { field: "value" }), "{odd}");
        assert_eq!(record.value_as_received(), Some(odd.as_bytes()));
    }
    for odd in [r#""text""#, "7", r#"[{"n":"text"}]"#, "[[1]]", r#"[{"n":[1.5]}]"#, r#"[{"n":[-129]}]"#] {
        let record = record_with(&format!(r#""headers":{odd}"#));
        let error = record.headers().unwrap_err().to_string();
        assert!(error.starts_with("the headers must be an array of"), "{odd}: {error}");
        assert!(!error.contains("text"), "no content: {error}");
    }
}

#[test]
fn base64_may_lack_its_padding_or_escape_its_slash() {
    for text in ["/+8=", "/+8", r"\/+8=", r"\u002f+8="] {
        let record = record_with(&format!(r#""value":"{text}""#));
        assert_eq!(record.value().unwrap().unwrap().as_ref(), [0xff, 0xef], "{text}");
    }
    let long = "A".repeat(4000);
    let record = record_with(&format!(r#""value":"{long}*""#));
    assert_eq!(
        record.value().unwrap_err().to_string(),
        "the value is not base64: character 4001 is not in the base64 alphabet"
    );
}

#[test]
fn numbers_may_come_as_text_or_with_a_fraction_of_zero() {
    let event = event_of(&[r#"{"topic":"t","partition":"3","offset":"15","timestamp":1.545e12}"#]);
    let record = event.records().next().unwrap();
    assert_eq!((record.partition(), record.offset(), record.timestamp_ms()), (3, 15, Some(1_545_000_000_000)));
    assert_eq!(event.entries().filter(Result::is_err).count(), 0);
}

#[test]
fn coordinates_missing_from_a_record_come_from_its_group() {
    let event = parse(r#"{"records":{"a-b-7":[{"offset":1},{"topic":null,"partition":null,"offset":2}]}}"#);
    let ids: Vec<String> = event.records().map(|record| record.id().to_string()).collect();
    assert_eq!(ids, ["a-b-7@1", "a-b-7@2"]);
}

#[test]
fn a_record_that_cannot_be_named_has_a_fault_and_spares_the_others() {
    let event = event_of(&[
        r#"{"topic":"t","partition":0,"offset":1}"#,
        "17",
        "null",
        r#""text""#,
        "[{}]",
        r#"{"topic":"t","partition":0}"#,
        r#"{"topic":"t","partition":0,"offset":-1}"#,
        r#"{"topic":"t","partition":0,"offset":{"a":[]}}"#,
        r#"{"topic":"t","partition":0,"offset":2}"#,
    ]);
    let faults =
        |event: &MskEvent| event.entries().map(|record| record.err().map(|it| it.id().fault)).collect::<Vec<_>>();
    let kept: Vec<_> =
        event.entries().map(|it| it.map_or_else(Record::value_as_received, Record::value_as_received)).collect();
    let json: [&[u8]; 4] = [b"17", b"null", br#""text""#, b"[{}]"];
    assert_eq!(kept[1..5], json.map(Some), "what is no object keeps its content");
    let odd = ["-1.5", "true", "[]", r#"["a", {"b":[1]} ,null]"#, r#""\u0000\"""#];
    for (record, json) in event_of(&odd).entries().zip(odd) {
        let record = record.unwrap_err();
        let kept: serde_json::Value = serde_json::from_slice(record.value_as_received().unwrap()).unwrap();
        assert_eq!(kept, serde_json::from_str::<serde_json::Value>(json).unwrap());
        assert!(record.value().is_err(), "{json}");
    }
    let (no_object, no_offset) = (Some(RecordFault::NotAnObject), Some(RecordFault::Offset));
    let expected = [None, no_object, no_object, no_object, no_object, no_offset, no_offset, no_offset, None];
    assert_eq!(faults(&event), expected);
    let nameless = parse(r#"{"records":{"group":[{"offset":1},{"topic":"t","offset":1}]}}"#);
    assert_eq!(faults(&nameless), [Some(RecordFault::Topic), Some(RecordFault::Partition)]);
}

#[test]
fn groups_keep_the_events_order_and_unknown_members_are_ignored() {
    let event = parse(
        r#"{"sent":{"by":["someone"]},"records":{"t-9":[{"topic":"t","partition":9,"offset":1,"leaderEpoch":{"n":[1]}}],
            "t-1":[],"t-5":null,"t-3":[{"topic":"t","partition":3,"offset":4}]},"eventSource":"aws:kafka"}"#,
    );
    let names: Vec<&str> = event.partitions.iter().map(|group| group.name.as_str()).collect();
    assert_eq!(names, ["t-9", "t-1", "t-5", "t-3"]);
    assert_eq!((event.len(), event.is_empty()), (2, false));
}

#[test]
fn schema_metadata_is_kept() {
    let record = record_with(
        r#""keySchemaMetadata":{"dataFormat":"JSON","schemaId":"u-1"},"valueSchemaMetadata":{"dataFormat":"AVRO","schemaId":7,"x":1}"#,
    );
    let (key, value) = (record.key_schema().unwrap(), record.value_schema().unwrap());
    assert_eq!((key.data_format.as_str(), key.schema_id.as_str()), ("JSON", "u-1"));
    assert_eq!((value.data_format.as_str(), value.schema_id.as_str()), ("AVRO", "7"));
    assert!(record_with(r#""valueSchemaMetadata":"odd""#).value_schema().is_none());
}

#[test]
fn an_empty_event_is_one() {
    for json in [
        r#"{"eventSource":"aws:kafka","records":{}}"#,
        r#"{"eventSource":"SelfManagedKafka","records":null}"#,
        r#"{"eventSource":"aws:kafka"}"#,
        r#"{"records":{"t-0":[]}}"#,
    ] {
        assert!(parse(json).is_empty(), "{json}");
    }
}

#[test]
fn what_is_no_msk_event_is_refused_with_its_reason() {
    for (json, reason) in [
        ("", "not JSON"),
        ("{", "not JSON: invalid or incomplete at line 1, column 1"),
        ("{} {}", "not JSON"),
        ("[]", "not a JSON object"),
        ("null", "not a JSON object"),
        ("\"aws:kafka\"", "not a JSON object"),
        ("{}", "no `records`"),
        (r#"{"Records":[{"eventSource":"aws:sqs","body":"secret"}]}"#, "`Records`, as SQS"),
        (r#"{"version":"2.0","requestContext":{},"body":"secret"}"#, "`requestContext`, as API Gateway"),
        (r#"{"eventSource":"aws:sqs","records":{}}"#, "eventSource is neither"),
        (r#"{"eventSource":5,"records":{}}"#, "eventSource is neither"),
        (r#"{"eventSource":"aws:kafka","records":[1]}"#, "`records` is not an object"),
        (r#"{"records":{"t-0":[],"t-1":"secret"}}"#, "group 2 of `records` is not an array"),
        (r#"{"records":{"t-0":[{"offset":1}]}"#, "not JSON"),
    ] {
        let error = refused(json).to_string();
        assert!(error.contains(reason), "{json}: {error}");
        assert!(!error.contains("secret"), "no content: {error}");
    }
    assert_eq!(MskEvent::parse(b"{\"a\":\"\xff\"}".to_vec()), Err(EventError::NotUtf8 { position: 7 }));
}

#[test]
fn deep_nesting_neither_overflows_nor_harms_the_other_records() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let event = event_of(&[
        &format!(r#"{{"topic":"t","partition":0,"offset":1,"other":{deep},"value":{deep},"headers":{deep}}}"#),
        &deep,
        r#"{"topic":"t","partition":0,"offset":2,"value":"e30="}"#,
    ]);
    let records: Vec<_> = event.entries().collect();
    let first = records[0].unwrap();
    assert!(first.value().is_err() && first.headers().is_err());
    assert_eq!(records[1].unwrap_err().id().fault, RecordFault::NotAnObject);
    assert_eq!(records[2].unwrap().text().unwrap(), "{}");
    assert!(refused(&deep).to_string().contains("not a JSON object"));
}

#[test]
fn a_records_content_is_not_in_its_debug_text() {
    let record = record_with(r#""value":"c2VjcmV0","key":"c2VjcmV0""#);
    assert_eq!(format!("{record:?}"), "Record(t-0@5)");
}
