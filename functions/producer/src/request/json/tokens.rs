//! Literals, numbers, strings and their escapes.

use std::borrow::Cow;

use super::sink::Sink;
use super::{Parsed, Reader, SyntaxError};

impl<'a> Reader<'a> {
    pub(super) fn literal(&mut self, word: &'static str) -> Parsed<()> {
        if self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            Ok(())
        } else {
            self.fail("expected a value")
        }
    }

    pub(super) fn number_token(&mut self) -> Parsed<()> {
        let start = self.at;
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
        let number = &self.text[start..self.at];
        // Consumers read it as a number: asked of the reader that the consumer uses, so that the two agree to the last bit.
        if may_overflow(number) && serde_json::from_str::<f64>(number).is_err() {
            return Err(SyntaxError { what: OUT_OF_RANGE, at: start });
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
        match end_of_plain_text(rest) {
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

    pub(super) fn string_token(&mut self) -> Parsed<Cow<'a, str>> {
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

    pub(super) fn string_value(&mut self, sink: &mut Sink) -> Parsed<()> {
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
        const LONE: &str = "an unpaired surrogate in a string";
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
}

/// Where the first quote, backslash or control character is. Looks at eight bytes at a time, as texts are long and few of their
/// bytes end them.
fn end_of_plain_text(text: &[u8]) -> Option<usize> {
    const fn all(byte: u8) -> u64 {
        u64::from_ne_bytes([byte; 8])
    }
    // Sets the highest bit of each byte that is less than `limit`, which is at most 128; a borrow can set it of later bytes too.
    let below = |word: u64, limit: u8| word.wrapping_sub(all(limit)) & !word;
    let (words, _) = text.as_chunks();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let found = below(word, b' ') | below(word ^ all(b'"'), 1) | below(word ^ all(b'\\'), 1);
        let found = found & all(0x80);
        if found != 0 {
            return Some(index * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let rest = words.len() * 8;
    text[rest..].iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).map(|offset| rest + offset)
}

const OUT_OF_RANGE: &str = "a number is out of range: it must fit a 64-bit float, up to about 1.8e308,";

/// Whether a number can be too large for a 64-bit float: it is long, or its exponent is.
fn may_overflow(number: &str) -> bool {
    let (digits, exponent) = number.split_once(['e', 'E']).unwrap_or((number, ""));
    digits.len() > 200 || exponent.len() > 2
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
mod tests {
    use super::end_of_plain_text;

    #[test]
    fn the_first_byte_that_ends_plain_text_is_found_wherever_it_is_and_whatever_surrounds_it() {
        for byte in 0..=u8::MAX {
            let ends = byte == b'"' || byte == b'\\' || byte < b' ';
            for (length, filler) in
                (0..35).flat_map(|length| [b' ', b'!', b'#', b']', b'\x7f', b'\xff'].map(|filler| (length, filler)))
            {
                for at in 0..length {
                    let mut text = vec![filler; length];
                    text[at] = byte;
                    assert_eq!(end_of_plain_text(&text), ends.then_some(at), "{byte} at {at} of {length} in {filler}");
                }
            }
        }
        assert_eq!(end_of_plain_text(b"123456\x00\x1f\"\\"), Some(6));
    }
}
