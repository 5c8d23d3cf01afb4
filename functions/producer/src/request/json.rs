//! A strict JSON reader over the body's text: it refuses what `serde_json` lets pass (duplicate members), bounds the
//! nesting of the whole body, and keeps values as they were written: member order and number text stay, white space and
//! needless escapes go.
//!
//! It is a pull reader, so a body is walked once and a value that is already compact is a slice of the body, not a copy.

use std::borrow::Cow;
use std::collections::HashSet;

use bytes::Bytes;

/// Deepest nesting of arrays and objects, counted from the body's own braces. Recursion is bounded by it.
pub(crate) const MAX_DEPTH: usize = 128;

/// Up to this many members an object's names are compared one by one; above, they are hashed.
const LINEAR_NAMES: usize = 16;

/// Text that is no JSON as this API takes it. It says what and where, never the text itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at}")]
pub(crate) struct SyntaxError {
    /// What is wrong.
    pub(crate) what: &'static str,
    /// Where, in bytes from the start.
    pub(crate) at: usize,
}

/// What kind of value comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

impl Kind {
    /// The kind's name with its article, for error texts.
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

type Parsed<T> = Result<T, SyntaxError>;

impl<'a> Reader<'a> {
    /// A reader at the start of a body.
    ///
    /// # Errors
    /// [`SyntaxError`] when the body is not UTF-8 (RFC 8259 allows nothing else between systems).
    pub(crate) fn new(body: &'a Bytes) -> Parsed<Self> {
        let text = std::str::from_utf8(body)
            .map_err(|error| SyntaxError { what: "the body is not UTF-8", at: error.valid_up_to() })?;
        Ok(Self { body, text, at: 0, depth: 0, names: Vec::new() })
    }

    /// The kind of the next value; nothing is consumed but white space.
    pub(crate) fn peek(&mut self) -> Parsed<Kind> {
        self.space();
        match self.byte() {
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::Array),
            Some(b'"') => Ok(Kind::String),
            Some(b't' | b'f') => Ok(Kind::Bool),
            Some(b'n') => Ok(Kind::Null),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
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
        Ok(if sink.changed {
            sink.out.extend_from_slice(&self.text.as_bytes()[sink.run..self.at]);
            Bytes::from(sink.out)
        } else {
            self.body.slice(start..self.at)
        })
    }

    /// Reads a string.
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

    /// Where the reader stands, for [`Self::back_to`].
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

    /// Refuses anything but white space up to the end.
    pub(crate) fn end(&mut self) -> Parsed<()> {
        self.space();
        if self.at == self.text.len() { Ok(()) } else { self.fail("something follows the value") }
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

    fn deeper(&mut self) -> Parsed<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH { self.fail("nesting deeper than 128 levels") } else { Ok(()) }
    }

    fn value(&mut self, sink: &mut Sink) -> Parsed<()> {
        match self.byte() {
            Some(b'{') => self.object_value(sink),
            Some(b'[') => self.array_value(sink),
            Some(b'"') => self.string_value(sink),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            Some(b'-' | b'0'..=b'9') => self.number_token(),
            Some(_) => self.fail("expected a value"),
            None => self.fail("the text ends where a value is expected"),
        }
    }

    fn literal(&mut self, word: &'static str) -> Parsed<()> {
        if self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            Ok(())
        } else {
            self.fail("expected a value")
        }
    }

    fn number_token(&mut self) -> Parsed<()> {
        if self.byte() == Some(b'-') {
            self.at += 1;
        }
        match self.byte() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits()?,
            _ => return self.fail("expected a digit"),
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.byte() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.byte() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Parsed<()> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.byte() {
            self.at += 1;
        }
        if self.at == start { self.fail("expected a digit") } else { Ok(()) }
    }

