//! Parses one record of a group: an object, or whatever is in its place.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::members::{field, member_name, number, plain_text, schema, text, timestamp_type, unparsed_headers};
use crate::event::record::{BrokenRecord, Field, Record, TimestampType};
use crate::event::record_id::{BrokenId, RecordFault};

/// Reads one element of a group.
#[derive(Clone)]
pub(super) struct RecordSeed<'s> {
    pub(super) source: &'s Bytes,
    /// The group's topic, for a record that has none.
    pub(super) topic: Option<Arc<str>>,
    /// The group's partition, for a record that has none.
    pub(super) partition: Option<i32>,
}

/// A record, or what could be read of it.
type Element = Result<Record, BrokenRecord>;

seed!(RecordSeed => Element);

impl RecordSeed<'_> {
    /// Keeps the JSON (serialised again: the parser gives values, not text) as the value, so that a dead letter has everything.
    fn not_an_object(self, json: impl Into<Bytes>) -> Element {
        let Self { topic, partition, .. } = self;
        let id = BrokenId { topic, partition, offset: None, fault: RecordFault::NotAnObject };
        Err(BrokenRecord { value: Field::Odd(json.into()), ..BrokenRecord::empty(id) })
    }
}

/// Implements the visits of scalars in the place of a record.
macro_rules! scalar_records {
    ($($visit:ident($scalar:ty))*) => {$(
        fn $visit<E>(self, scalar: $scalar) -> Result<Element, E> {
            Ok(self.not_an_object(serde_json::json!(scalar).to_string()))
        }
    )*};
}

impl<'de> Visitor<'de> for RecordSeed<'_> {
    type Value = Element;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record")
    }

    scalar_records!(visit_bool(bool) visit_i64(i64) visit_u64(u64) visit_f64(f64) visit_str(&str));

    fn visit_unit<E>(self) -> Result<Element, E> {
        Ok(self.not_an_object("null"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Element, A::Error> {
        let mut json = String::from("[");
        while let Some(item) = items.next_element::<&'de RawValue>()? {
            if json.len() > 1 {
                json.push(',');
            }
            json.push_str(item.get());
        }
        json.push(']');
        Ok(self.not_an_object(json))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Element, A::Error> {
        let Self { source, mut topic, mut partition } = self;
        let mut offset = None;
        let mut record = Record::empty(());
        while let Some(name) = members.next_key::<RecordMember>()? {
            if name == RecordMember::Other {
                members.next_value::<IgnoredAny>()?;
                continue;
            }
            let raw = members.next_value::<&'de RawValue>()?;
            match name {
                RecordMember::Topic => match plain_text(raw) {
                    Some(own) if topic.as_deref() == Some(own) => {}
                    Some(own) => topic = Some(own.into()),
                    None => topic = text(raw).map(Into::into).or(topic),
                },
                RecordMember::Partition => partition = number(raw).and_then(|n| n.try_into().ok()).or(partition),
                RecordMember::Offset => offset = number(raw),
                RecordMember::Timestamp => record.timestamp = number(raw).filter(|ms| *ms >= 0),
                RecordMember::TimestampType => record.timestamp_type = timestamp_type(raw),
                RecordMember::Key => record.key = field(source, raw),
                RecordMember::Value => record.value = field(source, raw),
                RecordMember::Headers => record.headers = unparsed_headers(source, raw),
                RecordMember::KeySchema => record.key_schema = schema(raw),
                RecordMember::ValueSchema => record.value_schema = schema(raw),
                RecordMember::Other => {}
            }
        }
        if record.timestamp.is_none() {
            record.timestamp_type = TimestampType::NoTimestamp;
        } else if record.timestamp_type == TimestampType::NoTimestamp {
            record.timestamp_type = TimestampType::CreateTime;
        }
        Ok(record.named(topic, partition, offset))
    }
}

#[derive(PartialEq)]
enum RecordMember {
    Topic,
    Partition,
    Offset,
    Timestamp,
    TimestampType,
    Key,
    Value,
    Headers,
    KeySchema,
    ValueSchema,
    Other,
}

impl<'de> Deserialize<'de> for RecordMember {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        member_name(deserializer, |name| match name {
            "topic" => Self::Topic,
            "partition" => Self::Partition,
            "offset" => Self::Offset,
            "timestamp" => Self::Timestamp,
            "timestampType" => Self::TimestampType,
            "key" => Self::Key,
            "value" => Self::Value,
            "headers" => Self::Headers,
            "keySchemaMetadata" => Self::KeySchema,
            "valueSchemaMetadata" => Self::ValueSchema,
            _ => Self::Other,
        })
    }
}
