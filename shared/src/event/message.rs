//! A record's value, whichever form it has.

use serde_json::Value;

use super::cloud_event::{CloudEvent, STRUCTURED, binary, content_type, is_binary, looks_structured, structured};
use super::decode::{DecodeError, json};
use super::record::Record;

/// The media type of a batch, which the Kafka binding does not support.
const BATCH: &str = "application/cloudevents-batch";

/// A value in one of the forms that the consumer recognises.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// No value: the record deletes its key.
    Tombstone,
    /// A CloudEvent, binary or structured.
    CloudEvent(CloudEvent),
    /// Any other JSON.
    Json(Value),
}

impl Record {
    /// The value in whichever form it has: a tombstone, a CloudEvent or other JSON.
    ///
    /// # Errors
    /// [`DecodeError`] if it has none of these forms, or is an invalid CloudEvent.
    pub fn message(&self) -> Result<Message, DecodeError> {
        Message::from_value(self, self.value()?.as_deref())
    }
}

impl Message {
    /// The message of a record whose value has already been decoded; [`Record::message`] does both.
    ///
    /// # Errors
    /// As [`Record::message`].
    pub fn from_value(record: &Record, value: Option<&[u8]>) -> Result<Self, DecodeError> {
        record.headers().map_err(Clone::clone)?;
        value.map_or(Ok(Self::Tombstone), |value| recognise(record, value))
    }
}

/// Recognises the form of a value.
fn recognise(record: &Record, value: &[u8]) -> Result<Message, DecodeError> {
    if is_binary(record) {
        return binary(record, Some(value)).map(Message::CloudEvent);
    }
    let content_type = content_type(record).unwrap_or_default();
    if content_type.starts_with(BATCH) {
        return Err(DecodeError::CloudEvent {
            attribute: "datacontenttype",
            problem: "announces a batch, which a Kafka record cannot contain; write one record per event",
        });
    }
    match json(value)? {
        Value::Object(members) if content_type.starts_with(STRUCTURED) || looks_structured(&members) => {
            structured(members).map(Message::CloudEvent)
        }
        _ if content_type.starts_with(STRUCTURED) => {
            Err(DecodeError::CloudEvent { attribute: "specversion", problem: "is missing" })
        }
        other => Ok(Message::Json(other)),
    }
}
