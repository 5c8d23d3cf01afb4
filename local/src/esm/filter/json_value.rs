//! JSON as filters compare it: a number is its text, because Lambda documents that 300, 300.0 and 3.0e2 are not equal.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde_json::value::RawValue;

/// What `serde_json` reads, too. A deeper value is no JSON here.
const MAX_DEPTH: usize = 128;

/// A JSON value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    /// As it is written.
    Number(String),
    Text(String),
    Array(Vec<Json>),
    Object(BTreeMap<String, Json>),
}

impl Json {
    /// The value that a whole text is.
    pub(super) fn parse(text: &str) -> serde_json::Result<Self> {
        let raw: &RawValue = serde_json::from_str(text)?;
        Self::from_raw(raw, 0)
    }

    fn from_raw(raw: &RawValue, depth: usize) -> serde_json::Result<Self> {
        if depth > MAX_DEPTH {
            return Err(serde_json::Error::custom(format_args!("nested deeper than {MAX_DEPTH} levels")));
        }
        let text = raw.get();
        match text.as_bytes().first() {
            Some(b'{') => {
                let members: BTreeMap<String, &RawValue> = serde_json::from_str(text)?;
                let read = |(name, raw)| Ok((name, Self::from_raw(raw, depth + 1)?));
                members.into_iter().map(read).collect::<serde_json::Result<_>>().map(Self::Object)
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(text)?;
                let read = |raw| Self::from_raw(raw, depth + 1);
                items.into_iter().map(read).collect::<serde_json::Result<_>>().map(Self::Array)
            }
            Some(b'"') => serde_json::from_str(text).map(Self::Text),
            Some(b't' | b'f') => serde_json::from_str(text).map(Self::Bool),
            Some(b'n') => Ok(Self::Null),
            _ => Ok(Self::Number(text.to_owned())),
        }
    }

    /// Whether it is neither an object nor an array.
    pub(super) fn is_scalar(&self) -> bool {
        !matches!(self, Self::Array(_) | Self::Object(_))
    }
}
