//! The frames that schema registries' serialisers put before a value.

use std::fmt;

/// The frame that Confluent's serialisers put before a value: a zero byte and the schema's id.
/// Source: <https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#wire-format>
///
/// ```
/// use msk_shared::event::ConfluentPrefix;
///
/// let (prefix, rest) = ConfluentPrefix::split(b"\0\0\0\0\x07{}").unwrap();
/// assert_eq!((prefix.schema_id, rest), (7, &b"{}"[..]));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConfluentPrefix {
    /// Id of the schema in the registry.
    pub schema_id: u32,
}

impl ConfluentPrefix {
    /// Length of the frame in bytes.
    pub const LEN: usize = 5;

    /// Splits a value into its frame and the rest; `None` if it does not begin with one.
    pub fn split(value: &[u8]) -> Option<(Self, &[u8])> {
        match value {
            [0, a, b, c, d, rest @ ..] => Some((Self { schema_id: u32::from_be_bytes([*a, *b, *c, *d]) }, rest)),
            _ => None,
        }
    }
}

/// A frame before a value, of either registry. No JSON text begins like one.
///
/// ```
/// use msk_shared::event::SchemaFrame;
///
/// let (frame, rest) = SchemaFrame::split(b"\0\0\0\0\x07{}").unwrap();
/// assert_eq!(rest, b"{}");
/// assert!(frame.to_string().contains("schema id 7"));
/// assert!(SchemaFrame::split(b"{}").is_none());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaFrame {
    /// Confluent's.
    Confluent(ConfluentPrefix),
    /// AWS Glue's: a header version (3), whether zlib compressed what follows, and the UUID of the schema version.
    /// Source: `AWSSchemaRegistryConstants` of `awslabs/aws-glue-schema-registry`.
    Glue {
        /// Id of the schema version, a UUID.
        schema_version: u128,
        /// Whether what follows is compressed.
        compressed: bool,
    },
}

impl SchemaFrame {
    /// Splits a value into its frame and the rest; `None` if it does not begin with one.
    pub fn split(value: &[u8]) -> Option<(Self, &[u8])> {
        if let Some((prefix, rest)) = ConfluentPrefix::split(value) {
            return Some((Self::Confluent(prefix), rest));
        }
        let (&[3, compression @ (0 | 5)], rest) = value.split_first_chunk()? else { return None };
        let (uuid, rest) = rest.split_first_chunk()?;
        Some((Self::Glue { schema_version: u128::from_be_bytes(*uuid), compressed: compression == 5 }, rest))
    }
}

impl fmt::Display for SchemaFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Confluent(ConfluentPrefix { schema_id }) => {
                write!(f, "the frame of a Confluent schema registry (magic byte 0, schema id {schema_id})")
            }
            Self::Glue { schema_version, compressed } => {
                let compressed = if *compressed { ", compressed" } else { "" };
                write!(
                    f,
                    "the frame of a Glue schema registry (byte 3, schema version {schema_version:032x}{compressed})"
                )
            }
        }
    }
}
