//! The body of Kafka REST v2: `{"records":[{"key":...,"value":...}, ...]}`.

use bytes::Bytes;

use super::draft::Draft;
use super::faults::{FaultCollector, FaultKind, Faults};
use super::json::{JsonType, Reader, SyntaxError};
use super::record_fields::{self, escaped};
use crate::format::Format;

/// How a body is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    /// The format of keys and values, unless a record says otherwise.
    pub(crate) format: Format,
    /// Whether unknown fields are refused (`COMPATIBILITY=strict`).
    pub(crate) strict: bool,
    /// Most records taken.
    pub(crate) max_records: usize,
}

/// A body that decodes: its records, and what is wrong with them.
#[derive(Debug, Default)]
pub(crate) struct Envelope {
    /// The records, at most `max_records`.
    pub(crate) records: Vec<Draft>,
    /// Whether `records` is there and an array.
    pub(crate) has_records: bool,
    /// How many records the body has.
    pub(crate) count: usize,
    /// What is wrong with them.
    pub(crate) faults: FaultCollector,
}

/// Reads a body. Only text that is not JSON is an error here; everything else is noted in the envelope.
///
/// # Errors
/// [`SyntaxError`]
pub(crate) fn read(body: &Bytes, reading: Reading) -> Result<Envelope, SyntaxError> {
    let mut reader = Reader::new(body)?;
    let mut envelope = Envelope::default();
    let json_type = reader.peek()?;
    if json_type == JsonType::Object {
        reader.object(|reader, member| envelope.member(reader, member, reading))?;
        if !envelope.has_records && envelope.faults.kind().is_none() {
            envelope.faults.note(FaultKind::Invalid, "/records", "missing; give an array of records");
        }
    } else {
        reader.skip()?;
        let detail = format!("the body must be an object with `records`, not {}", json_type.name());
        envelope.faults.note(FaultKind::Invalid, "", detail);
    }
    reader.end()?;
    Ok(envelope)
}

impl Envelope {
    /// Refuses a body without records, and one with too many.
    ///
    /// # Errors
    /// [`FaultKind::RecordCount`], with the numbers.
    pub(crate) fn check_count(&self, max_records: usize) -> Result<(), Faults> {
        match self.count {
            0 if self.has_records => {
                Err(Faults::new(FaultKind::RecordCount, "`records` is empty; give at least one record"))
            }
            count if count > max_records => Err(Faults::new(
                FaultKind::RecordCount,
                format!("the request has {count} records; the limit is {max_records} (MAX_RECORDS)"),
            )),
            _ => Ok(()),
        }
    }

    fn member(&mut self, reader: &mut Reader<'_>, member: &str, reading: Reading) -> Result<(), SyntaxError> {
        let json_type = reader.peek()?;
        match member {
            "records" if json_type == JsonType::Array => {
                self.has_records = true;
                reader.array(|reader, index| self.record(reader, index, reading))
            }
            "records" => {
                self.faults.note(FaultKind::Invalid, "/records", format!("must be an array, not {}", json_type.name()));
                reader.skip()
            }
            // Confluent's clients may send these as null.
            "key_schema" | "key_schema_id" | "value_schema" | "value_schema_id" if json_type == JsonType::Null => {
                reader.skip()
            }
            _ => {
                if reading.strict {
                    self.faults.note(
                        FaultKind::Invalid,
                        format!("/{}", escaped(member)),
                        "unknown field; the body has `records` only",
                    );
                }
                reader.skip()
            }
        }
    }

    fn record(&mut self, reader: &mut Reader<'_>, index: usize, reading: Reading) -> Result<(), SyntaxError> {
        self.count = index + 1;
        if index >= reading.max_records {
            return reader.skip();
        }
        let json_type = reader.peek()?;
        if json_type == JsonType::Object {
            let record = record(reader, index, reading, &mut self.faults)?;
            self.records.push(record);
            return Ok(());
        }
        let detail = format!("a record must be an object with `value`, not {}", json_type.name());
        self.faults.note(FaultKind::Invalid, format!("/records/{index}"), detail);
        reader.skip()
    }
}

