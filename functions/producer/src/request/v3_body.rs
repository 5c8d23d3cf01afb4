//! Bodies of Confluent's REST API v3: a record as an object, several one after the other, or `{"entries":[...]}`
//! (<https://docs.confluent.io/cloud/current/api.html#tag/Records-(v3)>).

use std::collections::HashSet;

use bytes::Bytes;

use super::draft::Draft;
use super::drafts::Drafts;
use super::faults::{FaultCollector, FaultKind, Places};
use super::json::{JsonType, Parsed, Reader};
use super::record_fields::{Field, escaped};
use crate::format::{Format, ValueFormat};

/// Longest id of a batch's entry, in characters, as Confluent documents it.
pub(crate) const MAX_ID_CHARACTERS: usize = 80;

/// How a body is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    /// Whether unknown and missing fields are rejected (`COMPATIBILITY=strict`).
    pub(crate) strict: bool,
    /// How many records a request may have.
    pub(crate) max_records: usize,
}

/// What the answer repeats of a record.
#[derive(Debug, Default)]
pub(crate) struct Entry {
    /// The entry's id in a batch.
    pub(crate) id: Option<String>,
    /// The key and the value, if the record says their types.
    pub(crate) key: Option<Stored>,
    pub(crate) value: Option<Stored>,
}

/// A key or value as it is stored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stored {
    pub(crate) format: Format,
    /// In bytes; null has none.
    pub(crate) size: usize,
}

/// A decoded body.
#[derive(Debug)]
pub(crate) struct Entries {
    /// Its records, and what is wrong with them.
    pub(crate) drafts: Drafts,
    /// One for each draft.
    pub(crate) entries: Vec<Entry>,
}

/// Reads one record, or several one after the other.
///
/// # Errors
/// [`super::json::SyntaxError`]
pub(crate) fn records(body: &Bytes, reading: Reading) -> Parsed<Entries> {
    let mut reader = Reader::new(body)?;
    let mut read = Entries::new(Places::V3Record);
    loop {
        read.entry(&mut reader, reading, false)?;
        if reader.at_end() {
            return Ok(read);
        }
        read.are_several();
    }
}

/// Reads a batch.
///
/// # Errors
/// [`super::json::SyntaxError`]
pub(crate) fn batch(body: &Bytes, reading: Reading) -> Parsed<Entries> {
    let mut reader = Reader::new(body)?;
    let mut read = Entries::new(Places::V3Entries);
    let mut has_entries = false;
    let json_type = reader.peek()?;
    if json_type != JsonType::Object {
        let detail = format!("the body must be an object with `entries`, not {}", json_type.name());
        read.drafts.faults.note(FaultKind::Invalid, "", detail);
        reader.skip()?;
    } else {
        reader.object(|reader, member| {
            let json_type = reader.peek()?;
            match member {
                "entries" if json_type == JsonType::Array => {
                    has_entries = true;
                    return reader.array(|reader, _| read.entry(reader, reading, true));
                }
                "entries" => {
                    has_entries = true;
                    let detail = format!("must be an array, not {}", json_type.name());
                    read.drafts.faults.note(FaultKind::Invalid, "/entries", detail);
                }
                _ if reading.strict => {
                    let detail = "unknown field; the body may have only `entries`";
                    read.drafts.faults.note(FaultKind::Invalid, format!("/{}", escaped(member)), detail);
                }
                _ => {}
            }
            reader.skip()
        })?;
        if !has_entries {
            read.drafts.faults.note(FaultKind::Invalid, "/entries", "missing; must be an array of records with ids");
        }
    }
    reader.end()?;
    read.check_ids();
    Ok(read)
}

impl Entries {
    fn new(places: Places) -> Self {
        let drafts = Drafts::new(places, "`entries` is empty; send at least one record");
        Self { drafts, entries: Vec::new() }
    }

    /// One record is not alone any more: its faults get its place in the row.
    fn are_several(&mut self) {
        if self.drafts.places() == Places::V3Record {
            self.drafts.faults.set_places(Places::V3Records);
            self.drafts.faults.put_under("/records/0");
        }
    }

    /// Reads the next record.
    fn entry(&mut self, reader: &mut Reader<'_>, reading: Reading, has_id: bool) -> Parsed<()> {
        let index = self.drafts.count;
        self.drafts.count += 1;
        if index >= reading.max_records {
            return reader.skip();
        }
        let place = self.drafts.places().record(index);
        let json_type = reader.peek()?;
        if json_type != JsonType::Object {
            let detail = format!("a record must be an object with `value`, not {}", json_type.name());
            self.drafts.faults.note(FaultKind::Invalid, place, detail);
            return reader.skip();
        }
        let (entry, draft) = entry(reader, &place, reading, has_id, &mut self.drafts.faults)?;
        self.entries.push(entry);
        self.drafts.records.push(draft);
        Ok(())
    }

