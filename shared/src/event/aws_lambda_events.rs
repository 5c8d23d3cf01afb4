//! Conversion from the event type of the crate `aws_lambda_events`, for code that already uses it.

use aws_lambda_events::kafka::{KafkaEvent, KafkaRecord};
use bytes::Bytes;

use super::encoding::decode_base64;
use super::msk_event::{MskEvent, PartitionRecords};
use super::record::{BrokenRecord, Field, Record, TimestampType};
use crate::header::Header;

/// The groups are sorted by name: that type keeps neither their order nor schema metadata.
impl From<KafkaEvent> for MskEvent {
    fn from(event: KafkaEvent) -> Self {
        let mut partitions: Vec<PartitionRecords> = event
            .records
            .into_iter()
            .map(|(name, records)| {
                let records = records.into_iter().map(|record| from_record(&name, record)).collect();
                PartitionRecords { name, records }
            })
            .collect();
        partitions.sort_by(|a, b| a.name.cmp(&b.name));
        Self {
            event_source: event.event_source,
            event_source_arn: event.event_source_arn,
            bootstrap_servers: event.bootstrap_servers,
            partitions,
        }
    }
}

fn from_record(group: &str, record: KafkaRecord) -> Result<Record, BrokenRecord> {
    let topic = record.topic.or_else(|| group.rsplit_once('-').map(|(topic, _)| topic.to_owned()));
    let headers = record.headers.into_iter().flatten().map(|(name, bytes)| Header {
        name,
        value: Some(bytes.into_iter().map(i8::cast_unsigned).collect::<Vec<u8>>().into()),
    });
    let kind = match record.timestamp_type.as_deref() {
        Some("LOG_APPEND_TIME") => TimestampType::LogAppendTime,
        _ => TimestampType::CreateTime,
    };
    let mut converted =
        Record::empty(()).with_timestamp(record.timestamp.timestamp_millis(), kind).with_headers(headers);
    converted.key = field(record.key);
    converted.value = field(record.value);
    converted.named(topic.map(Into::into), i32::try_from(record.partition).ok(), Some(record.offset))
}

fn field(text: Option<String>) -> Field {
    match text {
        None => Field::Null,
        Some(text) => decode_base64(text.as_bytes()).map_or_else(
            |_| {
                // A field contains what is between the quotes of a JSON string.
                let json = Bytes::from(serde_json::Value::from(text).to_string());
                Field::Base64(json.slice(1..json.len() - 1))
            },
            |bytes| Field::Raw(bytes.into()),
        ),
    }
}