/// A key or value that was read in the format known so far.
struct KeyOrValue {
    position: usize,
    read_as: Format,
    bytes: Option<Bytes>,
}

fn record(
    reader: &mut Reader<'_>,
    index: usize,
    reading: Reading,
    faults: &mut FaultCollector,
) -> Result<Draft, SyntaxError> {
    let mut draft = Draft::default();
    let (mut key, mut value): (Option<KeyOrValue>, Option<KeyOrValue>) = (None, None);
    let (mut key_format, mut value_format) = (None, None);
    let fallback = reading.format;
    // A format may stand behind its key or value, so those are read as known so far, silently, and judged at the end.
    reader.object(|reader, member| {
        let here = || format!("/records/{index}/{}", escaped(member));
        match member {
            "key" => key = Some(KeyOrValue::read(reader, key_format.unwrap_or(fallback))?),
            "value" => value = Some(KeyOrValue::read(reader, value_format.unwrap_or(fallback))?),
            "key_format" => key_format = format(reader, faults, here)?,
            "value_format" => value_format = format(reader, faults, here)?,
            "partition" => draft.partition = record_fields::partition(reader, faults, here)?,
            "timestamp" => draft.timestamp_ms = record_fields::timestamp(reader, faults, here)?,
            "headers" => draft.headers = record_fields::headers(reader, faults, here)?,
            _ => {
                reader.skip()?;
                if reading.strict {
                    faults.note(FaultKind::Invalid, here(), UNKNOWN_FIELD);
                }
            }
        }
        Ok(())
    })?;
    if value.is_none() {
        faults.note(FaultKind::Invalid, format!("/records/{index}"), "`value` is missing; null writes a tombstone");
    }
    let key_format = key_format.unwrap_or(fallback);
    let value_format = value_format.unwrap_or(fallback);
    draft.value_format = Some(value_format);
    if let Some(part) = key {
        draft.key = part.judged(reader, key_format, faults, || format!("/records/{index}/key"))?;
    }
    if let Some(part) = value {
        draft.value = part.judged(reader, value_format, faults, || format!("/records/{index}/value"))?;
    }
    Ok(draft)
}

const UNKNOWN_FIELD: &str =
    "unknown field; a record has value, key, key_format, value_format, partition, timestamp, headers";

impl KeyOrValue {
    fn read(reader: &mut Reader<'_>, format: Format) -> Result<Self, SyntaxError> {
        reader.peek()?;
        let position = reader.position();
        // Whatever gives no bytes here is read again, with its faults noted, when the format is known for certain.
        let bytes = record_fields::key_or_value(reader, format, &mut FaultCollector::default(), String::new)?;
        Ok(Self { position, read_as: format, bytes })
    }

    fn judged(
        self,
        reader: &mut Reader<'_>,
        format: Format,
        faults: &mut FaultCollector,
        pointer: impl Fn() -> String,
    ) -> Result<Option<Bytes>, SyntaxError> {
        if self.read_as == format && self.bytes.is_some() {
            return Ok(self.bytes);
        }
        reader.again(self.position, |reader| record_fields::key_or_value(reader, format, faults, pointer))
    }
}

/// Reads the word of `key_format` or `value_format`; null leaves the default.
fn format(
    reader: &mut Reader<'_>,
    faults: &mut FaultCollector,
    pointer: impl Fn() -> String,
) -> Result<Option<Format>, SyntaxError> {
    let format = match reader.peek()? {
        JsonType::Null => {
            reader.skip()?;
            return Ok(None);
        }
        JsonType::String => match &*reader.string()? {
            "json" => Some(Format::Json),
            "binary" => Some(Format::Binary),
            "string" => Some(Format::Text),
            _ => None,
        },
        _ => {
            reader.skip()?;
            None
        }
    };
    if format.is_none() {
        faults.note(FaultKind::Invalid, pointer(), "must be `json`, `binary` or `string`");
    }
    Ok(format)
}
