//! Every sample event of `events/` shows what its README says.

use std::collections::BTreeSet;

use msk_shared::event::{EventError, Message, MskEvent, Record, TimestampType};
use msk_shared::messages::{OrderPlaced, PaymentChanged};

use crate::sample;

fn read(name: &str) -> MskEvent {
    MskEvent::parse(sample(name)).unwrap()
}

fn records(event: &MskEvent) -> Vec<&Record> {
    event.records().collect()
}

/// The samples that the tests below use.
const USED: [&str; 13] = [
    "msk-cloudevents.json",
    "msk-empty.json",
    "msk-headers.json",
    "msk-no-timestamp.json",
    "msk-not-an-msk-event.json",
    "msk-null-key.json",
    "msk-poison.json",
    "msk-redelivered.json",
    "msk-schema-registry.json",
    "msk-self-managed.json",
    "msk-several-partitions.json",
    "msk-tombstone.json",
    "msk-undecodable.json",
];

#[test]
fn every_sample_is_used_and_described() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../events");
    let names = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let found: BTreeSet<String> = names.filter(|name| name.starts_with("msk-") && name.ends_with(".json")).collect();
    assert_eq!(found, USED.map(str::to_owned).into());
    let readme = String::from_utf8(sample("README.md")).unwrap();
    for name in USED {
        assert!(readme.contains(&format!("`{name}`")), "{name} is not in events/README.md");
    }
}

#[test]
fn several_partitions() {
    let event = read("msk-several-partitions.json");
    let sizes: Vec<_> = event.partitions.iter().map(|group| (group.name.as_str(), group.records.len())).collect();
    assert_eq!(sizes, [("orders-0", 2), ("orders-1", 1), ("orders-2", 2)]);
    assert!(event.records().all(|record| record.json::<OrderPlaced>().is_ok()));
    let offsets: Vec<i64> = event.partitions[2].records.iter().flatten().map(Record::offset).collect();
    assert_eq!(offsets, [40, 43], "offsets may have gaps");
    assert_eq!(event.partitions[2].records[0].as_ref().unwrap().timestamp_type(), TimestampType::LogAppendTime);
}

#[test]
fn headers() {
    let event = read("msk-headers.json");
    let records = records(&event);
    let raw = [118, 220, 0, 127, 128, 255].as_slice();
    assert_eq!(records[0].header("raw"), Some(raw), "signed");
    assert_eq!(records[1].header("raw"), Some(raw), "unsigned");
    assert_eq!(records[0].header_text("note"), Some("안녕"));
    assert_eq!(records[1].headers().unwrap().iter().filter(|header| header.name == "tag").count(), 3);
    assert_eq!(records[2].headers().unwrap()[0].value, None);
    assert!(records[3].headers().unwrap().is_empty(), "missing");
    assert!(records[4].headers().unwrap().is_empty(), "null");
}

#[test]
fn null_key() {
    let event = read("msk-null-key.json");
    let keys: Vec<_> = event.records().map(|record| record.key().unwrap().map(|key| key.len())).collect();
    assert_eq!(keys, [None, None, Some(0)]);
}

#[test]
fn tombstone() {
    let event = read("msk-tombstone.json");
    assert_eq!(event.records().map(Record::is_tombstone).collect::<Vec<_>>(), [true, true, false]);
}

#[test]
fn no_timestamp() {
    let event = read("msk-no-timestamp.json");
    assert!(event.records().all(|record| record.timestamp_ms().is_none() && record.json::<OrderPlaced>().is_ok()));
    assert_eq!(event.len(), 2);
}

#[test]
fn poison() {
    let event = read("msk-poison.json");
    let good: Vec<bool> = event.records().map(|record| record.message().is_ok()).collect();
    assert_eq!(good, [true, false, true, true]);
}

#[test]
fn undecodable() {
    let event = read("msk-undecodable.json");
    let reasons: Vec<String> = event.records().map(|record| record.message().unwrap_err().to_string()).collect();
    let expected = [
        "base64",
        "not JSON",
        "not JSON",
        "base64 string or null",
        "headers must be",
        "`source` is missing",
        "not JSON",
    ];
    assert_eq!(reasons.len(), expected.len());
    for (reason, expected) in reasons.iter().zip(expected) {
        assert!(reason.contains(expected), "{reason}: {expected}");
    }
}

#[test]
fn schema_registry() {
    let event = read("msk-schema-registry.json");
    let records = records(&event);
    assert_eq!(records[0].key_schema().unwrap().data_format, "JSON");
    assert_eq!(records[0].value_schema().unwrap().schema_id.len(), 36, "a UUID: AWS Glue");
    assert_eq!(records[1].value_schema().unwrap().schema_id, "7", "a number: Confluent");
    assert!(records.iter().all(|record| record.json::<OrderPlaced>().is_ok()), "the third has the wire prefix");
}

#[test]
fn cloudevents() {
    let event = read("msk-cloudevents.json");
    let kinds = event.records().map(|record| match record.message() {
        Ok(Message::CloudEvent(event)) => (event.kind, event.data.is_some()),
        other => panic!("{other:?}"),
    });
    let placed = "com.example.order.placed".to_owned();
    let expected = [(placed.clone(), true), (placed, true), ("com.example.photo.added".to_owned(), false)];
    assert_eq!(kinds.collect::<Vec<_>>(), expected);
}

#[test]
fn empty() {
    assert!(read("msk-empty.json").is_empty());
}

#[test]
fn self_managed() {
    let event = read("msk-self-managed.json");
    assert_eq!(event.event_source.as_deref(), Some("SelfManagedKafka"));
    assert!(event.records().all(|record| record.json::<PaymentChanged>().is_ok()));
}

#[test]
fn redelivered() {
    let event = read("msk-redelivered.json");
    let keys: Vec<_> = event.records().map(|record| record.header_text("idempotency-key").unwrap()).collect();
    assert_eq!(keys, ["k-1/0", "k-1/0", "k-1/1"]);
}

#[test]
fn not_an_msk_event() {
    assert!(matches!(MskEvent::parse(sample("msk-not-an-msk-event.json")), Err(EventError::NotMsk(_))));
}
