//! CloudEvents 1.0: from HTTP's binary, structured and batched content modes to those of Kafka, as their protocol
//! bindings say (<https://github.com/cloudevents/spec/tree/v1.0.2/cloudevents/bindings>). Kafka has no batches: each event
//! becomes a structured record.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use msk_shared::event::is_json_media_type;
use msk_shared::kafka::Header;
use percent_encoding::percent_decode;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::draft::{Content, Draft};
use super::drafts::Drafts;
use super::faults::{FaultCollector, FaultKind, Faults, Places};
use super::json::{JsonType, Parsed, Reader};
use super::record_fields::{BASE64, escaped};
use super::single_message;
use crate::format::ValueFormat;

/// How a request holds events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventMode {
    /// Attributes in `ce-` headers, the data in the body.
    Binary,
    /// The body is an event in JSON.
    Structured,
    /// The body is an array of events in JSON.
    Batch,
}

/// What every event has.
const REQUIRED: [&str; 4] = ["specversion", "id", "source", "type"];
/// A request with one of these headers is meant as an event.
const REQUIRED_HEADERS: [&str; 4] = ["ce-specversion", "ce-id", "ce-source", "ce-type"];
const VERSION: &str = "1.0";
/// Partitioning extension 1.0: the record's key.
const PARTITION_KEY: &str = "partitionkey";
/// The type of a structured record (Kafka protocol binding 1.0.2, 3.3.1).
const STRUCTURED: &[u8] = b"application/cloudevents+json; charset=UTF-8";

/// Whether a request's headers make it an event in binary mode.
pub(crate) fn has_attributes(headers: &HeaderMap) -> bool {
    REQUIRED_HEADERS.iter().any(|name| headers.contains_key(*name))
}

/// Reads the events of a request.
///
/// # Errors
/// What makes the whole request unreadable; what is wrong with single events is noted in the drafts.
pub(crate) fn read(mode: EventMode, headers: &HeaderMap, body: Bytes, max_records: usize) -> Result<Drafts, Faults> {
    let fields = fields(headers)?;
    match mode {
        EventMode::Binary => binary(headers, body, fields),
        EventMode::Structured => {
            let mut drafts = Drafts::new(Places::Message, "");
            let mut reader = Reader::new(&body)?;
            drafts.count = 1;
            drafts.records.extend(structured(&mut reader, "", &fields, &mut drafts.faults)?);
            reader.end()?;
            Ok(drafts)
        }
        EventMode::Batch => Ok(batch(&body, &fields, max_records)?),
    }
}

/// What the `Kafka-` headers say; what the binding sets itself they must not.
fn fields(headers: &HeaderMap) -> Result<Draft, Faults> {
    let fields = single_message::fields(headers, ValueFormat::CloudEvent)?;
    match fields.headers.iter().find(|header| header.name == "content-type" || header.name.starts_with("ce_")) {
        Some(Header { name, .. }) => Err(Faults::at(
            FaultKind::Invalid,
            format!("Kafka-Header-{}", escaped(name)),
            "a CloudEvent sets `content-type` and `ce_...` itself; leave this header out",
        )),
        None => Ok(fields),
    }
}

fn batch(body: &Bytes, fields: &Draft, max_records: usize) -> Parsed<Drafts> {
    let mut drafts = Drafts::new(Places::Batch, "the batch is empty; send at least one event");
    let mut reader = Reader::new(body)?;
    match reader.peek()? {
        JsonType::Array => reader.array(|reader, index| {
            drafts.count = index + 1;
            if index >= max_records {
                return reader.skip();
            }
            drafts.records.extend(structured(reader, &format!("/{index}"), fields, &mut drafts.faults)?);
            Ok(())
        })?,
        other => {
            reader.skip()?;
            drafts.faults.note(
                FaultKind::Invalid,
                "",
                format!("a batch must be an array of events, not {}", other.name()),
            );
        }
    }
    reader.end()?;
    Ok(drafts)
}

