//! Typed decoding of a record's value. An error concerns that record alone and never includes its content.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::error::Category;
use serde_json::value::RawValue;

use super::encoding::FieldError;
use super::frame::SchemaFrame;
use super::record::Record;

/// Why a value cannot be decoded as requested.
///
/// ```
/// use msk_shared::event::{DecodeError, Record};
///
/// let record = Record::new("orders", 0, 7).with_value(Some("{\"id\" 1}"));
/// assert_eq!(record.json::<serde_json::Value>(), Err(DecodeError::NotJson { line: 1, column: 7 }));
/// assert_eq!(Record::new("orders", 0, 8).text(), Err(DecodeError::Tombstone));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The event's own encoding is broken.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// There is no value.
    #[error("the record is a tombstone: it has no value")]
    Tombstone,
    /// The value is not UTF-8.
    #[error("the value is not UTF-8 text: byte {position} does not begin a valid character")]
    NotUtf8 {
        /// Position of the first invalid byte, counted from 1.
        position: usize,
    },
    /// The value is not JSON.
    #[error("the value is not JSON: invalid or incomplete at line {line}, column {column}")]
    NotJson {
        /// Line, counted from 1.
        line: usize,
        /// Column, counted from 1.
        column: usize,
    },
    /// The grammar is JSON's, and what it says cannot be read.
    #[error("the value is JSON that cannot be read: {fault} at line {line}, column {column}")]
    Unreadable {
        /// What is wrong.
        fault: JsonFault,
        /// Line, counted from 1.
        line: usize,
        /// Column, counted from 1.
        column: usize,
    },
    /// The value begins like one that a schema registry's serialiser wrote, and what follows is not JSON.
    #[error(
        "the value is not JSON: it begins with {0}, and what follows is not JSON either; decode it with that schema, or \
         have its producer write JSON"
    )]
    Framed(SchemaFrame),
    /// The value is JSON, but does not match the type.
    #[error(
        "the value is JSON, but does not have the expected structure: first difference before line {line}, column {column}"
    )]
    Shape {
        /// Line, counted from 1.
        line: usize,
        /// Column, counted from 1.
        column: usize,
    },
    /// An attribute of a CloudEvent is missing or invalid.
    #[error("the CloudEvent attribute `{attribute}` {problem}")]
    CloudEvent {
        /// The name of the attribute.
        attribute: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// What keeps JSON from being read.
///
/// ```
/// use msk_shared::event::{DecodeError, JsonFault, Record};
///
/// let error = Record::new("orders", 0, 7).with_value(Some("[1e999]")).json::<Vec<f64>>().unwrap_err();
/// assert!(matches!(error, DecodeError::Unreadable { fault: JsonFault::NumberOutOfRange, line: 1, .. }));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonFault {
    /// A number does not fit a 64-bit float.
    #[error("a number is out of range (it must fit a 64-bit float, up to about 1.8e308)")]
    NumberOutOfRange,
    /// `\ud800` to `\udfff` without its other half.
    #[error("an unpaired surrogate in a string")]
    UnpairedSurrogate,
    /// Deeper than 128 levels.
    #[error("nesting deeper than 128 levels")]
    TooDeep,
}

/// What `serde_json` says of the faults that have a name here: its errors have no finer type than their text.
const NAMED: [(&str, JsonFault); 4] = [
    ("number out of range", JsonFault::NumberOutOfRange),
    ("lone leading surrogate in hex escape", JsonFault::UnpairedSurrogate),
    ("unexpected end of hex escape", JsonFault::UnpairedSurrogate),
    ("recursion limit exceeded", JsonFault::TooDeep),
];

