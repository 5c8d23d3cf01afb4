//! A strict JSON reader over the body's text: it refuses what `serde_json` lets pass (duplicate members), bounds the
//! nesting of the whole body, and keeps values as they were written: member order and number text stay, white space and
//! needless escapes go.
//!
//! | Module | Reads |
//! |---|---|
//! | `tokens` | literals, numbers, strings and their escapes |
//! | `nested` | arrays, objects and what is in them |
//! | `sink` | collects a value as it is kept |
//!
//! It is a pull reader, so a body is walked once and a value that is already compact is a slice of the body, not a copy.

mod nested;
mod sink;
mod tokens;

use std::borrow::Cow;

use bytes::Bytes;

use sink::Sink;

/// Deepest nesting of arrays and objects, counted from the body's own braces. Recursion is bounded by it.
pub(crate) const MAX_DEPTH: usize = 128;

const BYTE_ORDER_MARK: char = '\u{feff}';

/// Text that is not valid JSON, or beyond this API's limits. The error says what and where, never the text itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at}")]
pub(crate) struct SyntaxError {
    /// What is wrong.
    pub(crate) what: &'static str,
    /// Where, in bytes from the start.
    pub(crate) at: usize,
}

/// The type of a JSON value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JsonType {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

impl JsonType {
    /// The type's name with its article, for error texts.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "a boolean",
            Self::Number => "a number",
            Self::String => "a string",
            Self::Array => "an array",
            Self::Object => "an object",
        }
    }
}

/// The reader. Every method starts at a value or at white space before one and ends right behind it.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    body: &'a Bytes,
    text: &'a str,
    at: usize,
    depth: usize,
    /// Names of the objects that are open, innermost last.
    names: Vec<Cow<'a, str>>,
}

pub(crate) type Parsed<T> = Result<T, SyntaxError>;

impl<'a> Reader<'a> {
    /// A reader at the start of a body, behind its byte order mark, which PowerShell and .NET write (RFC 8259, 8.1 lets a
    /// parser ignore it).
    ///
    /// # Errors
    /// [`SyntaxError`] when the body is not UTF-8 (RFC 8259 allows nothing else between systems).
    pub(crate) fn new(body: &'a Bytes) -> Parsed<Self> {
        let not_utf8 = |error: std::str::Utf8Error| match &body[..] {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => SyntaxError { what: "the body is UTF-16; send UTF-8", at: 0 },
            _ => SyntaxError { what: "the body is not UTF-8", at: error.valid_up_to() },
        };
        let text = std::str::from_utf8(body).map_err(not_utf8)?;
        let at = if text.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len_utf8() } else { 0 };
        Ok(Self { body, text, at, depth: 0, names: Vec::new() })
    }

    /// The type of the next value; nothing is consumed but white space.
    pub(crate) fn peek(&mut self) -> Parsed<JsonType> {
        self.space();
        match self.byte() {
            Some(b'{') => Ok(JsonType::Object),
            Some(b'[') => Ok(JsonType::Array),
            Some(b'"') => Ok(JsonType::String),
            Some(b't' | b'f') => Ok(JsonType::Bool),
            Some(b'n') => Ok(JsonType::Null),
            Some(b'-' | b'0'..=b'9') => Ok(JsonType::Number),
            Some(_) => self.fail("expected a value"),
            None => self.fail("the text ends where a value is expected"),
        }
    }

    /// Reads an object; `member` is called at each member's value with its name and must read that value.
    pub(crate) fn object(&mut self, mut member: impl FnMut(&mut Self, &str) -> Parsed<()>) -> Parsed<()> {
        self.space();
        self.walk_object(&mut |reader: &mut Self, name: Cow<'a, str>, _| member(reader, &name))
    }

    /// Reads an array; `item` is called at each item with its index and must read it.
    pub(crate) fn array(&mut self, mut item: impl FnMut(&mut Self, usize) -> Parsed<()>) -> Parsed<()> {
        self.space();
        let mut index = 0;
        self.walk_array(&mut |reader| {
            item(reader, index)?;
            index += 1;
            Ok(())
        })
    }

    /// Reads a value and forgets it.
    pub(crate) fn skip(&mut self) -> Parsed<()> {
        self.space();
        self.value(&mut Sink::none())
    }

    /// Reads a value and keeps it without white space and needless escapes.
    pub(crate) fn compact(&mut self) -> Parsed<Bytes> {
        self.space();
        let start = self.at;
        let mut sink = Sink::from(start);
        self.value(&mut sink)?;
        Ok(match sink.finish(self.text, self.at) {
            Some(changed) => Bytes::from(changed),
            None => self.body.slice(start..self.at),
        })
    }

    pub(crate) fn string(&mut self) -> Parsed<Cow<'a, str>> {
        self.space();
        self.string_token()
    }

    /// Reads a string as the bytes of its text.
    pub(crate) fn string_bytes(&mut self) -> Parsed<Bytes> {
        Ok(match self.string()? {
            Cow::Borrowed(text) => self.body.slice_ref(text.as_bytes()),
            Cow::Owned(text) => Bytes::from(text),
        })
    }

    /// Reads a number and gives its text.
    pub(crate) fn number(&mut self) -> Parsed<&'a str> {
        self.space();
        let start = self.at;
        self.number_token()?;
        Ok(&self.text[start..self.at])
    }

    /// Where the reader stands, for [`Self::again`].
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// Puts the reader back at a value it has read before, `read` reads it again, and the reader returns to where it was.
    pub(crate) fn again<T>(&mut self, position: usize, read: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        let here = std::mem::replace(&mut self.at, position);
        let result = read(self);
        self.at = here;
        result
    }

    /// Whether only white space is left.
    pub(crate) fn at_end(&mut self) -> bool {
        self.space();
        self.at == self.text.len()
    }

    /// Refuses anything but white space up to the end.
    pub(crate) fn end(&mut self) -> Parsed<()> {
        if self.at_end() { Ok(()) } else { self.fail("unexpected text after the value") }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn fail<T>(&self, what: &'static str) -> Parsed<T> {
        Err(SyntaxError { what, at: self.at })
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.byte() {
            self.at += 1;
        }
    }

    /// White space inside a value: skipped, and left out of what is kept.
    fn space_in(&mut self, sink: &mut Sink) {
        let start = self.at;
        self.space();
        if self.at > start {
            sink.replace(self.text, start, self.at, b"");
        }
    }
}

#[cfg(test)]
mod json_tests;
