//! Arbitrary and damaged bodies in the formats other than Kafka REST v2's: nothing panics, nothing is a 5xx, and what is
//! accepted is what was sent.

use msk_shared::event::{CloudEventMode, Header, Record};
use msk_shared::kafka::OutboundRecord;
use proptest::prelude::*;
use proptest::sample::select;

use crate::arbitrary::{damage, damaged, json_text, judge, like, router, run};
use crate::calls::Call;
use crate::cloud_events::{BATCH, STRUCTURED};
use crate::formats::{BYTES, NDJSON, PLAIN};

fn lines() -> impl Strategy<Value = String> {
    let line = prop_oneof![4 => json_text(), 1 => select(vec!["", " ", "\r", "{", "1 2", "\u{feff}1"]).prop_map(str::to_owned)];
    (prop::collection::vec(line, 0..6), select(vec!["\n", "\r\n", "\n\n"])).prop_map(|(lines, end)| lines.join(end))
}

#[test]
fn arbitrary_ndjson() {
    let (publisher, router) = router();
    run("NDJSON", 12_000, (lines(), damage()), |runtime, (body, damage), shares| {
        publisher.clear();
        let body = damaged(body.into_bytes(), &damage);
        let answer = runtime.block_on(Call::post("/topics/orders", NDJSON, body.clone()).send(&router));
        shares.note(Some(&answer));
        judge(&answer)?;
        let records = publisher.records();
        if answer.status != 200 {
            prop_assert!(records.is_empty(), "a 4xx means that nothing was written");
            return Ok(());
        }
        // What is accepted is what another JSON reader sees in each line.
        let text = String::from_utf8(body).unwrap();
        let lines: Vec<&str> =
            text.lines().map(|l| l.trim_matches([' ', '\t', '\r'])).filter(|l| !l.is_empty()).collect();
        prop_assert_eq!(lines.len(), records.len());
        for (line, record) in lines.iter().zip(&records) {
            let sent: serde_json::Value = serde_json::from_str(line.trim_start_matches('\u{feff}')).unwrap();
            let stored = record.value.as_ref().map(|value| serde_json::from_slice(value).unwrap());
            prop_assert_eq!(stored, (!sent.is_null()).then_some(sent));
        }
        Ok(())
    });
}

#[test]
fn arbitrary_raw_bodies() {
    let (publisher, router) = router();
    let body = prop_oneof![prop::collection::vec(any::<u8>(), 0..40), like("\\PC{0,20}").prop_map(String::into_bytes)];
    let name = select(vec!["kafka-key", "kafka-partition", "kafka-timestamp", "kafka-header-a"]);
    let header = (name, prop_oneof![like("[0-9]{0,3}"), like("[ -~]{0,12}")]);
    let case = (select(vec![BYTES, PLAIN]), body, header);
    run("raw bodies", 6_000, case, |runtime, (media, body, (name, value)), shares| {
        publisher.clear();
        let call = Call::post("/topics/orders", media, body.clone()).header(name, value.trim());
        let answer = runtime.block_on(call.send(&router));
        shares.note(Some(&answer));
        judge(&answer)?;
        let stored: Vec<_> = publisher.records().iter().map(|record| record.value.clone()).collect();
        let sent = if answer.status == 200 { vec![Some(body.into())] } else { Vec::new() };
        prop_assert_eq!(stored, sent);
        Ok(())
    });
}

/// An attribute's name and its value in JSON, mostly right.
fn attribute() -> impl Strategy<Value = (String, String)> {
    let name = select(vec![
        "id",
        "source",
        "type",
        "specversion",
        "time",
        "subject",
        "partitionkey",
        "datacontenttype",
        "data",
        "data_base64",
        "dataschema",
        "ext",
    ]);
    let value = select(vec![
        "\"1\"",
        "\"1.0\"",
        "\"/s\"",
        "\"2018-04-05T17:31:00Z\"",
        "\"AA==\"",
        "\"\"",
        "null",
        "7",
        "true",
        "\"a\\u0001\"",
    ]);
    prop_oneof![
        4 => (name, value).prop_map(|(name, value)| (name.to_owned(), value.to_owned())),
        1 => (like("[a-zA-Z0-9_-]{1,6}"), json_text()),
    ]
}

