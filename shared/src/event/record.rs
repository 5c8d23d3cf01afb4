//! One record of the event.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::encoding::{FieldError, base64_problem, decode_base64, decode_headers};
use super::record_id::{BrokenId, RecordFault, RecordId};
use crate::header::Header;

/// A record as the mapping delivers it. Key, value and headers are decoded on demand, so a fault in one of them
/// affects that record only. A [`BrokenRecord`] differs only in its coordinates.
///
/// ```
/// use msk_shared::event::{Header, Record};
///
/// let header = Header { name: "source".into(), value: Some("web".into()) };
/// let record = Record::new("orders", 2, 40).with_key(Some("c-17")).with_value(Some(r#"{"id": 1}"#)).with_headers([header]);
/// assert_eq!(record.id().to_string(), "orders-2@40");
/// assert_eq!(record.key().unwrap().as_deref(), Some(&b"c-17"[..]));
/// assert_eq!(record.header_text("source"), Some("web"));
/// assert!(!record.is_tombstone() && Record::new("orders", 2, 41).is_tombstone());
/// ```
#[derive(Clone)]
pub struct Record<C = RecordId> {
    pub(super) id: C,
    pub(super) timestamp: Option<i64>,
    pub(super) timestamp_type: TimestampType,
    pub(super) key: Field,
    pub(super) value: Field,
    pub(super) headers: Headers,
    pub(super) key_schema: Option<Box<SchemaMetadata>>,
    pub(super) value_schema: Option<Box<SchemaMetadata>>,
}

/// A record that cannot be identified in a batch response. AWS is not known to send any; the rest of the event is unaffected.
pub type BrokenRecord = Record<BrokenId>;

/// How a key or value appears in the event.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) enum Field {
    /// The member is null or absent: no key, or a tombstone.
    #[default]
    Null,
    /// Base64 text as received: what is between the quotes of the event's JSON string.
    Base64(Bytes),
    /// Bytes as stored in Kafka: the record was built, not parsed.
    Raw(Bytes),
    /// JSON other than a string or null, as received.
    Odd(Bytes),
}

/// The headers, parsed on first use.
#[derive(Clone, Default)]
pub(super) struct Headers {
    /// JSON text as received; empty if the record was built or has no headers.
    pub(super) text: Bytes,
    pub(super) parsed: OnceLock<Result<Vec<Header>, FieldError>>,
}

/// What a record's timestamp means.
///
/// ```
/// use msk_shared::event::{Record, TimestampType};
///
/// let record = Record::new("orders", 0, 7);
/// assert_eq!(record.timestamp_type(), TimestampType::NoTimestamp);
/// let record = record.with_timestamp(1_767_323_045_000, TimestampType::LogAppendTime);
/// assert_eq!((record.timestamp_ms(), record.timestamp_type().name()), (Some(1_767_323_045_000), "LOG_APPEND_TIME"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimestampType {
    /// Set by the producer.
    #[default]
    CreateTime,
    /// Set by the broker.
    LogAppendTime,
    /// The record has no timestamp.
    NoTimestamp,
}

/// A schema registry's metadata for a key or value, if the mapping uses a registry.
///
/// ```
/// use msk_shared::event::{Record, SchemaMetadata};
///
/// let schema = SchemaMetadata { data_format: "AVRO".to_owned(), schema_id: "7".to_owned() };
/// let record = Record::new("orders", 0, 7).with_schemas(None, Some(schema));
/// assert!(record.key_schema().is_none());
/// assert_eq!(record.value_schema().unwrap().data_format, "AVRO");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaMetadata {
    /// `JSON`, `AVRO` or `PROTOBUF`.
    pub data_format: String,
    /// A UUID for AWS Glue, a number for Confluent.
    pub schema_id: String,
}

impl Record {
    /// A record without a key, value, headers or timestamp; the `with_` methods add them.
    pub fn new(topic: impl Into<Arc<str>>, partition: i32, offset: i64) -> Self {
        Self::empty(RecordId { topic: topic.into(), partition, offset })
    }

    /// The topic, from the record or from the name of its group.
    pub fn topic(&self) -> &str {
        &self.id.topic
    }

    /// 0 or more.
    pub fn partition(&self) -> i32 {
        self.id.partition
    }

