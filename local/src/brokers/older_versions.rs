//! Requests and answers of older versions than the crate's brokers know, down to those that Kafka 4 still takes (KIP-896): clients in
//! Node.js and Go ask with them. A request becomes one of the version that is served, and its answer one of the version that was
//! asked with. Layouts: Kafka protocol, "The Messages"; of what one version adds the other gets the default.

use super::frame_fields::{Reader, push_length, push_varint};

/// Of what has no varints and tags in any version up to the one that is served.
const NEVER: i16 = i16::MAX;

const OFFSET_FETCH: i16 = 9;

/// A kind of request.
struct Api {
    key: i16,
    /// The oldest version that is translated.
    oldest: i16,
    /// The oldest version that the crate's brokers know: what is older is translated to it.
    served: i16,
    /// The newest version that they know.
    newest: i16,
    /// The first one with varints for lengths, and tags (KIP-482).
    flexible: i16,
    request: &'static [Field],
    answer: &'static [Field],
}

/// A field of a message, in the versions that have it.
struct Field {
    layout: Layout,
    since: i16,
    until: i16,
}

#[derive(Clone, Copy)]
enum Layout {
    /// As many bytes as the default has.
    Fixed(&'static [u8]),
    /// A text, or none; with a default.
    Text(Option<&'static str>),
    Bytes,
    /// Fields over and over.
    Structs(&'static [Field]),
    /// One value over and over.
    Values(&'static Layout),
}

const BOOLEAN: Layout = Layout::Fixed(&[0]);
const INT8: Layout = Layout::Fixed(&[0]);
const INT16: Layout = Layout::Fixed(&[0; 2]);
const INT32: Layout = Layout::Fixed(&[0; 4]);
const INT64: Layout = Layout::Fixed(&[0; 8]);
const UUID: Layout = Layout::Fixed(&[0; 16]);
/// What is not known, where a number would be.
const NO_INT32: Layout = Layout::Fixed(&[0xff; 4]);
const NO_INT64: Layout = Layout::Fixed(&[0xff; 8]);
const TRUE: Layout = Layout::Fixed(&[1]);
/// No operations are told.
const NO_OPERATIONS: Layout = Layout::Fixed(&[0x80, 0, 0, 0]);
const TEXT: Layout = Layout::Text(Some(""));
const NULLABLE: Layout = Layout::Text(None);
const INT32S: Layout = Layout::Values(&INT32);

/// In every version.
const fn always(layout: Layout) -> Field {
    Field { layout, since: 0, until: i16::MAX }
}

const fn since(version: i16, layout: Layout) -> Field {
    Field { layout, since: version, until: i16::MAX }
}

const fn between(since: i16, until: i16, layout: Layout) -> Field {
    Field { layout, since, until }
}

const fn structs(fields: &'static [Field]) -> Layout {
    Layout::Structs(fields)
}

#[rustfmt::skip]
static APIS: [Api; 13] = [
    // Produce: transaction, acks, timeout, topics with the records of their partitions.
    Api { key: 0, oldest: 3, served: 9, newest: 12, flexible: 9,
        request: &[always(NULLABLE), always(INT16), always(INT32), always(structs(&[always(TEXT), always(structs(&[
            always(INT32), always(Layout::Bytes)]))]))],
        // Partition, error, first offset, time, first offset kept, errors of records, message.
        answer: &[always(structs(&[always(TEXT), always(structs(&[
            always(INT32), always(INT16), always(INT64), always(INT64), since(5, NO_INT64),
            since(8, structs(&[always(INT32), always(NULLABLE)])), since(8, NULLABLE)]))])), since(1, INT32)] },
    // Fetch: replica, wait, bytes at least and at most, isolation, session, topics, forgotten ones, rack.
    Api { key: 1, oldest: 4, served: 11, newest: 11, flexible: NEVER,
        request: &[always(INT32), always(INT32), always(INT32), always(INT32), always(INT8),
            since(7, INT32), since(7, NO_INT32),
            always(structs(&[always(TEXT), always(structs(&[
                always(INT32), since(9, NO_INT32), always(INT64), since(5, NO_INT64), always(INT32)]))])),
            since(7, structs(&[always(TEXT), always(INT32S)])), since(11, TEXT)],
        // Partition, error, high watermark, last stable and first offset, aborted transactions, preferred replica, records.
        answer: &[always(INT32), since(7, INT16), since(7, INT32), always(structs(&[always(TEXT), always(structs(&[
            always(INT32), always(INT16), always(INT64), always(INT64), since(5, NO_INT64),
            always(structs(&[always(INT64), always(INT64)])), since(11, NO_INT32), always(Layout::Bytes)]))]))] },
    // ListOffsets: replica, isolation, topics with the times looked for.
    Api { key: 2, oldest: 1, served: 5, newest: 11, flexible: NEVER,
        request: &[always(INT32), since(2, INT8), always(structs(&[always(TEXT), always(structs(&[
            always(INT32), since(4, NO_INT32), always(INT64)]))]))],
        answer: &[since(2, INT32), always(structs(&[always(TEXT), always(structs(&[
            always(INT32), always(INT16), always(INT64), always(INT64), since(4, NO_INT32)]))]))] },
    // Metadata: topics by id or name, whether they are made, whether operations are told. Version 0 has another word for all topics.
    Api { key: 3, oldest: 1, served: 12, newest: 12, flexible: 9,
        request: &[always(structs(&[since(10, UUID), always(TEXT)])), since(4, TRUE), between(8, 10, BOOLEAN),
            since(8, BOOLEAN)],
        // Brokers, cluster, controller, topics with partitions: error, leader and its epoch, replicas in and out of synchronisation.
        answer: &[since(3, INT32), always(structs(&[always(INT32), always(TEXT), always(INT32), always(NULLABLE)])),
            since(2, NULLABLE), always(INT32), always(structs(&[
                always(INT16), always(TEXT), since(10, UUID), always(BOOLEAN), always(structs(&[
                    always(INT16), always(INT32), always(INT32), since(7, NO_INT32), always(INT32S), always(INT32S),
                    since(5, INT32S)])),
                since(8, NO_OPERATIONS)])), between(8, 10, NO_OPERATIONS)] },
    // OffsetCommit: group, generation, member, instance, how long to keep them, offsets.
    Api { key: 8, oldest: 2, served: 7, newest: 9, flexible: NEVER,
        request: &[always(TEXT), always(INT32), always(TEXT), since(7, NULLABLE), between(2, 4, NO_INT64),
            always(structs(&[always(TEXT), always(structs(&[
                always(INT32), always(INT64), since(6, NO_INT32), always(NULLABLE)]))]))],
        answer: &[since(3, INT32), always(structs(&[always(TEXT), always(structs(&[always(INT32), always(INT16)]))]))] },
    // OffsetFetch: group, topics, or none for all.
    Api { key: OFFSET_FETCH, oldest: 1, served: 5, newest: 9, flexible: NEVER,
        request: &[always(TEXT), always(structs(&[always(TEXT), always(INT32S)]))],
        answer: &[since(3, INT32), always(structs(&[always(TEXT), always(structs(&[
            always(INT32), always(INT64), since(5, NO_INT32), always(NULLABLE), always(INT16)]))])), since(2, INT16)] },
    // FindCoordinator: what it coordinates, and of which kind that is.
    Api { key: 10, oldest: 0, served: 2, newest: 2, flexible: NEVER,
        request: &[always(TEXT), since(1, INT8)],
        answer: &[since(1, INT32), always(INT16), since(1, TEXT), always(INT32), always(TEXT), always(INT32)] },
    // JoinGroup: group, timeouts of session and rebalance, member, instance, protocols.
    Api { key: 11, oldest: 0, served: 5, newest: 5, flexible: NEVER,
        request: &[always(TEXT), always(INT32), since(1, NO_INT32), always(TEXT), since(5, NULLABLE), always(TEXT),
            always(structs(&[always(TEXT), always(Layout::Bytes)]))],
        answer: &[since(2, INT32), always(INT16), always(INT32), always(TEXT), always(TEXT), always(TEXT),
            always(structs(&[always(TEXT), since(5, NULLABLE), always(Layout::Bytes)]))] },
    // Heartbeat: group, generation, member, instance.
    Api { key: 12, oldest: 0, served: 3, newest: 3, flexible: NEVER,
        request: &[always(TEXT), always(INT32), always(TEXT), since(3, NULLABLE)],
        answer: &[since(1, INT32), always(INT16)] },
    // SyncGroup: group, generation, member, instance, assignments.
    Api { key: 14, oldest: 0, served: 3, newest: 3, flexible: NEVER,
        request: &[always(TEXT), always(INT32), always(TEXT), since(3, NULLABLE),
            always(structs(&[always(TEXT), always(Layout::Bytes)]))],
        answer: &[since(1, INT32), always(INT16), always(Layout::Bytes)] },
    // DescribeGroups: groups, whether operations are told.
    Api { key: 15, oldest: 0, served: 4, newest: 4, flexible: NEVER,
        request: &[always(Layout::Values(&TEXT)), since(3, BOOLEAN)],
        // Error, group, state, protocol, members with what they subscribed to and what they got.
        answer: &[since(1, INT32), always(structs(&[
            always(INT16), always(TEXT), always(TEXT), always(TEXT), always(TEXT), always(structs(&[
                always(TEXT), since(4, NULLABLE), always(TEXT), always(TEXT), always(Layout::Bytes),
                always(Layout::Bytes)])),
            since(3, NO_OPERATIONS)]))] },
    // CreateTopics: name, partitions, replicas, where they are, settings; how long to wait, whether to try only.
    Api { key: 19, oldest: 2, served: 4, newest: 4, flexible: NEVER,
        request: &[always(structs(&[always(TEXT), always(INT32), always(INT16),
            always(structs(&[always(INT32), always(INT32S)])), always(structs(&[always(TEXT), always(NULLABLE)]))])),
            always(INT32), always(BOOLEAN)],
        answer: &[always(INT32), always(structs(&[always(TEXT), always(INT16), always(NULLABLE)]))] },
    // DeleteTopics: names, how long to wait.
    Api { key: 20, oldest: 1, served: 3, newest: 3, flexible: NEVER,
        request: &[always(Layout::Values(&TEXT)), always(INT32)],
        answer: &[always(INT32), always(structs(&[always(TEXT), always(INT16)]))] },
];

/// What is offered of each kind of request that is translated: its key, the oldest and the newest version.
pub(super) fn offered() -> impl Iterator<Item = (i16, i16, i16)> {
    APIS.iter().map(|api| (api.key, api.oldest, api.newest))
}

/// What an older request was asked with.
#[derive(Clone, Copy)]
pub(super) struct OlderVersion {
    api: &'static Api,
    version: i16,
}

impl OlderVersion {
    /// That of a request which has to be translated; `None` for every other frame.
    pub(super) fn from_frame(frame: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(frame);
        let (key, version) = (reader.int16()?, reader.int16()?);
        let api = APIS.iter().find(|api| api.key == key)?;
        (api.oldest..api.served).contains(&version).then_some(Self { api, version })
    }

    pub(super) fn number(self) -> i16 {
        self.version
    }

    /// The request in the version that is served; `None` if it is not one.
    pub(super) fn request(self, frame: &[u8]) -> Option<Vec<u8>> {
        let Self { api, version } = self;
        let mut reader = Reader::new(frame);
        reader.skip_request_header()?;
        let mut request = [api.key.to_be_bytes(), api.served.to_be_bytes()].concat();
        request.extend(&frame[request.len()..reader.position()]);
        self.translation(version, api.served).message(&mut reader, api.request, &mut request)?;
        Some(request)
    }

    /// The answer in the version that was asked with; `None` if it is not one, or that version has its error elsewhere.
    pub(super) fn answer(self, frame: &[u8]) -> Option<Vec<u8>> {
        let Self { api, version } = self;
        // From version 2 on the error of the whole request stands at the end. Before, it is that of each partition that was asked for,
        // which the answer does not name: the connection ends, and the client asks again.
        if api.key == OFFSET_FETCH && version < 2 && !frame.ends_with(&[0, 0]) {
            return None;
        }
        let mut reader = Reader::new(frame);
        // Correlation id.
        let mut answer = reader.take(4)?.to_vec();
        self.translation(api.served, version).message(&mut reader, api.answer, &mut answer)?;
        Some(answer)
    }

    fn translation(self, from: i16, to: i16) -> Translation {
        let is_flexible = |version| version >= self.api.flexible;
        Translation { from, to, from_flexible: is_flexible(from), to_flexible: is_flexible(to) }
    }
}

struct Translation {
    from: i16,
    to: i16,
    from_flexible: bool,
    to_flexible: bool,
}

impl Translation {
    /// The tags of the header, and all fields to the end of the frame.
    fn message(&self, reader: &mut Reader<'_>, fields: &[Field], to: &mut Vec<u8>) -> Option<()> {
        self.tags(reader, to)?;
        self.fields(reader, fields, to)?;
        reader.is_at_end().then_some(())
    }

    fn fields(&self, reader: &mut Reader<'_>, fields: &[Field], to: &mut Vec<u8>) -> Option<()> {
        for field in fields {
            let has = |version| (field.since..=field.until).contains(&version);
            match (has(self.from), has(self.to)) {
                (true, true) => self.value(reader, field.layout, to)?,
                (true, false) => self.value(reader, field.layout, &mut Vec::new())?,
                (false, true) => self.default(field.layout, to),
                (false, false) => {}
            }
        }
        self.tags(reader, to)
    }

    fn value(&self, reader: &mut Reader<'_>, layout: Layout, to: &mut Vec<u8>) -> Option<()> {
        let short = matches!(layout, Layout::Text(_));
        if let Layout::Fixed(default) = layout {
            to.extend(reader.take(default.len())?);
            return Some(());
        }
        let length = self.length(reader, short)?;
        push_length(to, length, self.to_flexible, short);
        let Some(length) = length else { return Some(()) };
        match layout {
            Layout::Structs(fields) => (0..length).try_for_each(|_| self.fields(reader, fields, to)),
            Layout::Values(layout) => (0..length).try_for_each(|_| self.value(reader, *layout, to)),
            _ => {
                to.extend(reader.take(length)?);
                Some(())
            }
        }
    }

    /// A count of bytes or items; `Some(None)` for null.
    fn length(&self, reader: &mut Reader<'_>, short: bool) -> Option<Option<usize>> {
        if self.from_flexible {
            return Some(reader.varint()?.checked_sub(1));
        }
        let length = if short { reader.int16()?.into() } else { reader.int32()? };
        Some(usize::try_from(length).ok())
    }

    fn default(&self, layout: Layout, to: &mut Vec<u8>) {
        match layout {
            Layout::Fixed(bytes) => to.extend(bytes),
            Layout::Text(text) => {
                push_length(to, text.map(str::len), self.to_flexible, true);
                to.extend(text.into_iter().flat_map(str::bytes));
            }
            Layout::Bytes | Layout::Structs(_) | Layout::Values(_) => {
                push_length(to, Some(0), self.to_flexible, false);
            }
        }
    }

    /// The end of a struct: tags of which nothing is known here are left out.
    fn tags(&self, reader: &mut Reader<'_>, to: &mut Vec<u8>) -> Option<()> {
        if self.from_flexible {
            reader.skip_tags()?;
        }
        if self.to_flexible {
            push_varint(to, 0);
        }
        Some(())
    }
}

#[cfg(test)]
mod tests;
