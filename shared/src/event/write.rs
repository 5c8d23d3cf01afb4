//! Writes an event as AWS does.

use std::io::Write;

use super::encoding::{separate, string, write_base64, write_headers};
use super::msk_event::MskEvent;
use super::record::{Field, Record, SchemaMetadata};
use super::record_id::BrokenId;

/// How a null key or value is written. AWS does not document which of the two it uses.
///
/// ```
/// use msk_shared::event::{MskEvent, Record, TombstoneStyle};
///
/// let event = MskEvent::new([Record::new("orders", 0, 7)]);
/// let text = |style| String::from_utf8(event.to_json(style)).unwrap();
/// assert!(text(TombstoneStyle::Null).contains("\"value\":null"));
/// assert!(!text(TombstoneStyle::Omit).contains("\"value\""));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TombstoneStyle {
    /// The member is left out.
    #[default]
    Omit,
    /// The member is `null`.
    Null,
}

impl MskEvent {
    /// The event's JSON text.
    pub fn to_json(&self, style: TombstoneStyle) -> Vec<u8> {
        let mut out = Vec::with_capacity(256 + self.len() * 256);
        out.push(b'{');
        for (name, text) in [
            ("eventSource", &self.event_source),
            ("eventSourceArn", &self.event_source_arn),
            ("bootstrapServers", &self.bootstrap_servers),
        ] {
            if let Some(text) = text {
                string(&mut out, name);
                out.push(b':');
                string(&mut out, text);
                out.push(b',');
            }
        }
        out.extend_from_slice(b"\"records\":{");
        for (index, group) in self.partitions.iter().enumerate() {
            separate(&mut out, index);
            string(&mut out, &group.name);
            out.extend_from_slice(b":[");
            for (index, record) in group.records.iter().enumerate() {
                separate(&mut out, index);
                match record {
                    Ok(record) => record.write_json(&mut out, style),
                    Err(broken) => {
                        let BrokenId { topic, partition, offset, .. } = broken.id();
                        let coordinates = (topic.as_deref(), *partition, *offset);
                        broken.write(&mut out, coordinates, style);
                    }
                }
            }
            out.push(b']');
        }
        out.extend_from_slice(b"}}");
        out
    }
}

impl Record {
    /// Appends the record's JSON text, as it appears in a group of the event. Its length is what the record adds to the
    /// event's payload, apart from a comma.
    pub fn write_json(&self, out: &mut Vec<u8>, style: TombstoneStyle) {
        let coordinates = (Some(self.topic()), Some(self.partition()), Some(self.offset()));
        self.write(out, coordinates, style);
    }
}

impl<C> Record<C> {
    fn write(
        &self,
        out: &mut Vec<u8>,
        (topic, partition, offset): (Option<&str>, Option<i32>, Option<i64>),
        style: TombstoneStyle,
    ) {
        out.extend_from_slice(b"{\"topic\":");
        string(out, topic.unwrap_or_default());
        // Writing into a `Vec` cannot fail.
        let _ = write!(
            out,
            ",\"partition\":{},\"offset\":{},\"timestamp\":{},\"timestampType\":\"{}\"",
            partition.unwrap_or(-1),
            offset.unwrap_or(-1),
            self.timestamp.unwrap_or(-1),
            self.timestamp_type.name()
        );
        field(out, "key", &self.key, style);
        field(out, "value", &self.value, style);
        out.extend_from_slice(b",\"headers\":");
        match self.headers() {
            Ok(headers) => write_headers(out, headers),
            Err(_) => out.extend_from_slice(&self.headers.text),
        }
        schema(out, "keySchemaMetadata", self.key_schema());
        schema(out, "valueSchemaMetadata", self.value_schema());
        out.push(b'}');
    }
}

fn field(out: &mut Vec<u8>, name: &str, field: &Field, style: TombstoneStyle) {
    if matches!(field, Field::Null) && style == TombstoneStyle::Omit {
        return;
    }
    out.push(b',');
    string(out, name);
    out.push(b':');
    match field {
        Field::Null => out.extend_from_slice(b"null"),
        Field::Raw(bytes) => write_base64(out, bytes),
        // As received, so that what cannot be decoded survives a round trip.
        Field::Base64(text) => {
            out.push(b'"');
            out.extend_from_slice(text);
            out.push(b'"');
        }
        Field::Odd(json) => out.extend_from_slice(json),
    }
}

fn schema(out: &mut Vec<u8>, name: &str, metadata: Option<&SchemaMetadata>) {
    if let Some(metadata) = metadata {
        out.push(b',');
        string(out, name);
        out.extend_from_slice(b":{\"dataFormat\":");
        string(out, &metadata.data_format);
        out.extend_from_slice(b",\"schemaId\":");
        string(out, &metadata.schema_id);
        out.push(b'}');
    }
}
