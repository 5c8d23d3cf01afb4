//! The events that Lambda's event source mapping makes from the records of an MSK topic.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

use crate::log_reader::StoredRecord;

/// The ARN of the cluster in the events.
const CLUSTER_ARN: &str =
    "arn:aws:kafka:eu-central-1:123456789012:cluster/msk-e2e/00000000-0000-0000-0000-000000000000-1";

/// One event with `records` of `topic`, in their order, grouped by partition as AWS groups them.
pub fn msk_event(topic: &str, records: &[StoredRecord]) -> Value {
    let mut groups: Map<String, Value> = Map::new();
    for record in records {
        let group = groups.entry(format!("{topic}-{}", record.partition)).or_insert_with(|| json!([]));
        if let Some(group) = group.as_array_mut() {
            group.push(record_json(topic, record));
        }
    }
    json!({
        "eventSource": "aws:kafka",
        "eventSourceArn": CLUSTER_ARN,
        "bootstrapServers": "b-1.msk-e2e.abcdef.c2.kafka.eu-central-1.amazonaws.com:9098",
        "records": groups,
    })
}

fn record_json(topic: &str, record: &StoredRecord) -> Value {
    let mut json = Map::new();
    json.insert("topic".to_owned(), topic.into());
    json.insert("partition".to_owned(), record.partition.into());
    json.insert("offset".to_owned(), record.offset.into());
    json.insert("timestamp".to_owned(), record.timestamp.unwrap_or(-1).into());
    json.insert("timestampType".to_owned(), "CREATE_TIME".into());
    // AWS omits an absent key or value.
    for (name, bytes) in [("key", &record.key), ("value", &record.value)] {
        if let Some(bytes) = bytes {
            json.insert(name.to_owned(), STANDARD.encode(bytes).into());
        }
    }
    let headers = record.headers.iter().map(|(name, value)| {
        // Java's bytes are signed, and AWS prints them that way.
        let bytes = value.as_ref().map(|value| value.iter().map(|&byte| byte.cast_signed()).collect::<Vec<i8>>());
        json!({ name: bytes })
    });
    json.insert("headers".to_owned(), headers.collect());
    Value::Object(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_grouped_and_encoded_as_aws_does() {
        let record = |partition, offset| StoredRecord {
            partition,
            offset,
            timestamp: Some(1_760_000_000_000),
            key: None,
            value: Some(b"{}".to_vec()),
            headers: vec![("h".to_owned(), Some(vec![0xc3, 0xab])), ("n".to_owned(), None)],
        };
        let event = msk_event("orders", &[record(1, 5), record(0, 7), record(1, 6)]);
        assert_eq!(event["eventSource"], "aws:kafka");
        let offsets: Vec<_> =
            event["records"]["orders-1"].as_array().into_iter().flatten().map(|r| &r["offset"]).collect();
        assert_eq!(offsets, [5, 6]);
        let first = &event["records"]["orders-0"][0];
        assert_eq!((&first["value"], first.get("key")), (&json!("e30="), None));
        assert_eq!(first["headers"], json!([{"h": [-61, -85]}, {"n": null}]));
    }
}
