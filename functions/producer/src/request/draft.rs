//! A record as the caller wrote it, decoded; the topic's policy and the limits are checked later.

use bytes::Bytes;
use msk_shared::kafka::Header;

use crate::format::ValueFormat;

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Draft {
    /// The key; `None` means no key.
    pub(crate) key: Option<Bytes>,
    /// The value; `None` means a tombstone.
    pub(crate) value: Option<Bytes>,
    /// How the value came.
    pub(crate) value_format: Option<ValueFormat>,
    /// The partition, if the caller chose one.
    pub(crate) partition: Option<i32>,
    /// The timestamp in milliseconds since the Unix epoch, at least 1.
    pub(crate) timestamp_ms: Option<i64>,
    /// The headers in the caller's order; names may repeat.
    pub(crate) headers: Vec<Header>,
}