    /// Moves behind the plain characters of a string, to its next quote or backslash.
    fn plain_characters(&mut self) -> Parsed<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        match rest.iter().position(|&b| b == b'"' || b == b'\\' || b < 0x20) {
            Some(offset) => {
                self.at += offset;
                let byte = rest[offset];
                if byte < 0x20 { self.fail("a control character in a string must be escaped") } else { Ok(byte) }
            }
            None => {
                self.at = self.text.len();
                self.fail("the text ends within a string")
            }
        }
    }

    fn string_token(&mut self) -> Parsed<Cow<'a, str>> {
        if self.byte() != Some(b'"') {
            return self.fail("expected a string");
        }
        self.at += 1;
        let mut start = self.at;
        let mut owned: Option<String> = None;
        loop {
            let stop = self.plain_characters()?;
            let run = &self.text[start..self.at];
            if stop == b'"' {
                self.at += 1;
                return Ok(match owned {
                    None => Cow::Borrowed(run),
                    Some(text) => Cow::Owned(text + run),
                });
            }
            let text = owned.get_or_insert_default();
            text.push_str(run);
            text.push(self.escape()?);
            start = self.at;
        }
    }

    fn string_value(&mut self, sink: &mut Sink) -> Parsed<()> {
        self.at += 1;
        loop {
            if self.plain_characters()? == b'"' {
                self.at += 1;
                return Ok(());
            }
            let start = self.at;
            let character = self.escape()?;
            let mut buffer = [0_u8; 6];
            let written = mandatory_escape(character, &mut buffer);
            if written != &self.text.as_bytes()[start..self.at] {
                sink.replace(self.text, start, self.at, written);
            }
        }
    }

    /// Reads one escape, from its backslash.
    fn escape(&mut self) -> Parsed<char> {
        let start = self.at;
        let simple = match self.text.as_bytes().get(start + 1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(),
            _ => return self.fail("an unknown escape in a string"),
        };
        self.at = start + 2;
        Ok(simple)
    }

    fn unicode_escape(&mut self) -> Parsed<char> {
        const LONE: &str = "half of a surrogate pair in a string is no character";
        let high = self.four_hex_digits()?;
        let code = match high {
            0xD800..=0xDBFF => {
                if !self.text.as_bytes()[self.at..].starts_with(b"\\u") {
                    return self.fail(LONE);
                }
                match self.four_hex_digits()? {
                    low @ 0xDC00..=0xDFFF => 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00),
                    _ => return self.fail(LONE),
                }
            }
            code => code,
        };
        char::from_u32(code).map_or_else(|| self.fail(LONE), Ok)
    }

    /// Reads `\uXXXX`.
    fn four_hex_digits(&mut self) -> Parsed<u32> {
        let digits = self.text.as_bytes().get(self.at + 2..self.at + 6).unwrap_or_default();
        let mut code = 0;
        for &digit in digits {
            match char::from(digit).to_digit(16) {
                Some(number) => code = code * 16 + number,
                None => return self.fail("\\u needs four hexadecimal digits"),
            }
        }
        if digits.len() < 4 {
            return self.fail("\\u needs four hexadecimal digits");
        }
        self.at += 6;
        Ok(code)
    }

    fn array_value(&mut self, sink: &mut Sink) -> Parsed<()> {
        self.bracketed(b']', sink, |reader, sink| reader.value(sink))
    }

    fn walk_array(&mut self, item: &mut dyn FnMut(&mut Self) -> Parsed<()>) -> Parsed<()> {
        if self.byte() != Some(b'[') {
            return self.fail("expected an array");
        }
        self.bracketed(b']', &mut Sink::none(), |reader, _| item(reader))
    }

    fn object_value(&mut self, sink: &mut Sink) -> Parsed<()> {
        self.members(sink, &mut |reader: &mut Self, _, sink: &mut Sink| reader.value(sink))
    }

    fn walk_object(&mut self, member: &mut Member<'_, 'a>) -> Parsed<()> {
        if self.byte() != Some(b'{') {
            return self.fail("expected an object");
        }
        self.members(&mut Sink::none(), member)
    }

    fn members(&mut self, sink: &mut Sink, member: &mut Member<'_, 'a>) -> Parsed<()> {
        let first = self.names.len();
        let mut many = None;
        self.bracketed(b'}', sink, |reader, sink| {
            let start = reader.at;
            // The name is kept as text in `sink` by reading it once more as a value: names with escapes are rare.
            let name = reader.string_token()?;
            if matches!(name, Cow::Owned(_)) {
                reader.again(start, |reader| reader.string_value(sink))?;
            }
            if reader.is_duplicate(&name, first, &mut many) {
                return Err(SyntaxError { what: "a member name appears twice in one object", at: start });
            }
            reader.space_in(sink);
            if reader.byte() != Some(b':') {
                return reader.fail("expected `:`");
            }
            reader.at += 1;
            reader.space_in(sink);
            member(reader, name, sink)
        })?;
        self.names.truncate(first);
        Ok(())
    }

    #[expect(clippy::ptr_arg, reason = "a name that was borrowed from the body is kept without a copy")]
    fn is_duplicate(&mut self, name: &Cow<'a, str>, first: usize, many: &mut Option<HashSet<Cow<'a, str>>>) -> bool {
        if let Some(names) = many {
            return !names.insert(name.clone());
        }
        if self.names[first..].contains(name) {
            return true;
        }
        self.names.push(name.clone());
        if self.names.len() - first > LINEAR_NAMES {
            *many = Some(self.names.drain(first..).collect());
        }
        false
    }

    /// Reads `[...]` or `{...}`: an opening byte, entries parted by commas, the closing byte.
    fn bracketed(
        &mut self,
        close: u8,
        sink: &mut Sink,
        mut entry: impl FnMut(&mut Self, &mut Sink) -> Parsed<()>,
    ) -> Parsed<()> {
        self.at += 1;
        self.deeper()?;
        self.space_in(sink);
        if self.byte() == Some(close) {
            self.at += 1;
        } else {
            loop {
                entry(self, sink)?;
                self.space_in(sink);
                match self.byte() {
                    Some(b',') => self.at += 1,
                    Some(byte) if byte == close => {
                        self.at += 1;
                        break;
                    }
                    Some(_) => return self.fail("expected `,` or the end of the array or object"),
                    None => return self.fail("the text ends within an array or object"),
                }
                self.space_in(sink);
            }
        }
        self.depth -= 1;
        Ok(())
    }
}