    /// 0 or more, within the partition.
    pub fn offset(&self) -> i64 {
        self.id.offset
    }

    /// The record's identity.
    pub fn id(&self) -> RecordId {
        self.id.clone()
    }

    /// Whether the record deletes its key: its value is null or absent. An empty value is not a tombstone.
    pub fn is_tombstone(&self) -> bool {
        matches!(self.value, Field::Null)
    }
}

impl BrokenRecord {
    /// The known coordinates, and what is wrong with them.
    pub fn id(&self) -> &BrokenId {
        &self.id
    }
}

impl Record<()> {
    /// Gives a record its identity, if its coordinates are complete.
    pub(super) fn named(
        self,
        topic: Option<Arc<str>>,
        partition: Option<i32>,
        offset: Option<i64>,
    ) -> Result<Record, BrokenRecord> {
        let topic = topic.filter(|topic| !topic.is_empty());
        let partition = partition.filter(|partition| *partition >= 0);
        let offset = offset.filter(|offset| *offset >= 0);
        let (topic, fault) = match (topic, partition, offset) {
            (Some(topic), Some(partition), Some(offset)) => {
                return Ok(self.with_id(RecordId { topic, partition, offset }));
            }
            (None, ..) => (None, RecordFault::Topic),
            (topic, None, _) => (topic, RecordFault::Partition),
            (topic, _, None) => (topic, RecordFault::Offset),
        };
        Err(self.with_id(BrokenId { topic, partition, offset, fault }))
    }

    fn with_id<C>(self, id: C) -> Record<C> {
        let Self { id: (), timestamp, timestamp_type, key, value, headers, key_schema, value_schema } = self;
        Record { id, timestamp, timestamp_type, key, value, headers, key_schema, value_schema }
    }
}

impl<C> Record<C> {
    pub(super) fn empty(id: C) -> Self {
        Self {
            id,
            timestamp: None,
            timestamp_type: TimestampType::NoTimestamp,
            key: Field::Null,
            value: Field::Null,
            headers: Headers::default(),
            key_schema: None,
            value_schema: None,
        }
    }

    /// With a key; `None` means no key, empty bytes are an empty key.
    #[must_use]
    pub fn with_key(mut self, key: Option<impl Into<Bytes>>) -> Self {
        self.key = key.map_or(Field::Null, |bytes| Field::Raw(bytes.into()));
        self
    }

    /// With a value; `None` is a tombstone, empty bytes are an empty value.
    #[must_use]
    pub fn with_value(mut self, value: Option<impl Into<Bytes>>) -> Self {
        self.value = value.map_or(Field::Null, |bytes| Field::Raw(bytes.into()));
        self
    }

    /// With a timestamp in milliseconds since the Unix epoch; a negative one means no timestamp.
    #[must_use]
    pub fn with_timestamp(mut self, timestamp_ms: i64, kind: TimestampType) -> Self {
        self.timestamp = (timestamp_ms >= 0).then_some(timestamp_ms);
        self.timestamp_type = if timestamp_ms >= 0 { kind } else { TimestampType::NoTimestamp };
        self
    }

    /// With headers, in order.
    #[must_use]
    pub fn with_headers(mut self, headers: impl IntoIterator<Item = Header>) -> Self {
        self.headers =
            Headers { text: Bytes::new(), parsed: OnceLock::from(Ok(headers.into_iter().collect::<Vec<_>>())) };
        self
    }

    /// With a schema registry's metadata for key and value.
    #[must_use]
    pub fn with_schemas(mut self, key: Option<SchemaMetadata>, value: Option<SchemaMetadata>) -> Self {
        self.key_schema = key.map(Box::new);
        self.value_schema = value.map(Box::new);
        self
    }

    /// The timestamp in milliseconds since the Unix epoch; `None` if Kafka has none (-1) or the event omits it.
    pub fn timestamp_ms(&self) -> Option<i64> {
        self.timestamp
    }

    /// What the timestamp means.
    pub fn timestamp_type(&self) -> TimestampType {
        self.timestamp_type
    }