/// PowerShell and .NET write it before UTF-8 text; RFC 8259 (8.1) lets a parser ignore it.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl Record {
    /// The value as JSON of type `T`. A byte order mark and a schema registry's frame before the JSON are skipped.
    ///
    /// # Errors
    /// [`DecodeError`], also for a tombstone.
    ///
    /// ```
    /// use msk_shared::event::Record;
    ///
    /// #[derive(Debug, serde::Deserialize)]
    /// struct Order {
    ///     id: u64,
    /// }
    ///
    /// let order: Order = Record::new("orders", 0, 7).with_value(Some(r#"{"id": 1}"#)).json().unwrap();
    /// assert_eq!(order.id, 1);
    /// let error = Record::new("orders", 0, 8).with_value(Some("secret")).json::<Order>().unwrap_err();
    /// assert!(!error.to_string().contains("secret"));
    /// ```
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        json(&self.value()?.ok_or(DecodeError::Tombstone)?)
    }

    /// The value as UTF-8 text.
    ///
    /// # Errors
    /// [`DecodeError`], also for a tombstone.
    pub fn text(&self) -> Result<Cow<'_, str>, DecodeError> {
        let value = self.value()?.ok_or(DecodeError::Tombstone)?;
        let not_utf8 = |error: std::str::Utf8Error, frame: Option<SchemaFrame>| match frame {
            Some(frame) => DecodeError::Framed(frame),
            None => DecodeError::NotUtf8 { position: error.valid_up_to() + 1 },
        };
        let frame = SchemaFrame::split(&value).map(|(frame, _)| frame);
        match value {
            Cow::Borrowed(bytes) => {
                std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|error| not_utf8(error, frame))
            }
            Cow::Owned(bytes) => {
                String::from_utf8(bytes).map(Cow::Owned).map_err(|error| not_utf8(error.utf8_error(), frame))
            }
        }
    }
}

pub(super) fn json<T: DeserializeOwned>(value: &[u8]) -> Result<T, DecodeError> {
    let (frame, text) = SchemaFrame::split(value).map_or((None, value), |(frame, rest)| (Some(frame), rest));
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    read(text).map_err(|error| {
        // An error of `from_value` has no place.
        let (line, column) = (error.line().max(1), error.column().max(1));
        match (error.classify(), named(&error), frame) {
            (Category::Data, ..) => DecodeError::Shape { line, column },
            (_, Some(fault), _) => DecodeError::Unreadable { fault, line, column },
            (.., Some(frame)) => DecodeError::Framed(frame),
            _ => DecodeError::NotJson { line, column },
        }
    })
}

/// Reads up to 128 levels, as many as the producer takes; `serde_json` alone gives up at the 128th.
fn read<T: DeserializeOwned>(text: &[u8]) -> serde_json::Result<T> {
    let error = match serde_json::from_slice(text) {
        Err(error) if named(&error) == Some(JsonFault::TooDeep) => error,
        result => return result,
    };
    // Raw values are passed over without recursion, so each gets all the levels but the outermost one.
    let inner = |raw: &RawValue| serde_json::from_str::<Value>(raw.get());
    let value = match serde_json::from_slice::<Vec<&RawValue>>(text) {
        Ok(items) => Value::Array(items.into_iter().map(inner).collect::<Result<_, _>>()?),
        // The grammar is broken further in. A text that just ends may have been too deep by then.
        Err(broken) if broken.is_syntax() => return Err(broken),
        Err(_) => match serde_json::from_slice::<BTreeMap<String, &RawValue>>(text) {
            Ok(members) => {
                let members = members.into_iter().map(|(name, raw)| Ok((name, inner(raw)?)));
                Value::Object(members.collect::<serde_json::Result<_>>()?)
            }
            Err(broken) if broken.is_syntax() => return Err(broken),
            Err(_) => return Err(error),
        },
    };
    serde_json::from_value(value)
}

fn named(error: &serde_json::Error) -> Option<JsonFault> {
    // The text of any other category may come from the type that is read.
    if error.classify() != Category::Syntax {
        return None;
    }
    let text = error.to_string();
    NAMED.iter().find(|(start, _)| text.starts_with(start)).map(|(_, fault)| *fault)
}
