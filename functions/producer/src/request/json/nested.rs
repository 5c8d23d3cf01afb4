//! Arrays, objects and what is in them.

use std::borrow::Cow;
use std::collections::HashSet;

use super::sink::Sink;
use super::{MAX_DEPTH, Parsed, Reader, SyntaxError};

/// Up to this many members an object's names are compared one by one; above, they are hashed.
const LINEAR_NAMES: usize = 16;

type Member<'m, 'a> = dyn FnMut(&mut Reader<'a>, Cow<'a, str>, &mut Sink) -> Parsed<()> + 'm;

impl<'a> Reader<'a> {
    pub(super) fn value(&mut self, sink: &mut Sink) -> Parsed<()> {
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

    fn array_value(&mut self, sink: &mut Sink) -> Parsed<()> {
        self.bracketed(b']', sink, |reader, sink| reader.value(sink))
    }

    pub(super) fn walk_array(&mut self, item: &mut dyn FnMut(&mut Self) -> Parsed<()>) -> Parsed<()> {
        if self.byte() != Some(b'[') {
            return self.fail("expected an array");
        }
        self.bracketed(b']', &mut Sink::none(), |reader, _| item(reader))
    }

    fn object_value(&mut self, sink: &mut Sink) -> Parsed<()> {
        self.members(sink, &mut |reader: &mut Self, _, sink: &mut Sink| reader.value(sink))
    }

    pub(super) fn walk_object(&mut self, member: &mut Member<'_, 'a>) -> Parsed<()> {
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

    fn deeper(&mut self) -> Parsed<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH { self.fail("nesting deeper than 128 levels") } else { Ok(()) }
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
