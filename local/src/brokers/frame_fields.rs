//! The fields of a Kafka frame (Kafka protocol, "Protocol Primitive Types"). What reads gives `None` wherever the frame ends too early.

/// Reads a frame from its start.
pub(super) struct Reader<'a> {
    frame: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(frame: &'a [u8]) -> Self {
        Self { frame, at: 0 }
    }

    /// How many bytes have been read.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.frame.len()
    }

    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count)?;
        let taken = self.frame.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    pub(super) fn int16(&mut self) -> Option<i16> {
        self.take(2)?.try_into().map(i16::from_be_bytes).ok()
    }

    pub(super) fn int32(&mut self) -> Option<i32> {
        self.take(4)?.try_into().map(i32::from_be_bytes).ok()
    }

    /// A text with its length before it; a null one is empty.
    pub(super) fn string(&mut self) -> Option<String> {
        self.nullable_string().map(Option::unwrap_or_default)
    }

    pub(super) fn nullable_string(&mut self) -> Option<Option<String>> {
        let Ok(length) = usize::try_from(self.int16()?) else { return Some(None) };
        String::from_utf8(self.take(length)?.to_vec()).ok().map(Some)
    }

    /// Bytes with their length before them; null ones are empty.
    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.int32()?;
        self.take(Self::length(length))
    }

    /// As many items as the number before them says.
    pub(super) fn array<T>(&mut self, mut item: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.int32()?;
        // Not collected at once: a count is only a claim until its items are there.
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(item(self)?);
        }
        Some(items)
    }

    /// A length that may be -1, for null: then nothing follows.
    pub(super) fn length(length: i32) -> usize {
        usize::try_from(length).unwrap_or(0)
    }

    /// What precedes each request: key, version, correlation id, client. Tags follow where the version has them.
    pub(super) fn skip_request_header(&mut self) -> Option<()> {
        self.take(2 + 2 + 4)?;
        let client = self.int16()?;
        self.take(Self::length(client.into())).map(drop)
    }

    /// Tagged fields, of which nothing is known here (KIP-482).
    pub(super) fn skip_tags(&mut self) -> Option<()> {
        for _ in 0..self.varint()? {
            self.varint()?;
            let length = self.varint()?;
            self.take(length)?;
        }
        Some(())
    }

    /// Bytes or a text whose length is a varint, one more than it is; null ones are empty.
    pub(super) fn compact_bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.varint()?.saturating_sub(1);
        self.take(length)
    }

    /// An unsigned varint.
    pub(super) fn varint(&mut self) -> Option<usize> {
        let mut value = 0;
        for shift in (0..35).step_by(7) {
            let byte = *self.take(1)?.first()?;
            value |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

/// The length of a text, if `short`, of bytes or of an array; `None` for null.
pub(super) fn push_length(frame: &mut Vec<u8>, length: Option<usize>, flexible: bool, short: bool) {
    if flexible {
        // One more than it is: 0 stands for null.
        push_varint(frame, length.map_or(0, |length| length + 1));
    } else if short {
        frame.extend(length.map_or(-1, |length| i16::try_from(length).unwrap_or(i16::MAX)).to_be_bytes());
    } else {
        frame.extend(length.map_or(-1, |length| i32::try_from(length).unwrap_or(i32::MAX)).to_be_bytes());
    }
}

/// An unsigned varint.
pub(super) fn push_varint(frame: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        frame.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    frame.push(value as u8);
}
