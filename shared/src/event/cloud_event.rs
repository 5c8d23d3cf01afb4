//! CloudEvents 1.0 in Kafka records: "Kafka Protocol Binding for CloudEvents", binary and structured content mode.

use serde_json::{Map, Value};

use super::decode::{DecodeError, json};
use super::record::Record;

/// The content mode of a CloudEvent in its record.
///
/// ```
/// use msk_shared::event::{CloudEventMode, Header, Record};
///
/// let attributes = [("ce_specversion", "1.0"), ("ce_id", "7"), ("ce_source", "/shop"), ("ce_type", "order.placed")];
/// let headers = attributes.map(|(name, value)| Header { name: name.into(), value: Some(value.into()) });
/// let event = Record::new("orders", 0, 7).with_headers(headers).with_value(Some("{}")).cloud_event()?;
/// assert_eq!(event.mode, CloudEventMode::Binary);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloudEventMode {
    /// Attributes in `ce_` headers, data in the value.
    Binary,
    /// Attributes and data together as JSON in the value.
    Structured,
}

/// A CloudEvent: its attributes, and its data if that is JSON.
///
/// ```
/// use msk_shared::event::Record;
///
/// let value = r#"{"specversion": "1.0", "id": "7", "source": "/shop", "type": "order.placed", "data": {"total": 5}}"#;
/// let event = Record::new("orders", 0, 7).with_value(Some(value)).cloud_event()?;
/// assert_eq!((event.kind.as_str(), &event.data.unwrap()["total"]), ("order.placed", &5.into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct CloudEvent {
    /// Binary or structured.
    pub mode: CloudEventMode,
    /// `id`: unique together with `source`.
    pub id: String,
    /// `source`: a URI reference.
    pub source: String,
    /// `type`.
    pub kind: String,
    /// `subject`, if there is one.
    pub subject: Option<String>,
    /// `time`, RFC 3339 as sent.
    pub time: Option<String>,
    /// `datacontenttype`: the `content-type` header in binary mode.
    pub data_content_type: Option<String>,
    /// The data as JSON: of a structured event, or of a binary one whose content type is JSON, or whose data without a content
    /// type are JSON. `None` for other data (read them with [`Record::value`]) and for none.
    pub data: Option<Value>,
}

/// The media type of a structured event, with or without parameters.
pub(super) const STRUCTURED: &str = "application/cloudevents+json";
/// The only supported version of the specification.
const VERSION: &str = "1.0";

impl Record {
    /// The value as a CloudEvent: binary when the record has `ce_` headers, else structured.
    ///
    /// # Errors
    /// [`DecodeError`], also for a tombstone and for JSON that is not a CloudEvent.
    pub fn cloud_event(&self) -> Result<CloudEvent, DecodeError> {
        self.headers().map_err(Clone::clone)?;
        let value = self.value()?;
        if is_binary(self) {
            return binary(self, value.as_deref());
        }
        match json(&value.ok_or(DecodeError::Tombstone)?)? {
            Value::Object(members) => structured(members),
            _ => Err(DecodeError::CloudEvent { attribute: "specversion", problem: "is missing" }),
        }
    }
}

pub(super) fn is_binary(record: &Record) -> bool {
    record.header("ce_specversion").is_some()
        || (record.header("ce_id").is_some() && record.header("ce_type").is_some())
}

/// An object with all required attributes is an event even if its content type was lost. One that is not valid has made no
/// claim to be an event: it is other JSON.
pub(super) fn looks_structured(members: &Map<String, Value>) -> bool {
    let text = |name: &str| members.get(name).and_then(Value::as_str).unwrap_or_default();
    text("specversion") == VERSION && ["id", "source", "type"].iter().all(|name| !text(name).is_empty())
}

pub(super) fn content_type(record: &Record) -> Option<String> {
    record.header_text("content-type").map(|text| text.trim().to_ascii_lowercase())
}

pub(super) fn binary(record: &Record, value: Option<&[u8]>) -> Result<CloudEvent, DecodeError> {
    let attribute = |header: &str| record.header_text(header).map(str::to_owned);
    let required = |header: &str, attribute: &'static str| match record.header(header) {
        None => Err(DecodeError::CloudEvent { attribute, problem: "is missing" }),
        Some(bytes) => non_empty(attribute, std::str::from_utf8(bytes).ok().map(str::to_owned)),
    };
    version(&required("ce_specversion", "specversion")?)?;
    let data_content_type = content_type(record);
    let data = match (value.filter(|value| !value.is_empty()), data_content_type.as_deref()) {
        (None, _) => None,
        // CloudEvents 1.0, 3.1.1: without `datacontenttype` only the JSON event format implies JSON. In binary mode the data
        // may be anything, and stay as they are.
        (Some(value), None) => json(value).ok(),
        (Some(value), Some(media_type)) => is_json_media_type(media_type).then(|| json(value)).transpose()?,
    };
    Ok(CloudEvent {
        mode: CloudEventMode::Binary,
        id: required("ce_id", "id")?,
        source: required("ce_source", "source")?,
        kind: required("ce_type", "type")?,
        subject: attribute("ce_subject"),
        time: attribute("ce_time"),
        data,
        data_content_type,
    })
}

pub(super) fn structured(mut members: Map<String, Value>) -> Result<CloudEvent, DecodeError> {
    let mut optional = |name: &str| match members.remove(name) {
        Some(Value::String(text)) => Some(Some(text)),
        None | Some(Value::Null) => Some(None),
        Some(_) => None,
    };
    let mut required = |attribute: &'static str| match optional(attribute) {
        Some(None) => Err(DecodeError::CloudEvent { attribute, problem: "is missing" }),
        other => non_empty(attribute, other.flatten()),
    };
    version(&required("specversion")?)?;
    let (id, source, kind) = (required("id")?, required("source")?, required("type")?);
    Ok(CloudEvent {
        mode: CloudEventMode::Structured,
        id,
        source,
        kind,
        subject: optional("subject").flatten(),
        time: optional("time").flatten(),
        data_content_type: optional("datacontenttype").flatten(),
        data: members.remove("data"),
    })
}

fn non_empty(attribute: &'static str, text: Option<String>) -> Result<String, DecodeError> {
    text.filter(|text| !text.is_empty())
        .ok_or(DecodeError::CloudEvent { attribute, problem: "must be a non-empty string" })
}

fn version(text: &str) -> Result<(), DecodeError> {
    if text == VERSION {
        return Ok(());
    }
    Err(DecodeError::CloudEvent { attribute: "specversion", problem: "is not a supported version; send 1.0" })
}

/// Whether data of this media type, in lower case and with or without parameters, are JSON (CloudEvents JSON event format
/// 1.0.2, 3.1).
///
/// ```
/// use msk_shared::event::is_json_media_type;
///
/// assert!(is_json_media_type("application/json; charset=utf-8") && is_json_media_type("application/geo+json"));
/// assert!(!is_json_media_type("text/plain"));
/// ```
pub fn is_json_media_type(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    essence == "application/json" || essence == "text/json" || essence.ends_with("+json")
}