/// Reads an event in JSON; `None` when it has faults. It is stored as JSON is everywhere: compact.
fn structured(
    reader: &mut Reader<'_>,
    pointer: &str,
    fields: &Draft,
    faults: &mut FaultCollector,
) -> Parsed<Option<Draft>> {
    let json_type = reader.peek()?;
    if json_type != JsonType::Object {
        faults.note(FaultKind::Invalid, pointer, format!("an event must be an object, not {}", json_type.name()));
        reader.skip()?;
        return Ok(None);
    }
    let start = reader.position();
    let mut event = Event::default();
    reader.object(|reader, name| {
        let pointer = || format!("{pointer}/{}", escaped(name));
        event.member(reader, name, &mut |kind, detail| faults.note(kind, pointer(), detail))
    })?;
    for name in event.missing() {
        faults.note(FaultKind::Invalid, pointer, missing(name));
    }
    let value = reader.again(start, Reader::compact)?;
    let mut draft = fields.clone();
    draft.value = Some(value);
    draft.content = Content::Event;
    draft.key = event.partition_key.or(draft.key);
    draft.headers.insert(0, Header { name: "content-type".to_owned(), value: Some(Bytes::from_static(STRUCTURED)) });
    Ok(Some(draft))
}

fn missing(name: &str) -> String {
    format!("`{name}` is missing; every CloudEvent has one")
}

/// What was found in an event.
#[derive(Default)]
struct Event {
    /// Which of [`REQUIRED`].
    found: [bool; REQUIRED.len()],
    has_data: bool,
    partition_key: Option<Bytes>,
}

impl Event {
    fn missing(&self) -> impl Iterator<Item = &'static str> {
        REQUIRED.into_iter().zip(self.found).filter(|(_, found)| !found).map(|(name, _)| name)
    }

    /// A member of an event in JSON (JSON event format 1.0.2); null means that it is not set (2.2).
    fn member(&mut self, reader: &mut Reader<'_>, name: &str, fault: &mut dyn FnMut(FaultKind, String)) -> Parsed<()> {
        let json_type = reader.peek()?;
        match (name, json_type) {
            ("data" | "data_base64", _) => {
                if std::mem::replace(&mut self.has_data, true) {
                    fault(
                        FaultKind::Invalid,
                        "`data` and `data_base64` exclude each other; give only one of them".to_owned(),
                    );
                }
                if name == "data" || json_type == JsonType::Null {
                    return reader.skip();
                }
                if json_type != JsonType::String {
                    fault(FaultKind::Invalid, format!("must be a base64 string, not {}", json_type.name()));
                    return reader.skip();
                }
                if base64::Engine::decode(&BASE64, reader.string()?.as_bytes()).is_err() {
                    fault(FaultKind::Malformed, "not valid base64 (standard alphabet)".to_owned());
                }
                Ok(())
            }
            (_, JsonType::Null) => reader.skip(),
            (_, JsonType::String) => {
                let text = reader.string_bytes()?;
                // It was read from text.
                self.attribute(name, &String::from_utf8_lossy(&text), fault);
                if name == PARTITION_KEY {
                    self.partition_key = Some(text);
                }
                Ok(())
            }
            _ => {
                let is_value = match json_type {
                    JsonType::Bool => reader.skip().map(|()| true)?,
                    JsonType::Number => reader.number()?.parse::<i32>().is_ok(),
                    _ => reader.skip().map(|()| false)?,
                };
                if !is_name(name) {
                    fault(FaultKind::Invalid, NAME_RULE.to_owned());
                } else if is_text(name) {
                    fault(FaultKind::Invalid, format!("must be a string, not {}", json_type.name()));
                } else if !is_value {
                    let rule = "an extension must be a string, a boolean or a whole number of 32 bits";
                    fault(FaultKind::Invalid, rule.to_owned());
                }
                Ok(())
            }
        }
    }

    /// Notes an attribute with its text, and what is wrong with it.
    fn attribute(&mut self, name: &str, text: &str, fault: &mut dyn FnMut(FaultKind, String)) {
        let mut invalid = |detail: &str| fault(FaultKind::Invalid, detail.to_owned());
        if let Some(at) = REQUIRED.iter().position(|required| *required == name) {
            self.found[at] = true;
        }
        match name {
            _ if !is_name(name) => invalid(NAME_RULE),
            _ if is_text(name) && text.is_empty() => invalid("must not be empty"),
            // CloudEvents 1.0.2, "Type System".
            _ if text.contains(char::is_control) => invalid("must not contain control characters"),
            "specversion" if text != VERSION => invalid("this version of CloudEvents is not supported; send 1.0"),
            "time" if OffsetDateTime::parse(&text.to_ascii_uppercase(), &Rfc3339).is_err() => {
                invalid("must be an RFC 3339 time");
            }
            _ => {}
        }
    }
}

