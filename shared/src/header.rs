//! A Kafka record's header: the same type for a record read from an event and for one on its way to Kafka.

use bytes::Bytes;

/// A record header. Names may repeat, order is kept, a value may be null (Kafka protocol, record batch v2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// UTF-8; without NUL when it is to be written, as the client takes C strings.
    pub name: String,
    /// `None` is a null value, which is not an empty one.
    pub value: Option<Bytes>,
}
