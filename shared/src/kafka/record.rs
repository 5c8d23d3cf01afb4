//! A record on its way to Kafka, and what comes back.

use bytes::Bytes;

use crate::header::Header;
use crate::names::TopicName;

/// A record to write. `None` and empty are different for key and value: null is a tombstone or no key.
///
/// ```
/// use msk_shared::header::Header;
/// use msk_shared::kafka::OutboundRecord;
///
/// let record = OutboundRecord {
///     topic: "orders".parse()?,
///     partition: None,
///     key: Some("o-1".into()),
///     value: Some(r#"{"total": 5}"#.into()),
///     timestamp_ms: None,
///     headers: vec![Header { name: "source".into(), value: Some("web".into()) }],
/// };
/// assert_eq!(record.size(), 3 + 12 + 6 + 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboundRecord {
    /// The topic to write to.
    pub topic: TopicName,
    /// A fixed partition; `None` chooses one by key (murmur2, like Java clients), or a random one without a key.
    pub partition: Option<i32>,
    /// The key; `None` means no key.
    pub key: Option<Bytes>,
    /// The value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// Milliseconds since the Unix epoch, at least 1 (librdkafka reads 0 as "now"); `None` means now.
    pub timestamp_ms: Option<i64>,
    /// Headers in order.
    pub headers: Vec<Header>,
}

impl OutboundRecord {
    /// Size in bytes as counted by the limits: key, value, header names and header values.
    pub fn size(&self) -> usize {
        let part = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
        let headers: usize = self.headers.iter().map(|h| h.name.len() + part(&h.value)).sum();
        part(&self.key) + part(&self.value) + headers
    }
}

/// Where a record was written: acknowledged by all in-sync replicas.
///
/// ```
/// use msk_shared::event::RecordId;
/// use msk_shared::kafka::Delivery;
///
/// let delivery = Delivery { partition: 2, offset: 40, timestamp_ms: None };
/// let id = RecordId { topic: "orders".into(), partition: delivery.partition, offset: delivery.offset };
/// assert_eq!(id.to_string(), "orders-2@40", "as a consumer's log names it");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// The partition that librdkafka chose, or the record named.
    pub partition: i32,
    /// Offset within the partition.
    pub offset: i64,
    /// The stored timestamp in milliseconds since the Unix epoch; `None` if the broker gave none.
    pub timestamp_ms: Option<i64>,
}
