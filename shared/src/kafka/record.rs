//! A record on its way to Kafka, and what comes back.

use bytes::Bytes;

use crate::header::Header;
use crate::names::TopicName;

/// A record to write. `None` and empty are different for key and value: null is a tombstone or no key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboundRecord {
    /// Where to.
    pub topic: TopicName,
    /// A fixed partition, else by key (murmur2, as Java clients), else random.
    pub partition: Option<i32>,
    /// The key; `None` is no key.
    pub key: Option<Bytes>,
    /// The value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// Milliseconds since the epoch, at least 1 (librdkafka reads 0 as "now"); `None` is now.
    pub timestamp_ms: Option<i64>,
    /// Headers in order.
    pub headers: Vec<Header>,
}

impl OutboundRecord {
    /// Size in bytes as the limits count it: key, value, header names and header values.
    pub fn size(&self) -> usize {
        let part = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
        let headers: usize = self.headers.iter().map(|h| h.name.len() + part(&h.value)).sum();
        part(&self.key) + part(&self.value) + headers
    }
}

/// Where a record was written: acknowledged by all in-sync replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// The partition that librdkafka chose, or the record named.
    pub partition: i32,
    /// Offset within the partition.
    pub offset: i64,
    /// Timestamp stored, milliseconds since the epoch; `None` if the broker gave none.
    pub timestamp_ms: Option<i64>,
}