    /// The answer tells entries apart by their ids.
    fn check_ids(&mut self) {
        let mut seen = HashSet::new();
        for (index, entry) in self.entries.iter().enumerate() {
            if entry.id.as_deref().is_some_and(|id| !seen.insert(id)) {
                let place = format!("{}/id", self.drafts.places().record(index));
                self.drafts.faults.note(FaultKind::Invalid, place, "appears twice; ids must differ within a request");
            }
        }
    }
}

fn entry(
    reader: &mut Reader<'_>,
    place: &str,
    reading: Reading,
    has_id: bool,
    faults: &mut FaultCollector,
) -> Parsed<(Entry, Draft)> {
    let (mut entry, mut draft) = (Entry::default(), Draft::default());
    let (mut has_value, lenient) = (false, !reading.strict);
    reader.object(|reader, member| {
        let pointer = || format!("{place}/{}", escaped(member));
        let mut field = Field { reader, faults, pointer: &pointer, lenient };
        match member {
            "id" if has_id => entry.id = id(&mut field)?,
            "partition_id" => draft.partition = field.partition()?,
            "timestamp" => draft.timestamp_ms = field.timestamp()?,
            "headers" => draft.headers = field.headers()?.unwrap_or_default(),
            "key" => (entry.key, draft.key) = key_or_value(field)?,
            "value" => {
                has_value = true;
                (entry.value, draft.value) = key_or_value(field)?;
                draft.value_format = entry.value.map(|stored| ValueFormat::Field(stored.format));
            }
            _ => {
                field.reader.skip()?;
                if reading.strict {
                    field.invalid("unknown field; a record may have value, key, partition_id, timestamp, headers");
                }
            }
        }
        Ok(())
    })?;
    if has_id && entry.id.is_none() {
        faults.note(FaultKind::Invalid, format!("{place}/id"), ID_RULE);
    }
    if !has_value && reading.strict {
        faults.note(FaultKind::Invalid, place, "`value` is missing; null writes a tombstone");
    }
    Ok((entry, draft))
}

const ID_RULE: &str = "each entry needs an id: a string of 1 to 80 characters";

fn id(field: &mut Field<'_, '_>) -> Parsed<Option<String>> {
    if field.reader.peek()? != JsonType::String {
        return field.reader.skip().map(|()| None);
    }
    let id = field.reader.string()?;
    Ok((1..=MAX_ID_CHARACTERS).contains(&id.chars().take(MAX_ID_CHARACTERS + 1).count()).then(|| id.into_owned()))
}

/// A key or value: `{"type":"BINARY","data":"..."}`. Without `data`, or with null, it is null.
fn key_or_value(mut field: Field<'_, '_>) -> Parsed<(Option<Stored>, Option<Bytes>)> {
    match field.reader.peek()? {
        JsonType::Object => {}
        JsonType::Null => return field.reader.skip().map(|()| (None, None)),
        _ => return Ok((None, field.wrong_type("an object with `type` and `data`")?)),
    }
    let (mut has_type, mut format, mut data) = (false, None, None);
    let Field { reader, faults, pointer, lenient } = field;
    reader.object(|reader, member| {
        let place = || format!("{}/{}", pointer(), escaped(member));
        let mut field = Field { reader, faults, pointer: &place, lenient };
        match member {
            "type" => {
                has_type = true;
                format = type_name(&mut field)?;
            }
            "data" => {
                field.reader.peek()?;
                data = Some(field.reader.position());
                field.reader.skip()?;
            }
            _ => {
                field.reader.skip()?;
                if !lenient {
                    field.invalid("unknown field; it may have `type` and `data` (schema registries are not supported)");
                }
            }
        }
        Ok(())
    })?;
    let mut note =
        |member: &str, detail: &str| faults.note(FaultKind::Invalid, format!("{}/{member}", pointer()), detail);
    if !has_type {
        note("type", TYPE_RULE);
    }
    if data.is_none() && !lenient {
        note("data", "missing; null is allowed");
    }
    let (Some(format), Some(position)) = (format, data) else {
        return Ok((format.map(|format| Stored { format, size: 0 }), None));
    };
    let pointer = || format!("{}/data", pointer());
    let bytes =
        reader.again(position, |reader| Field { reader, faults, pointer: &pointer, lenient }.key_or_value(format))?;
    Ok((Some(Stored { format, size: bytes.as_ref().map_or(0, Bytes::len) }), bytes))
}

const TYPE_RULE: &str = "must be `BINARY`, `JSON` or `STRING`; schema registries are not supported";

/// The words of API v3 for formats.
pub(crate) fn type_of(format: Format) -> &'static str {
    match format {
        Format::Binary => "BINARY",
        Format::Json => "JSON",
        Format::Text => "STRING",
    }
}

fn type_name(field: &mut Field<'_, '_>) -> Parsed<Option<Format>> {
    if field.reader.peek()? != JsonType::String {
        return field.wrong_type("`BINARY`, `JSON` or `STRING`");
    }
    let word = field.reader.string()?;
    let format = Format::ALL.into_iter().find(|format| type_of(*format).eq_ignore_ascii_case(&word));
    if format.is_none() {
        field.invalid(TYPE_RULE);
    }
    Ok(format)
}
