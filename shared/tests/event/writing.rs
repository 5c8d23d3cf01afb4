//! The event's JSON as AWS writes it.

use msk_shared::event::{Header, MskEvent, Record, SchemaMetadata, TimestampType, TombstoneStyle};

use crate::parse;

fn header(name: &str, value: Option<&[u8]>) -> Header {
    Header { name: name.into(), value: value.map(|bytes| bytes.to_vec().into()) }
}

fn text(event: &MskEvent, style: TombstoneStyle) -> String {
    String::from_utf8(event.to_json(style)).unwrap()
}

#[test]
fn the_text_is_aws_s() {
    let records = [
        Record::new("my-topic", 0, 15)
            .with_timestamp(1_545_084_650_987, TimestampType::CreateTime)
            .with_key(Some(b"k".to_vec()))
            .with_value(Some(b"Hello, this is a test.".to_vec()))
            .with_headers([header("h", Some(&[118, 220, 0, 127, 128])), header("h", None), header("", Some(&[]))]),
        Record::new("my-topic", 1, 3)
            .with_timestamp(7, TimestampType::LogAppendTime)
            .with_value(Some(Vec::new()))
            .with_schemas(None, Some(SchemaMetadata { data_format: "AVRO".into(), schema_id: "7".into() })),
        Record::new("my-topic", 0, 16),
    ];
    let event = MskEvent {
        event_source_arn: Some("arn:aws:kafka:eu-west-1:1:cluster/c/u".into()),
        bootstrap_servers: Some("b-1:9098,b-2:9098".into()),
        ..MskEvent::new(records)
    };
    let expected = concat!(
        r#"{"eventSource":"aws:kafka","eventSourceArn":"arn:aws:kafka:eu-west-1:1:cluster/c/u","#,
        r#""bootstrapServers":"b-1:9098,b-2:9098","records":{"my-topic-0":["#,
        r#"{"topic":"my-topic","partition":0,"offset":15,"timestamp":1545084650987,"timestampType":"CREATE_TIME","#,
        r#""key":"aw==","value":"SGVsbG8sIHRoaXMgaXMgYSB0ZXN0Lg==","headers":[{"h":[118,-36,0,127,-128]},{"h":null},{"":[]}]},"#,
        r#"{"topic":"my-topic","partition":0,"offset":16,"timestamp":-1,"timestampType":"NO_TIMESTAMP_TYPE","headers":[]}],"#,
        r#""my-topic-1":[{"topic":"my-topic","partition":1,"offset":3,"timestamp":7,"timestampType":"LOG_APPEND_TIME","#,
        r#""value":"","headers":[],"valueSchemaMetadata":{"dataFormat":"AVRO","schemaId":"7"}}]}}"#,
    );
    assert_eq!(text(&event, TombstoneStyle::Omit), expected);
    assert!(text(&event, TombstoneStyle::Null).contains(r#""key":null,"value":null,"headers":[]"#));
    assert_eq!(MskEvent::parse(event.to_json(TombstoneStyle::Omit)), Ok(event.clone()));
    assert_eq!(MskEvent::parse(event.to_json(TombstoneStyle::Null)), Ok(event));
}

#[test]
fn what_cannot_be_decoded_is_written_as_it_was_received() {
    let json = r#"{"records":{"t-0":[{"topic":"t","partition":0,"offset":1,"timestamp":-1,"timestampType":"NO_TIMESTAMP_TYPE","key":"\"*","value":[1],"headers":{"a":7}}]}}"#;
    assert_eq!(text(&parse(json), TombstoneStyle::Omit), json);
}

#[test]
fn a_records_text_is_what_it_adds_to_the_event() {
    let record = Record::new("t", 0, 1).with_value(Some(vec![7; 1000])).with_headers([header("n", Some(&[200; 50]))]);
    let size = |records: &[Record]| MskEvent::new(records.iter().cloned()).to_json(TombstoneStyle::Omit).len();
    let mut own = Vec::new();
    record.write_json(&mut own, TombstoneStyle::Omit);
    assert_eq!(size(&[record.clone(), record.clone()]) - size(std::slice::from_ref(&record)), own.len() + 1);
}

#[test]
fn the_common_rust_type_reads_what_we_write() {
    let event = MskEvent::new([Record::new("t", 2, 9)
        .with_timestamp(1_000, TimestampType::CreateTime)
        .with_key(Some(b"k".to_vec()))
        .with_value(Some(b"{}".to_vec()))
        .with_headers([header("h", Some(&[0, 255]))])]);
    let theirs: aws_lambda_events::kafka::KafkaEvent =
        serde_json::from_slice(&event.to_json(TombstoneStyle::Omit)).unwrap();
    let record = &theirs.records["t-2"][0];
    assert_eq!((record.partition, record.offset, record.value.as_deref()), (2, 9, Some("e30=")));
    assert_eq!(record.headers[0]["h"], [0, -1]);
    #[cfg(feature = "aws-lambda-events")]
    assert_eq!(MskEvent::from(theirs), event);
}

#[cfg(feature = "aws-lambda-events")]
#[test]
fn broken_base64_survives_the_conversion_from_the_common_type() {
    let json = r#"{"eventSource":"aws:kafka","records":{"b-1":[{"partition":1,"offset":2,"timestamp":5,"key":null,"value":"a\"b","headers":[]}]}}"#;
    let theirs: aws_lambda_events::kafka::KafkaEvent = serde_json::from_str(json).unwrap();
    let event = MskEvent::from(theirs);
    let record = event.records().next().unwrap();
    assert_eq!(record.topic(), "b");
    assert!(record.value().is_err());
    assert_eq!(MskEvent::parse(event.to_json(TombstoneStyle::Omit)).unwrap().len(), 1);
}
