//! How an event writes bytes: base64 for keys and values, lists of numbers for headers.

use std::fmt;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig, Simd};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

use crate::header::Header;

/// Decodes what stands between the quotes of a JSON string.
pub(super) fn base64(text: &[u8]) -> Result<Vec<u8>, base64::DecodeError> {
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

/// Reads the JSON text of a record's headers; the error is the position of the character that is wrong, since serde's own
/// message may quote the text.
pub(super) fn headers(json: &[u8]) -> Result<Vec<Header>, usize> {
    serde_json::from_slice::<HeaderList>(json).map(|list| list.0).map_err(|error| error.column())
}

/// A list of objects, or one object.
struct HeaderList(Vec<Header>);

impl<'de> Deserialize<'de> for HeaderList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;

        impl<'de> Visitor<'de> for List {
            type Value = Vec<Header>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of headers")
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
