//! One record of the event.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::encoding;
use crate::header::Header;

/// A record as the mapping delivers it. Key, value and headers are decoded when asked for, so a fault in one of them
/// is that record's and no other's.
#[derive(Clone)]
pub struct Record {
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) timestamp: Option<i64>,
    pub(super) timestamp_type: TimestampType,
    pub(super) key: Field,
    pub(super) value: Field,
    pub(super) headers: Headers,
    pub(super) key_schema: Option<Box<SchemaMetadata>>,
    pub(super) value_schema: Option<Box<SchemaMetadata>>,
    pub(super) fault: Option<RecordFault>,
}

/// What a key or value is in the event.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) enum Field {
    /// The member is null or not there: no key, or a tombstone.
    #[default]
    Null,
    /// Base64 text as received: what stands between the quotes of the event's JSON string.
    Base64(Bytes),
    /// Bytes as Kafka holds them: the record was built, not parsed.
    Raw(Bytes),
    /// Some other JSON than text or null, as received.
    Odd(Bytes),
}

/// The headers, parsed at their first use.
#[derive(Clone, Default)]
pub(super) struct Headers {
    /// JSON text as received; empty when the record was built or has none.
    pub(super) text: Bytes,
    pub(super) parsed: OnceLock<Result<Vec<Header>, FieldError>>,
}

/// What a record's timestamp means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimestampType {
    /// Set by the producer.
    #[default]
    CreateTime,
    /// Set by the broker.
    LogAppendTime,
    /// There is none.
    NoTimestamp,
}

/// What a schema registry said about a key or value, when the mapping uses one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaMetadata {
    /// `JSON`, `AVRO` or `PROTOBUF`.
    pub data_format: String,
    /// A UUID for AWS Glue, a number for Confluent.
    pub schema_id: String,
}

/// The name of a record in logs and in the batch response, displayed as `topic-partition@offset`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition.
    pub partition: i32,
    /// Offset within the partition.
    pub offset: i64,
}

/// Why a record cannot be named in a batch response. Never seen from AWS; the rest of the event is unaffected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordFault {
    /// The record is no JSON object.
    #[error("the record is not a JSON object")]
    NotAnObject,
    /// No topic in the record nor in its group's name.
    #[error("the record has no topic")]
    Topic,
    /// No partition in the record nor in its group's name.
    #[error("the record has no valid partition")]
    Partition,
    /// No offset.
    #[error("the record has no valid offset")]
    Offset,
}

/// Why a key, a value or the headers cannot be read. Never holds their content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// The text is not base64.
    #[error("the {field} is not base64: {reason}")]
    Base64 {
        /// `key` or `value`.
        field: &'static str,
        /// What is wrong, with its position.
        reason: String,
    },
    /// Not text.
    #[error("the {field} must be base64 text or null, and is other JSON")]
    NotText {
        /// `key` or `value`.
        field: &'static str,
    },
    /// The headers are not a list of `{name: [bytes]}`.
    #[error("the headers must be a list of {{\"name\": [bytes from -128 to 255]}}: {0}")]
    Headers(String),
}

impl Record {
    /// A record without key, value, headers and timestamp; the `with_` methods add them.
    pub fn new(topic: impl Into<Arc<str>>, partition: i32, offset: i64) -> Self {
        Self {
            topic: topic.into(),
            partition,
            offset,
            timestamp: None,
            timestamp_type: TimestampType::NoTimestamp,
            key: Field::Null,
            value: Field::Null,
            headers: Headers::default(),
            key_schema: None,
            value_schema: None,
            fault: None,
        }
    }

    /// With a key; `None` is no key, empty bytes are an empty one.
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

    /// With a timestamp in milliseconds since the epoch; a negative one is none.
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

    /// With what a schema registry says about key and value.
    #[must_use]
    pub fn with_schemas(mut self, key: Option<SchemaMetadata>, value: Option<SchemaMetadata>) -> Self {
        self.key_schema = key.map(Box::new);
        self.value_schema = value.map(Box::new);
        self
    }

    /// Topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Partition.
    pub fn partition(&self) -> i32 {
        self.partition
    }

    /// Offset within the partition; -1 when [`Record::fault`] says that there is none.
    pub fn offset(&self) -> i64 {
        self.offset
    }

    /// Milliseconds since the epoch; `None` when Kafka has none (-1) or the event leaves it out.
    pub fn timestamp_ms(&self) -> Option<i64> {
        self.timestamp
    }

    /// What the timestamp means.
    pub fn timestamp_type(&self) -> TimestampType {
        self.timestamp_type
    }

    /// The record's name.
    pub fn id(&self) -> RecordId {
        RecordId { topic: Arc::clone(&self.topic), partition: self.partition, offset: self.offset }
    }

    /// What keeps this record from being named in a batch response, if anything.
    pub fn fault(&self) -> Option<RecordFault> {
        self.fault
    }

