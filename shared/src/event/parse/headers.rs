//! A record's headers, from their JSON text.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

use crate::event::{FieldError, Header};

/// Reads the JSON text of a record's headers.
pub(in crate::event) fn headers(json: &[u8]) -> Result<Vec<Header>, FieldError> {
    serde_json::from_slice::<HeaderList>(json)
        .map(|list| list.0)
        // Its own message may quote the text.
        .map_err(|error| FieldError::Headers(format!("wrong at character {}", error.column())))
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
