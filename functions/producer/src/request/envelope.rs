//! The body of Kafka REST v2: `{"records":[{"key":...,"value":...}, ...]}`.

use bytes::Bytes;

use super::draft::Draft;
use super::drafts::Drafts;
use super::faults::{FaultCollector, FaultKind, Places};
use super::json::{JsonType, Parsed, Reader};
use super::record_fields::{Field, escaped};
use crate::format::{Format, ValueFormat};

/// How a body is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    /// The format of keys and values, unless a record specifies another.
    pub(crate) format: Format,
    /// Whether unknown fields, a missing `value` and numbers in other forms are rejected (`COMPATIBILITY=strict`).
    pub(crate) strict: bool,
    /// How many records a request may have.
    pub(crate) max_records: usize,
}

/// A decoded body.
#[derive(Debug)]
pub(crate) struct Envelope {
    /// Its records, and what is wrong with them.
    pub(crate) drafts: Drafts,
    /// Whether `records` is present and an array.
    pub(crate) has_records: bool,
}

/// Reads a body. Only text that is not JSON is an error here; everything else is noted in the envelope.
///
/// # Errors
/// [`super::json::SyntaxError`]
pub(crate) fn read(body: &Bytes, reading: Reading) -> Parsed<Envelope> {
    let mut reader = Reader::new(body)?;
    let drafts = Drafts::new(Places::Envelope, "`records` is empty; send at least one record");
    let mut envelope = Envelope { drafts, has_records: false };
    let json_type = reader.peek()?;
    if json_type == JsonType::Object {
        reader.object(|reader, member| envelope.member(reader, member, reading))?;
        if !envelope.has_records && envelope.drafts.faults.kind().is_none() {
            envelope.drafts.faults.note(FaultKind::Invalid, "/records", "missing; must be an array of records");
        }
    } else {
        reader.skip()?;
        let detail = format!("the body must be an object with `records`, not {}", json_type.name());
        envelope.drafts.faults.note(FaultKind::Invalid, "", detail);
    }
    reader.end()?;
    Ok(envelope)
}

impl Envelope {
    fn member(&mut self, reader: &mut Reader<'_>, member: &str, reading: Reading) -> Parsed<()> {
        let json_type = reader.peek()?;
        match member {
            "records" if json_type == JsonType::Array => {
                self.has_records = true;
                reader.array(|reader, index| self.record(reader, index, reading))
            }
            "records" => {
                self.drafts.faults.note(
                    FaultKind::Invalid,
                    "/records",
                    format!("must be an array, not {}", json_type.name()),
                );
                reader.skip()
            }
            // Confluent's clients may send these as null.
            "key_schema" | "key_schema_id" | "value_schema" | "value_schema_id" if json_type == JsonType::Null => {
                reader.skip()
            }
            _ => {
                if reading.strict {
                    self.drafts.faults.note(
                        FaultKind::Invalid,
                        format!("/{}", escaped(member)),
                        "unknown field; the body may have only `records`",
                    );
                }
                reader.skip()
            }
        }
    }

    fn record(&mut self, reader: &mut Reader<'_>, index: usize, reading: Reading) -> Parsed<()> {
        self.drafts.count = index + 1;
        if index >= reading.max_records {
            return reader.skip();
        }
        let json_type = reader.peek()?;
        if json_type == JsonType::Object {
            let record = record(reader, index, reading, &mut self.drafts.faults)?;
            self.drafts.records.push(record);
            return Ok(());
        }
        let detail = format!("a record must be an object with `value`, not {}", json_type.name());
        self.drafts.faults.note(FaultKind::Invalid, format!("/records/{index}"), detail);
        reader.skip()
    }
}

/// A key or value that was read in the format known so far.
struct EarlyRead {
    position: usize,
    format: Format,
    bytes: Option<Bytes>,
}

fn record(reader: &mut Reader<'_>, index: usize, reading: Reading, faults: &mut FaultCollector) -> Parsed<Draft> {
    let mut draft = Draft::default();
    let (mut key, mut value): (Option<EarlyRead>, Option<EarlyRead>) = (None, None);
    let (mut key_format, mut value_format) = (None, None);
    let (fallback, lenient) = (reading.format, !reading.strict);
    // A format may come after its key or value, so those are read in the format known so far, and again if it turns out to be another.
    reader.object(|reader, member| {
        let pointer = || format!("/records/{index}/{}", escaped(member));
        let mut field = Field { reader, faults, pointer: &pointer, lenient };
        match member {
            "key" => key = Some(EarlyRead::new(field.reader, key_format.unwrap_or(fallback))?),
            "value" => value = Some(EarlyRead::new(field.reader, value_format.unwrap_or(fallback))?),
            "key_format" => key_format = field.format()?,
            "value_format" => value_format = field.format()?,
            "partition" => draft.partition = field.partition()?,
            "timestamp" => draft.timestamp_ms = field.timestamp()?,
            "headers" => draft.headers = field.headers()?.unwrap_or_default(),
            _ => {
                field.reader.skip()?;
                if reading.strict {
                    faults.note(FaultKind::Invalid, pointer(), UNKNOWN_FIELD);
                }
            }
        }
        Ok(())
    })?;
    if value.is_none() && reading.strict {
        faults.note(FaultKind::Invalid, format!("/records/{index}"), "`value` is missing; null writes a tombstone");
    }
    let key_format = key_format.unwrap_or(fallback);
    let value_format = value_format.unwrap_or(fallback);
    draft.value_format = Some(ValueFormat::Field(value_format));
    if let Some(key) = key {
        let pointer = || format!("/records/{index}/key");
        draft.key = key.in_format(key_format, Field { reader, faults, pointer: &pointer, lenient })?;
    }
    if let Some(value) = value {
        let pointer = || format!("/records/{index}/value");
        draft.value = value.in_format(value_format, Field { reader, faults, pointer: &pointer, lenient })?;
    }
    Ok(draft)
}

const UNKNOWN_FIELD: &str =
    "unknown field; a record may have value, key, key_format, value_format, partition, timestamp, headers";

impl EarlyRead {
    fn new(reader: &mut Reader<'_>, format: Format) -> Parsed<Self> {
        reader.peek()?;
        let position = reader.position();
        // If this gives no bytes, the value is read again, with its faults noted, once the format is certain.
        let faults = &mut FaultCollector::default();
        let bytes = Field { reader, faults, pointer: &String::new, lenient: false }.key_or_value(format)?;
        Ok(Self { position, format, bytes })
    }

    fn in_format(self, format: Format, field: Field<'_, '_>) -> Parsed<Option<Bytes>> {
        if self.format == format && self.bytes.is_some() {
            return Ok(self.bytes);
        }
        let Field { reader, faults, pointer, lenient } = field;
        reader.again(self.position, |reader| Field { reader, faults, pointer, lenient }.key_or_value(format))
    }
}