/// CloudEvents 1.0.2, "Naming conventions".
const NAME_RULE: &str = "an attribute's name has only lower-case letters and digits";

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// Attributes that are a string of at least one character wherever they are set.
fn is_text(name: &str) -> bool {
    REQUIRED.contains(&name) || matches!(name, "time" | "subject" | "dataschema" | "datacontenttype" | PARTITION_KEY)
}

fn binary(headers: &HeaderMap, body: Bytes, mut draft: Draft) -> Result<Drafts, Faults> {
    let mut faults = FaultCollector::new(Places::Message);
    let mut event = Event::default();
    let mut attributes = Vec::new();
    for header in headers.keys() {
        let Some(name) = header.as_str().strip_prefix("ce-") else { continue };
        match name {
            "datacontenttype" => {
                faults.note(FaultKind::Invalid, header.as_str(), "send the data's type as Content-Type")
            }
            "data" => {
                faults.note(FaultKind::Invalid, header.as_str(), "`data` names no attribute; send the data as body")
            }
            _ => {
                let text = attribute_text(headers, header)?;
                event.attribute(name, &text, &mut |kind, detail| faults.note(kind, header.as_str(), detail));
                if name == PARTITION_KEY {
                    draft.key = Some(Bytes::from(text.clone()));
                }
                attributes.push(Header { name: format!("ce_{name}"), value: Some(Bytes::from(text)) });
            }
        }
    }
    // The same whatever order a gateway has put the headers in.
    attributes.sort_by(|one: &Header, other| one.name.cmp(&other.name));
    for name in event.missing() {
        faults.note(FaultKind::Invalid, format!("ce-{name}"), missing(name));
    }
    if let Some(content_type) = headers.get(CONTENT_TYPE).filter(|value| !value.is_empty()) {
        check_data(content_type, &body)?;
        let value = Bytes::copy_from_slice(content_type.as_bytes());
        attributes.push(Header { name: "content-type".to_owned(), value: Some(value) });
    }
    attributes.append(&mut draft.headers);
    draft.headers = attributes;
    // Kafka protocol binding, 3.2.2: an event without data is a record without a value.
    draft.value = (!body.is_empty()).then_some(body);
    Ok(Drafts { records: vec![draft], count: 1, faults, none: "" })
}

/// Data that are said to be JSON are JSON: consumers read them as such. They are kept as they came.
fn check_data(content_type: &HeaderValue, body: &Bytes) -> Result<(), Faults> {
    let content_type = content_type.to_str().unwrap_or_default().to_ascii_lowercase();
    if body.is_empty() || !is_json_media_type(&content_type) {
        return Ok(());
    }
    let mut reader = Reader::new(body)?;
    reader.skip()?;
    Ok(reader.end()?)
}

/// An attribute's text (HTTP protocol binding 1.0.2, 3.1.3.2): quoted or not, percent-encoded once.
fn attribute_text(headers: &HeaderMap, name: &HeaderName) -> Result<String, Faults> {
    let malformed = |detail: &str| Faults::at(FaultKind::Malformed, name.as_str(), detail);
    let mut values = headers.get_all(name).iter();
    let value = values.next().map_or(&b""[..], |value| value.as_bytes().trim_ascii());
    if values.next().is_some() {
        return Err(malformed("appears more than once; send it once"));
    }
    let value = match value {
        [b'"', quoted @ .., b'"'] => Cow::Owned(unquoted(quoted)),
        plain => Cow::Borrowed(plain),
    };
    let text = percent_decode(&value).decode_utf8().map_err(|_| malformed("does not decode to UTF-8"))?;
    Ok(text.into_owned())
}

/// The inside of a quoted string (RFC 9110, 5.6.4).
fn unquoted(quoted: &[u8]) -> Vec<u8> {
    let mut bytes = quoted.iter();
    let mut text = Vec::with_capacity(quoted.len());
    while let Some(byte) = bytes.next() {
        text.extend(if *byte == b'\\' { bytes.next() } else { Some(byte) });
    }
    text
}
