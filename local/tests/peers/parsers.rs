//! The events that `msk-local` sends, read by the types that others have published for them.

use std::io::Write;
use std::process::{Command, Stdio};

use aws_lambda_events::kafka::KafkaEvent;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use msk_local::brokers::EmbeddedBrokers;
use serde_json::{Value, json};

use super::runtimes::Language;
use super::support::{Written, finished, msk_local, write};

const RECORDS: [Written<'static>; 4] = [
    // Behind it, those that every language reads.
    Written { key: Some(b"\xff\xfe"), value: Some(b"{}"), headers: &[("bytes", &[0, 127, 128, 255])] },
    Written {
        key: Some(b"customer-42"),
        value: Some(br#"{"order": 1001, "note": "\u{cee4}"}"#),
        headers: &[("traceparent", b"00-4bf9-00f0-01"), ("content-type", b"application/json")],
    },
    Written { key: Some("커피".as_bytes()), value: Some("{\"n\": \"커피 ☕\"}".as_bytes()), headers: &[] },
    Written { key: None, value: Some(br#"[1, 2, 3]"#), headers: &[("empty", b"")] },
];

/// The event that holds them, as the mapping would send it.
fn rendered(topic: &str, records: &[Written<'_>]) -> String {
    let brokers = EmbeddedBrokers::start(&[]).unwrap();
    write(&brokers, topic, records);
    let mut render = msk_local(&["esm", "render", "--topics", topic, "--function-name", "orders"]);
    let (lines, code) = finished("msk-local", render.args(["--bootstrap-servers", brokers.bootstrap_servers()]));
    assert_eq!((lines.len(), code), (1, 0), "{lines:?}");
    lines.concat()
}

fn base64(bytes: Option<&[u8]>) -> Value {
    bytes.map_or(Value::Null, |bytes| STANDARD.encode(bytes).into())
}

/// What a reader must have found.
fn expected(topic: &str, records: &[Written<'_>]) -> Value {
    let record = |(offset, written): (usize, &Written<'_>)| {
        let headers = written.headers.iter().map(|(name, value)| json!([name, base64(Some(value))]));
        json!({
            "topic": topic, "partition": 0, "offset": offset, "key": base64(written.key), "value": base64(written.value),
            "headers": headers.collect::<Vec<_>>(),
        })
    };
    records.iter().enumerate().map(record).collect()
}

/// What a program of another language finds in the event.
fn read_by(language: Language, event: &str) -> Value {
    let mut command: Command = language.parser();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut parser = command.spawn().unwrap();
    parser.stdin.take().unwrap().write_all(event.as_bytes()).unwrap();
    let output = parser.wait_with_output().unwrap();
    assert!(output.status.success(), "{language:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
#[ignore = "needs Powertools and aws-lambda-go; stage `peers` runs it"]
fn events_are_read_by_powertools_and_by_aws_lambda_go() {
    let topic = "a.b-c_d-1.x";
    let event = rendered(topic, &RECORDS);
    for language in [Language::Python, Language::Go] {
        assert_eq!(read_by(language, &event), expected(topic, &RECORDS), "{language:?}: {event}");
    }
    // AWS writes the bytes of headers with a sign, as in the sample that aws-lambda-go has; Powertools' schema for zod (2.35.0)
    // fails on negative ones.
    let plain = &RECORDS[1..];
    assert_eq!(read_by(Language::Node, &rendered("orders", plain)), expected("orders", plain));
}

/// A tombstone has no value, and the event no member for it.
#[test]
#[ignore = "needs aws-lambda-go; stage `peers` runs it"]
fn tombstones_are_read_by_aws_lambda_go() {
    let records = [Written { key: Some(b"customer-42"), ..Written::default() }];
    let found = read_by(Language::Go, &rendered("orders", &records));
    // Go's type has texts, which cannot be absent.
    assert_eq!((&found[0]["key"], &found[0]["value"]), (&base64(Some(b"customer-42")), &json!("")));
}

#[test]
fn events_are_read_by_the_crate_aws_lambda_events() {
    let topic = "a.b-c_d-1.x";
    let event: KafkaEvent = serde_json::from_str(&rendered(topic, &RECORDS)).unwrap();
    let [(partition, records)] = event.records.iter().collect::<Vec<_>>().try_into().unwrap();
    assert_eq!(partition, &format!("{topic}-0"));
    let records: Value = records
        .iter()
        .map(|record| {
            let headers = record.headers.iter().flatten();
            let headers = headers.map(|(name, value)| {
                let bytes: Vec<_> = value.iter().map(|byte| *byte as u8).collect();
                json!([name, base64(Some(&bytes))])
            });
            json!({
                "topic": record.topic, "partition": record.partition, "offset": record.offset, "key": record.key,
                "value": record.value, "headers": headers.collect::<Vec<_>>(),
            })
        })
        .collect();
    assert_eq!(records, expected(topic, &RECORDS));
}
