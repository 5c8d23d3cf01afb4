//! Typed decoding of a record's value. An error is that record's, and never holds its content.

use std::borrow::Cow;

use serde::de::DeserializeOwned;

use super::encoding::FieldError;
use super::record::Record;

/// Why a value cannot be decoded as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The event's own encoding is broken.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// There is no value.
    #[error("the record is a tombstone: it has no value")]
    Tombstone,
    /// The value is not UTF-8.
    #[error("the value is not UTF-8 text: byte {position} begins no character")]
    NotUtf8 {
        /// Position of the first wrong byte, counted from 1.
        position: usize,
    },
    /// The value is not JSON.
    #[error("the value is not JSON: wrong or incomplete at line {line}, column {column}")]
    NotJson {
        /// Line, counted from 1.
        line: usize,
        /// Column, counted from 1.
        column: usize,
    },
    /// The value is JSON of another shape than the type wants.
    #[error("the value is JSON of another shape than expected: first difference before line {line}, column {column}")]
    Shape {
        /// Line, counted from 1.
        line: usize,
        /// Column, counted from 1.
        column: usize,
    },
    /// A CloudEvent lacks an attribute, or has it wrong.
    #[error("the CloudEvent attribute `{attribute}` {problem}")]
    CloudEvent {
        /// The attribute.
        attribute: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// The frame that Confluent's serialisers put before a value: a zero byte and the schema's id.
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

impl Record {
    /// The value as JSON of type `T`. A Confluent frame before the JSON is skipped.
    ///
    /// # Errors
    /// [`DecodeError`] also for a tombstone.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        json(&self.value()?.ok_or(DecodeError::Tombstone)?)
    }

    /// The value as UTF-8 text.
    ///
    /// # Errors
    /// [`DecodeError`] also for a tombstone.
    pub fn text(&self) -> Result<Cow<'_, str>, DecodeError> {
        let not_utf8 = |error: std::str::Utf8Error| DecodeError::NotUtf8 { position: error.valid_up_to() + 1 };
        match self.value()?.ok_or(DecodeError::Tombstone)? {
            Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(not_utf8),
            Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).map_err(|error| not_utf8(error.utf8_error())),
        }
    }
}

pub(super) fn json<T: DeserializeOwned>(value: &[u8]) -> Result<T, DecodeError> {
    // No JSON text begins with a zero byte.
    let text = ConfluentPrefix::split(value).map_or(value, |(_, rest)| rest);
    serde_json::from_slice(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        match error.classify() {
            serde_json::error::Category::Data => DecodeError::Shape { line, column },
            _ => DecodeError::NotJson { line, column },
        }
    })
}
