//! A record's value, whichever form it has.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::cloud_event::{CloudEvent, STRUCTURED, binary, content_type, is_binary, looks_structured, structured};
use super::decode::{DecodeError, json};
use super::record::Record;

/// The media type of a batch, which the Kafka binding does not support.
const BATCH: &str = "application/cloudevents-batch";

/// What the media types of CloudEvents begin with.
const CLOUD_EVENTS: &str = "application/cloudevents";

/// A value in one of the forms that the consumer recognises.
///
/// ```
/// use msk_shared::event::{Message, Record};
///
/// let record = Record::new("orders", 0, 7);
/// assert_eq!(record.message()?, Message::Tombstone);
/// assert!(matches!(record.with_value(Some("[1]")).message()?, Message::Json(_)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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

/// The form of a value, checked as thoroughly as a [`Message`] is, of which nothing but a CloudEvent's type is kept: building
/// the members of ordinary JSON only to drop them would take most of the time.
///
/// ```
/// use msk_shared::event::{MessageKind, Record};
///
/// let record = Record::new("orders", 0, 7).with_value(Some(r#"{"id": 1}"#));
/// assert_eq!(MessageKind::from_value(&record, record.value()?.as_deref())?, MessageKind::Json);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MessageKind {
    /// No value: the record deletes its key.
    Tombstone,
    /// A CloudEvent of this `type`.
    CloudEvent(String),
    /// Any other JSON.
    Json,
}

impl MessageKind {
    /// The kind of a record whose value has already been decoded.
    ///
    /// # Errors
    /// As [`Record::message`].
    pub fn from_value(record: &Record, value: Option<&[u8]>) -> Result<Self, DecodeError> {
        if let Some(value) = value
            && record.headers().is_ok()
            && !is_binary(record)
            && !content_type(record).is_some_and(|media_type| media_type.starts_with(CLOUD_EVENTS))
            && !json::<Outline>(value)?.may_be_event
        {
            return Ok(Self::Json);
        }
        Message::from_value(record, value).map(Self::from)
    }
}

impl From<Message> for MessageKind {
    fn from(message: Message) -> Self {
        match message {
            Message::Tombstone => Self::Tombstone,
            Message::CloudEvent(event) => Self::CloudEvent(event.kind),
            Message::Json(_) => Self::Json,
        }
    }
}

/// JSON that was read in full, strings and numbers included, and not kept.
struct Outline {
    /// Whether it is an object with the member that every structured CloudEvent has.
    may_be_event: bool,
}

impl<'de> Deserialize<'de> for Outline {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OutlineVisitor)
    }
}

/// A member's name: whether it is `specversion`.
struct IsSpecVersion(bool);

impl<'de> Deserialize<'de> for IsSpecVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;

        impl Visitor<'_> for Name {
            type Value = IsSpecVersion;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a member name")
            }

            fn visit_str<E>(self, name: &str) -> Result<IsSpecVersion, E> {
                Ok(IsSpecVersion(name == "specversion"))
            }
        }

        deserializer.deserialize_str(Name)
    }
}

struct OutlineVisitor;

/// Implements the visits of scalars.
macro_rules! scalars {
    ($($visit:ident($scalar:ty))*) => {$(
        fn $visit<E>(self, _: $scalar) -> Result<Outline, E> {
            Ok(Outline { may_be_event: false })
        }
    )*};
}

impl<'de> Visitor<'de> for OutlineVisitor {
    type Value = Outline;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    scalars!(visit_bool(bool) visit_i64(i64) visit_u64(u64) visit_f64(f64) visit_str(&str));

    fn visit_unit<E>(self) -> Result<Outline, E> {
        Ok(Outline { may_be_event: false })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Outline, A::Error> {
        while items.next_element::<Outline>()?.is_some() {}
        Ok(Outline { may_be_event: false })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Outline, A::Error> {
        let mut may_be_event = false;
        while let Some((IsSpecVersion(found), _)) = members.next_entry::<IsSpecVersion, Outline>()? {
            may_be_event |= found;
        }
        Ok(Outline { may_be_event })
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::header::Header;

    fn record(content_type: Option<&str>) -> Record {
        let header = |text: &str| Header { name: "content-type".into(), value: Some(text.as_bytes().to_vec().into()) };
        Record::new("t", 0, 0).with_headers(content_type.map(header))
    }

    /// The kind, and what the whole message says it is.
    fn both(record: &Record, value: &[u8]) -> [Result<MessageKind, DecodeError>; 2] {
        [MessageKind::from_value(record, Some(value)), Message::from_value(record, Some(value)).map(MessageKind::from)]
    }

    #[test]
    fn a_kind_is_that_of_the_message_and_its_faults_are_the_same() {
        let event = r#"{"specversion":"1.0","id":"9","source":"/s","type":"t"}"#;
        let deep = "[".repeat(200);
        for value in [
            event,
            &event.replace("1.0", "0.3"),
            r#"{"specversion":"1.0","id":"9"}"#,
            r#"{"specversion":1}"#,
            r#"{"spec\u0076ersion":"1.0","id":"9","source":"/s","type":"t"}"#,
            r#"{"a":[1,{"b":null}],"c":"\n\u00e9"}"#,
            r#"{"a":"\ud800"}"#,
            r#"{"\ud800":1}"#,
            "[1e999]",
            "{\"a\":1",
            "7 8",
            "",
            "\u{feff}true",
            &deep,
        ] {
            for media_type in [None, Some("application/json"), Some("application/cloudevents+json"), Some("text/plain")]
            {
                let [kind, message] = both(&record(media_type), value.as_bytes());
                assert_eq!(kind, message, "{value} as {media_type:?}");
            }
        }
        assert_eq!(both(&record(None), event.as_bytes())[0], Ok(MessageKind::CloudEvent("t".into())));
        assert_eq!(both(&record(None), b"\xff")[0], both(&record(None), b"\xff")[1]);
        assert_eq!(MessageKind::from_value(&record(None), None), Ok(MessageKind::Tombstone));
    }

    proptest! {
        #[test]
        fn any_text_has_one_kind(text in r#"[\[\]{}:," 0-9a-ent.\\u\-]{0,40}"#) {
            let [kind, message] = both(&record(None), text.as_bytes());
            prop_assert_eq!(kind, message);
        }
    }
}
