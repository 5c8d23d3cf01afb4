//! A record as the caller wrote it, decoded; the topic's policy and the limits are checked later.

use bytes::Bytes;
use msk_shared::kafka::Header;

use crate::format::ValueFormat;

/// What a value is to those who read it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// The message itself.
    #[default]
    Value,
    /// A CloudEvent in JSON, whose data are the message.
    Event,
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Draft {
    /// The key; `None` means no key.
    pub(crate) key: Option<Bytes>,
    /// The value; `None` means a tombstone.
    pub(crate) value: Option<Bytes>,
    /// How the value came.
    pub(crate) value_format: Option<ValueFormat>,
    /// What a schema is for.
    pub(crate) content: Content,
    /// The partition, if the caller chose one.
    pub(crate) partition: Option<i32>,
    /// The timestamp in milliseconds since the Unix epoch, at least 1.
    pub(crate) timestamp_ms: Option<i64>,
    /// The headers in the caller's order; names may repeat.
    pub(crate) headers: Vec<Header>,
}
