//! Writes an event as AWS does: base64 with padding, header bytes as signed numbers (Java's `byte`).

use std::io::Write;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;

use super::record::Field;
use super::{Header, MskEvent, Record, SchemaMetadata};

/// How a null key or value is written. AWS does not document which of both it does.
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
                record.write_json(&mut out, style);
            }
            out.push(b']');
        }
        out.extend_from_slice(b"}}");
        out
    }
}

impl Record {
    /// Appends the record's JSON text, as it stands in an event's group. Its length is what the record adds to the
    /// event's payload, but for a comma.
    pub fn write_json(&self, out: &mut Vec<u8>, style: TombstoneStyle) {
        out.extend_from_slice(b"{\"topic\":");
        string(out, &self.topic);
        // Writing into a `Vec` cannot fail.
        let _ = write!(
            out,
            ",\"partition\":{},\"offset\":{},\"timestamp\":{},\"timestampType\":\"{}\"",
            self.partition,
            self.offset,
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
        Field::Raw(bytes) => base64(out, bytes),
        // As received, so that what cannot be decoded survives a round trip.
        Field::Base64(text) => {
            out.push(b'"');
            out.extend_from_slice(text);
            out.push(b'"');
        }
        Field::Odd(json) => out.extend_from_slice(json),
    }
}

fn write_headers(out: &mut Vec<u8>, headers: &[Header]) {
    out.push(b'[');
    for (index, header) in headers.iter().enumerate() {
        separate(out, index);
        out.push(b'{');
        string(out, &header.name);
        out.push(b':');
        match &header.value {
            None => out.extend_from_slice(b"null"),
            Some(bytes) => signed_bytes(out, bytes),
        }
        out.push(b'}');
    }
    out.push(b']');
}

fn signed_bytes(out: &mut Vec<u8>, bytes: &Bytes) {
    out.push(b'[');
    for (index, byte) in bytes.iter().enumerate() {
        separate(out, index);
        let _ = write!(out, "{}", byte.cast_signed());
    }
    out.push(b']');
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

fn base64(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    let start = out.len();
    // Four characters for every three bytes begun.
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    if let Ok(written) = BASE64_STANDARD.encode_slice(bytes, &mut out[start..]) {
        out.truncate(start + written);
    }
    out.push(b'"');
}

fn string(out: &mut Vec<u8>, text: &str) {
    // A string always serialises, and writing into a `Vec` cannot fail.
    let _ = serde_json::to_writer(out, text);
}

fn separate(out: &mut Vec<u8>, index: usize) {
    if index > 0 {
        out.push(b',');
    }
}