type Member<'m, 'a> = dyn FnMut(&mut Reader<'a>, Cow<'a, str>, &mut Sink) -> Parsed<()> + 'm;

/// Collects a value as it is kept: runs of the text, with replacements between them.
struct Sink {
    keeps: bool,
    changed: bool,
    out: Vec<u8>,
    /// Where the run begins that has not been copied yet.
    run: usize,
}

impl Sink {
    fn none() -> Self {
        Self { keeps: false, changed: false, out: Vec::new(), run: 0 }
    }

    fn from(start: usize) -> Self {
        Self { keeps: true, changed: false, out: Vec::new(), run: start }
    }

    /// The text from `start` to `end` is kept as `bytes`.
    fn replace(&mut self, text: &str, start: usize, end: usize, bytes: &[u8]) {
        if self.keeps {
            self.changed = true;
            self.out.extend_from_slice(&text.as_bytes()[self.run..start]);
            self.out.extend_from_slice(bytes);
            self.run = end;
        }
    }
}

/// A character as it stands in a string: itself, or the shortest escape where RFC 8259 demands one.
fn mandatory_escape(character: char, buffer: &mut [u8; 6]) -> &[u8] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match character {
        '"' => b"\\\"",
        '\\' => b"\\\\",
        '\u{8}' => b"\\b",
        '\u{c}' => b"\\f",
        '\n' => b"\\n",
        '\r' => b"\\r",
        '\t' => b"\\t",
        control if control < ' ' => {
            let code = control as usize;
            *buffer = [b'\\', b'u', b'0', b'0', HEX[code >> 4], HEX[code & 15]];
            buffer
        }
        other => {
            let mut utf8 = [0; 4];
            let length = other.encode_utf8(&mut utf8).len();
            buffer[..length].copy_from_slice(&utf8[..length]);
            &buffer[..length]
        }
    }
}

#[cfg(test)]
mod tests;