fn event() -> impl Strategy<Value = String> {
    let least = r#""specversion":"1.0","id":"1","source":"/s","type":"t""#;
    let start = prop_oneof![4 => Just(least), 1 => Just(r#""specversion":"1.0""#), 1 => Just("")];
    (start, prop::collection::vec(attribute(), 0..3)).prop_map(|(start, attributes)| {
        let members = attributes.into_iter().map(|(name, value)| format!("\"{name}\" : {value}"));
        let all: Vec<String> = Some(start.to_owned()).filter(|s| !s.is_empty()).into_iter().chain(members).collect();
        format!("{{{}}}", all.join(", "))
    })
}

/// What is accepted as an event, the consumer reads as one.
fn check_event(sent: &OutboundRecord, mode: CloudEventMode) -> Result<(), TestCaseError> {
    let headers = sent.headers.iter().map(|h| Header { name: h.name.clone(), value: h.value.clone() });
    let record = Record::new("orders", 0, 1).with_value(sent.value.clone()).with_headers(headers);
    let read = record.cloud_event().map_err(|error| TestCaseError::fail(format!("{error}: {sent:?}")))?;
    prop_assert_eq!(read.mode, mode);
    Ok(())
}

#[test]
fn arbitrary_events_in_json() {
    let (publisher, router) = router();
    let batch = prop::collection::vec(event(), 0..4).prop_map(|events| (BATCH, format!("[{}]", events.join(","))));
    let body = prop_oneof![event().prop_map(|event| (STRUCTURED, event)), batch];
    run("CloudEvents in JSON", 12_000, (body, damage()), |runtime, ((media, body), damage), shares| {
        publisher.clear();
        let body = damaged(body.into_bytes(), &damage);
        let answer = runtime.block_on(Call::post("/topics/orders", media, body).send(&router));
        shares.note(Some(&answer));
        judge(&answer)?;
        publisher.records().iter().try_for_each(|record| check_event(record, CloudEventMode::Structured))
    });
}

#[test]
fn arbitrary_binary_events() {
    let (publisher, router) = router();
    let name = select(vec![
        "ce-id",
        "ce-time",
        "ce-subject",
        "ce-partitionkey",
        "ce-ext",
        "ce-e_x",
        "ce-data",
        "content-type",
    ]);
    let value = prop_oneof![
        select(vec!["1", "2018-04-05T17:31:00Z", "%E2%82%AC", "%C0%A0", "\"a\\\"b\"", "\"", "application/json", "%"])
            .prop_map(str::to_owned),
        like("[ -~]{0,12}"),
    ];
    let headers = prop::collection::vec((name, value), 0..4);
    let body = prop_oneof![json_text().prop_map(String::into_bytes), prop::collection::vec(any::<u8>(), 0..20)];
    run("binary CloudEvents", 12_000, (headers, body), |runtime, (headers, body), shares| {
        publisher.clear();
        let mut call = Call::new("POST", "/topics/orders").body(body.clone());
        for (name, value) in [("ce-specversion", "1.0"), ("ce-source", "/s"), ("ce-type", "t")] {
            call = call.header(name, value);
        }
        if !headers.iter().any(|(name, _)| *name == "ce-id") {
            call = call.header("ce-id", "1");
        }
        for (name, value) in headers {
            call = call.header(name, value.trim());
        }
        let answer = runtime.block_on(call.send(&router));
        shares.note(Some(&answer));
        judge(&answer)?;
        for record in publisher.records() {
            prop_assert_eq!(record.value.clone(), (!body.is_empty()).then_some(body.clone().into()));
            // Not said to be JSON, data may be anything; the consumer then reads the attributes alone.
            check_event(&record, CloudEventMode::Binary)?;
        }
        Ok(())
    });
}
