//! Encodes and decodes keys, values and headers of an event: base64 with padding, header bytes as signed numbers (Java's
//! `byte`).

use std::fmt;
use std::io::Write;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig, Simd};
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

use crate::header::Header;

/// Why a key, a value or the headers cannot be decoded. Never includes their content.
///
/// ```
/// use msk_shared::event::{FieldError, MskEvent};
///
/// let event = r#"{"eventSource": "aws:kafka", "records": {"orders-0": [{"offset": 7, "key": 1, "value": "?!"}]}}"#;
/// let event = MskEvent::parse(event)?;
/// let record = event.records().next().unwrap();
/// assert_eq!(record.key(), Err(FieldError::NotText { field: "key" }));
/// assert!(matches!(record.value(), Err(FieldError::Base64 { field: "value", .. })));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// The text is not base64.
    #[error("the {field} is not base64: {reason}")]
    Base64 {
        /// `key` or `value`.
        field: &'static str,
        /// What is wrong, and where.
        reason: String,
    },
    /// It is neither a string nor null.
    #[error("the {field} must be a base64 string or null, but is other JSON")]
    NotText {
        /// `key` or `value`.
        field: &'static str,
    },
    /// The headers are not an array of `{name: [bytes]}`.
    #[error("the headers must be an array of {{\"name\": [bytes from -128 to 255]}}: {0}")]
    Headers(String),
}

/// Decodes what is between the quotes of a JSON string.
pub(super) fn decode_base64(text: &[u8]) -> Result<Vec<u8>, base64::DecodeError> {
    static ENGINE: LazyLock<Simd> = LazyLock::new(|| {
        Simd::standard(GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent))
    });
    ENGINE.decode(text).or_else(|error| {
        // Some JSON writers escape the `/` of the alphabet.
        match unescaped(text) {
            Some(plain) => ENGINE.decode(plain),
            None => Err(error),
        }
    })
}

/// The error's position, without the byte found there, which is content.
pub(super) fn base64_problem(error: base64::DecodeError) -> String {
    match error {
        base64::DecodeError::InvalidByte(at, _) => format!("character {} is not in the base64 alphabet", at + 1),
        base64::DecodeError::InvalidLength(length) => format!("{length} characters do not make up whole bytes"),
        base64::DecodeError::InvalidLastSymbol { .. } => "its last character has bits left over".into(),
        base64::DecodeError::InvalidPadding => "its padding is wrong".into(),
    }
}

fn unescaped(text: &[u8]) -> Option<String> {
    if !text.contains(&b'\\') {
        return None;
    }
    let mut json = Vec::with_capacity(text.len() + 2);
    json.push(b'"');
    json.extend_from_slice(text);
    json.push(b'"');
    serde_json::from_slice(&json).ok()
}

/// Appends a JSON string of base64.
pub(super) fn write_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    let start = out.len();
    // Four characters for every three bytes or part of them.
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    if let Ok(written) = BASE64_STANDARD.encode_slice(bytes, &mut out[start..]) {
        out.truncate(start + written);
    }
    out.push(b'"');
}

/// Reads the JSON text of a record's headers.
pub(super) fn decode_headers(json: &[u8]) -> Result<Vec<Header>, FieldError> {
    serde_json::from_slice::<HeaderList>(json)
        .map(|list| list.0)
        // serde_json's own message may quote the text.
        .map_err(|error| FieldError::Headers(format!("invalid at character {}", error.column())))
}

/// An array of objects, or one object.
struct HeaderList(Vec<Header>);

impl<'de> Deserialize<'de> for HeaderList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;

        impl<'de> Visitor<'de> for List {
            type Value = Vec<Header>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of headers")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<Header>, A::Error> {
                let mut headers = Vec::new();
                while let Some(HeaderObject(more)) = items.next_element()? {
                    headers.extend(more);
                }
                Ok(headers)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Vec<Header>, A::Error> {
                let mut headers = Vec::new();
                while let Some((name, value)) = members.next_entry::<String, Option<Vec<HeaderByte>>>()? {
                    let value = value.map(|bytes| bytes.into_iter().map(|byte| byte.0).collect::<Vec<u8>>().into());
                    headers.push(Header { name, value });
                }
                Ok(headers)
            }
        }

        deserializer.deserialize_any(List).map(Self)
    }
}

struct HeaderObject(Vec<Header>);

impl<'de> Deserialize<'de> for HeaderObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        HeaderList::deserialize(deserializer).map(|list| Self(list.0))
    }
}

/// A byte as a number from -128 (Java's `byte`) to 255.
struct HeaderByte(u8);

impl<'de> Deserialize<'de> for HeaderByte {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = i16::deserialize(deserializer)?;
        u8::try_from(number)
            .or_else(|_| i8::try_from(number).map(i8::cast_unsigned))
            .map(Self)
            .map_err(|_| serde::de::Error::custom("not a byte"))
    }
}

pub(super) fn write_headers(out: &mut Vec<u8>, headers: &[Header]) {
    out.push(b'[');
    for (index, header) in headers.iter().enumerate() {
        separate(out, index);
        out.push(b'{');
        string(out, &header.name);
        out.push(b':');
        match &header.value {
            None => out.extend_from_slice(b"null"),
            Some(bytes) => signed_bytes(out, bytes),
        }
        out.push(b'}');
    }
    out.push(b']');
}

fn signed_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'[');
    for (index, byte) in bytes.iter().enumerate() {
        separate(out, index);
        let _ = write!(out, "{}", byte.cast_signed());
    }
    out.push(b']');
}

pub(super) fn string(out: &mut Vec<u8>, text: &str) {
    // A string always serialises, and writing into a `Vec` cannot fail.
    let _ = serde_json::to_writer(out, text);
}

pub(super) fn separate(out: &mut Vec<u8>, index: usize) {
    if index > 0 {
        out.push(b',');
    }
}