    /// The key's bytes, decoded by this call; `None` means no key.
    ///
    /// # Errors
    /// [`FieldError`] if the event's text is not base64.
    pub fn key(&self) -> Result<Option<Cow<'_, [u8]>>, FieldError> {
        self.key.decode("key")
    }

    /// The value's bytes, decoded by this call; `None` means a tombstone.
    ///
    /// # Errors
    /// [`FieldError`] if the event's text is not base64.
    pub fn value(&self) -> Result<Option<Cow<'_, [u8]>>, FieldError> {
        self.value.decode("value")
    }

    /// The key as it is in the event: base64 text, or the raw bytes of a built record. Equal keys have equal text;
    /// this allows grouping without decoding.
    pub fn key_as_received(&self) -> Option<&[u8]> {
        self.key.as_received()
    }

    /// The value as it is in the event, so that a value that cannot be decoded can be kept.
    pub fn value_as_received(&self) -> Option<&[u8]> {
        self.value.as_received()
    }

    /// The JSON text of the headers as it is in the event; `None` if there are none or the record was built.
    pub fn headers_as_received(&self) -> Option<&[u8]> {
        (!self.headers.text.is_empty()).then_some(&*self.headers.text)
    }

    /// All headers in order.
    ///
    /// # Errors
    /// [`FieldError::Headers`] if the event's headers have a different structure.
    pub fn headers(&self) -> Result<&[Header], &FieldError> {
        if self.headers.text.is_empty() && self.headers.parsed.get().is_none() {
            return Ok(&[]);
        }
        self.headers.parsed.get_or_init(|| decode_headers(&self.headers.text)).as_deref()
    }

    /// The value of the last header with that name (Kafka's `Headers.lastHeader`); `None` if there is none,
    /// if it is null, or if the headers cannot be decoded.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers().ok()?.iter().rev().find(|header| header.name == name)?.value.as_deref()
    }

    /// [`Record::header`] as text; `None` also if it is not UTF-8.
    pub fn header_text(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.header(name)?).ok()
    }

    /// The schema registry's metadata for the key.
    pub fn key_schema(&self) -> Option<&SchemaMetadata> {
        self.key_schema.as_deref()
    }

    /// The schema registry's metadata for the value.
    pub fn value_schema(&self) -> Option<&SchemaMetadata> {
        self.value_schema.as_deref()
    }
}

impl Field {
    fn decode(&self, field: &'static str) -> Result<Option<Cow<'_, [u8]>>, FieldError> {
        match self {
            Self::Null => Ok(None),
            Self::Raw(bytes) => Ok(Some(Cow::Borrowed(bytes))),
            Self::Base64(text) => decode_base64(text)
                .map(|bytes| Some(Cow::Owned(bytes)))
                .map_err(|error| FieldError::Base64 { field, reason: base64_problem(error) }),
            Self::Odd(_) => Err(FieldError::NotText { field }),
        }
    }

    fn as_received(&self) -> Option<&[u8]> {
        match self {
            Self::Null => None,
            Self::Base64(bytes) | Self::Raw(bytes) | Self::Odd(bytes) => Some(bytes),
        }
    }
}

impl TimestampType {
    /// The name that Kafka and AWS use.
    pub fn name(self) -> &'static str {
        match self {
            Self::CreateTime => "CREATE_TIME",
            Self::LogAppendTime => "LOG_APPEND_TIME",
            Self::NoTimestamp => "NO_TIMESTAMP_TYPE",
        }
    }
}

/// Coordinates only: a record's content must not reach a log through `{:?}`.
impl<C: fmt::Display> fmt::Debug for Record<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Record({})", self.id)
    }
}

/// Equal if coordinates, timestamp, and the decoded key, value and headers are equal.
impl<C: PartialEq> PartialEq for Record<C> {
    fn eq(&self, other: &Self) -> bool {
        let same_field =
            |a: &Field, b: &Field| a == b || matches!((a.decode(""), b.decode("")), (Ok(a), Ok(b)) if a == b);
        self.id == other.id
            && (self.timestamp, self.timestamp_type) == (other.timestamp, other.timestamp_type)
            && same_field(&self.key, &other.key)
            && same_field(&self.value, &other.value)
            && self.headers() == other.headers()
            && (&self.key_schema, &self.value_schema) == (&other.key_schema, &other.value_schema)
    }
}
