//! A Kafka record's header: the same type for a record read from an event and for one on its way to Kafka.

use bytes::Bytes;

/// A record header. Names may repeat, order is kept, a value may be null (Kafka protocol, record batch v2).
///
/// ```
/// use msk_shared::header::Header;
///
/// let empty = Header { name: "note".into(), value: Some("".into()) };
/// assert_ne!(empty, Header { name: "note".into(), value: None });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The name, in UTF-8; it must not contain NUL if it is to be written, because the client takes C strings.
    pub name: String,
    /// The value; `None` is null, which differs from empty.
    pub value: Option<Bytes>,
}