    /// The key's bytes, decoded now; `None` is no key.
    ///
    /// # Errors
    /// [`FieldError`] when the event's text is not base64.
    pub fn key(&self) -> Result<Option<Cow<'_, [u8]>>, FieldError> {
        self.key.decode("key")
    }

    /// The value's bytes, decoded now; `None` is a tombstone.
    ///
    /// # Errors
    /// [`FieldError`] when the event's text is not base64.
    pub fn value(&self) -> Result<Option<Cow<'_, [u8]>>, FieldError> {
        self.value.decode("value")
    }

    /// The key as the event has it: base64 text, or the raw bytes of a built record. Equal keys have equal texts;
    /// for grouping without decoding.
    pub fn key_as_received(&self) -> Option<&[u8]> {
        self.key.as_received()
    }

    /// The value as the event has it, for keeping what cannot be decoded.
    pub fn value_as_received(&self) -> Option<&[u8]> {
        self.value.as_received()
    }

    /// The headers' JSON text as the event has it; `None` when there are none or the record was built.
    pub fn headers_as_received(&self) -> Option<&[u8]> {
        (!self.headers.text.is_empty()).then_some(&*self.headers.text)
    }

    /// Whether the record deletes its key: its value is null or absent. An empty value is no tombstone.
    pub fn is_tombstone(&self) -> bool {
        matches!(self.value, Field::Null) && self.fault.is_none()
    }

    /// All headers in order.
    ///
    /// # Errors
    /// [`FieldError::Headers`] when the event's headers have another shape.
    pub fn headers(&self) -> Result<&[Header], &FieldError> {
        if self.headers.text.is_empty() && self.headers.parsed.get().is_none() {
            return Ok(&[]);
        }
        let parse = || {
            encoding::headers(&self.headers.text)
                .map_err(|position| FieldError::Headers(format!("wrong at character {position}")))
        };
        self.headers.parsed.get_or_init(parse).as_deref()
    }

    /// The value of the last header of that name (Kafka's `Headers.lastHeader`); `None` when there is none,
    /// when it is null, or when the headers cannot be read.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers().ok()?.iter().rev().find(|header| header.name == name)?.value.as_deref()
    }

    /// [`Record::header`] as text; `None` also when it is not UTF-8.
    pub fn header_text(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.header(name)?).ok()
    }

    /// What the schema registry says about the key.
    pub fn key_schema(&self) -> Option<&SchemaMetadata> {
        self.key_schema.as_deref()
    }

    /// What the schema registry says about the value.
    pub fn value_schema(&self) -> Option<&SchemaMetadata> {
        self.value_schema.as_deref()
    }
}

impl Field {
    fn decode(&self, field: &'static str) -> Result<Option<Cow<'_, [u8]>>, FieldError> {
        match self {
            Self::Null => Ok(None),
            Self::Raw(bytes) => Ok(Some(Cow::Borrowed(bytes))),
            Self::Base64(text) => encoding::base64(text).map(|bytes| Some(Cow::Owned(bytes))).map_err(|error| {
                // The error names a position and the byte found there; the byte is content, so only its position is kept.
                let reason = match error {
                    base64::DecodeError::InvalidByte(at, _) => format!("character {} is not of its alphabet", at + 1),
                    base64::DecodeError::InvalidLength(length) => format!("{length} characters are no whole bytes"),
                    base64::DecodeError::InvalidLastSymbol { .. } => "its last character has bits left over".into(),
                    base64::DecodeError::InvalidPadding => "its padding is wrong".into(),
                };
                FieldError::Base64 { field, reason }
            }),
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

impl RecordId {
    /// `<topic>-<partition>`: the group's name in the event and the identifier in the batch response.
    pub fn partition_name(&self) -> String {
        format!("{}-{}", self.topic, self.partition)
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}@{}", self.topic, self.partition, self.offset)
    }
}

impl TimestampType {
    /// Kafka's and AWS's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::CreateTime => "CREATE_TIME",
            Self::LogAppendTime => "LOG_APPEND_TIME",
            Self::NoTimestamp => "NO_TIMESTAMP_TYPE",
        }
    }
}

/// Coordinates only: a record's content must not reach a log through `{:?}`.
impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Record({})", self.id())
    }
}

/// Equal when Kafka would say so: coordinates, timestamp, and decoded key, value and headers.
impl PartialEq for Record {
    fn eq(&self, other: &Self) -> bool {
        let same_field =
            |a: &Field, b: &Field| a == b || matches!((a.decode(""), b.decode("")), (Ok(a), Ok(b)) if a == b);
        self.id() == other.id()
            && (self.timestamp, self.timestamp_type, self.fault) == (other.timestamp, other.timestamp_type, other.fault)
            && same_field(&self.key, &other.key)
            && same_field(&self.value, &other.value)
            && self.headers() == other.headers()
            && (&self.key_schema, &self.value_schema) == (&other.key_schema, &other.value_schema)
    }
}
