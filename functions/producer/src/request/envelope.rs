//! The v2 family's body: `{"records":[{"key":...,"value":...}, ...]}`.

use bytes::Bytes;
use msk_shared::kafka::Header;

use super::fields::{self, escaped};
use super::issues::Issues;
use super::json::{Kind as Json, Reader, SyntaxError};
use super::media::Format;
use crate::problem::{Kind, Problem};

/// A record as the caller wrote it, decoded; policy and limits come later.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Draft {
    /// The key; `None` is no key.
    pub(crate) key: Option<Bytes>,
    /// The value; `None` is a tombstone.
    pub(crate) value: Option<Bytes>,
    /// The format the value was given in.
    pub(crate) value_format: Option<Format>,
    /// A fixed partition.
    pub(crate) partition: Option<i32>,
    /// Milliseconds since the epoch.
    pub(crate) timestamp_ms: Option<i64>,
    /// Headers in order.
    pub(crate) headers: Vec<Header>,
}

/// How a body is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    /// The format of keys and values, unless a record says otherwise.
    pub(crate) format: Format,
    /// Whether unknown fields are refused (`STATUS_MODE=strict`).
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
    /// What is wrong.
    pub(crate) issues: Issues,
}

/// Reads a body. Only text that is no JSON is an error here; all else is noted in the envelope.
///
/// # Errors
/// [`SyntaxError`]
pub(crate) fn read(body: &Bytes, reading: Reading) -> Result<Envelope, SyntaxError> {
    let mut reader = Reader::new(body)?;
    let mut envelope = Envelope::default();
    let kind = reader.peek()?;
    if kind == Json::Object {
        reader.object(|reader, member| envelope.member(reader, member, reading))?;
        if !envelope.has_records && envelope.issues.is_empty() {
            envelope.issues.note(Kind::Invalid, "/records", "missing; give an array of records");
        }
    } else {
        reader.skip()?;
        let detail = format!("the body must be an object with `records`, not {}", kind.name());
        envelope.issues.note(Kind::Invalid, "", detail);
    }
    reader.end()?;
    Ok(envelope)
}

impl Envelope {
    /// Refuses a body without records, and one with too many.
    ///
    /// # Errors
    /// 42208, with the numbers.
    pub(crate) fn check_count(&self, max_records: usize) -> Result<(), Problem> {
        match self.count {
            0 if self.has_records => {
                Err(Problem::new(Kind::RecordCount, "`records` is empty; give at least one record"))
            }
            count if count > max_records => Err(Problem::new(
                Kind::RecordCount,
                format!("the request has {count} records; the limit is {max_records} (MAX_RECORDS)"),
            )),
            _ => Ok(()),
        }
    }

    fn member(&mut self, reader: &mut Reader<'_>, member: &str, reading: Reading) -> Result<(), SyntaxError> {
        let kind = reader.peek()?;
        match member {
            "records" if kind == Json::Array => {
                self.has_records = true;
                reader.array(|reader, index| self.record(reader, index, reading))
            }
            "records" => {
                self.issues.note(Kind::Invalid, "/records", format!("must be an array, not {}", kind.name()));
                reader.skip()
            }
            // Confluent's clients may send these as null.
            "key_schema" | "key_schema_id" | "value_schema" | "value_schema_id" if kind == Json::Null => reader.skip(),
            _ => {
                if reading.strict {
                    self.issues.note(
                        Kind::Invalid,
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
        let kind = reader.peek()?;
        if kind == Json::Object {
            let record = record(reader, index, reading, &mut self.issues)?;
            self.records.push(record);
            return Ok(());
        }
        let detail = format!("a record must be an object with `value`, not {}", kind.name());
        self.issues.note(Kind::Invalid, format!("/records/{index}"), detail);
        reader.skip()
    }
}

/// A key or value that was read in the format known so far.
struct Part {
    position: usize,
    read_as: Format,
    bytes: Option<Bytes>,
}

fn record(reader: &mut Reader<'_>, index: usize, reading: Reading, issues: &mut Issues) -> Result<Draft, SyntaxError> {
    let mut draft = Draft::default();
    let (mut key, mut value): (Option<Part>, Option<Part>) = (None, None);
    let (mut key_format, mut value_format) = (None, None);
    let fallback = reading.format;
    // A format may stand behind its key or value, so those are read as known so far, silently, and judged at the end.
    reader.object(|reader, member| {
        let here = || format!("/records/{index}/{}", escaped(member));
        match member {
            "key" => key = Some(Part::read(reader, key_format.unwrap_or(fallback))?),
            "value" => value = Some(Part::read(reader, value_format.unwrap_or(fallback))?),
            "key_format" => key_format = format(reader, issues, here)?,
            "value_format" => value_format = format(reader, issues, here)?,
            "partition" => draft.partition = fields::partition(reader, issues, here)?,
            "timestamp" => draft.timestamp_ms = fields::timestamp(reader, issues, here)?,
            "headers" => draft.headers = fields::headers(reader, issues, here)?,
            _ => {
                reader.skip()?;
                if reading.strict {
                    issues.note(Kind::Invalid, here(), UNKNOWN_FIELD);
                }
            }
        }
        Ok(())
    })?;
    if value.is_none() {
        issues.note(Kind::Invalid, format!("/records/{index}"), "`value` is missing; null writes a tombstone");
    }
    let key_format = key_format.unwrap_or(fallback);
    let value_format = value_format.unwrap_or(fallback);
    draft.value_format = Some(value_format);
    if let Some(part) = key {
        draft.key = part.judged(reader, key_format, issues, || format!("/records/{index}/key"))?;
    }
    if let Some(part) = value {
        draft.value = part.judged(reader, value_format, issues, || format!("/records/{index}/value"))?;
    }
    Ok(draft)
}

const UNKNOWN_FIELD: &str =
    "unknown field; a record has value, key, key_format, value_format, partition, timestamp, headers";

impl Part {
    fn read(reader: &mut Reader<'_>, format: Format) -> Result<Self, SyntaxError> {
        reader.peek()?;
        let position = reader.position();
        // Whatever gives no bytes here is read again, with its faults noted, when the format is known for certain.
        let bytes = fields::part(reader, format, &mut Issues::default(), String::new)?;
        Ok(Self { position, read_as: format, bytes })
    }

    fn judged(
        self,
        reader: &mut Reader<'_>,
        format: Format,
        issues: &mut Issues,
        pointer: impl Fn() -> String,
    ) -> Result<Option<Bytes>, SyntaxError> {
        if self.read_as == format && self.bytes.is_some() {
            return Ok(self.bytes);
        }
        reader.again(self.position, |reader| fields::part(reader, format, issues, pointer))
    }
}

/// The word of `key_format` or `value_format`; null is none.
fn format(
    reader: &mut Reader<'_>,
    issues: &mut Issues,
    pointer: impl Fn() -> String,
) -> Result<Option<Format>, SyntaxError> {
    let format = match reader.peek()? {
        Json::Null => {
            reader.skip()?;
            return Ok(None);
        }
        Json::String => Format::of_record_field(&reader.string()?),
        _ => {
            reader.skip()?;
            None
        }
    };
    if format.is_none() {
        issues.note(Kind::Invalid, pointer(), "must be `json`, `binary` or `string`");
    }
    Ok(format)
}
