//! Reads an event: one pass over its text, which the records then share.

mod members;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use self::members::{member_name, text};
use self::record_seed::RecordSeed;
use super::msk_event::{MSK_EVENT_SOURCE, MskEvent, PartitionRecords, SELF_MANAGED_EVENT_SOURCE};
use super::record::{BrokenRecord, Record};

/// Why a body is not an MSK event. Never includes its content.
///
/// ```
/// use msk_shared::event::{EventError, MskEvent};
///
/// let error = MskEvent::parse(r#"{"Records": []}"#).unwrap_err();
/// assert!(matches!(error, EventError::NotMsk(_)));
/// assert!(error.to_string().ends_with("through an event source mapping for MSK or self-managed Kafka"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    #[error("the event is not UTF-8 text: byte {position} does not begin a valid character")]
    NotUtf8 {
        /// Position of the first invalid byte, counted from 1.
        position: usize,
    },
    #[error("the event is not JSON: invalid or incomplete at line {line}, column {column}")]
    NotJson {
        /// Line, counted from 1.
        line: usize,
        /// Column, counted from 1.
        column: usize,
    },
    /// The body is JSON, but not an MSK event.
    #[error(
        "not an MSK event: {0}; invoke this function only through an event source mapping for MSK or self-managed Kafka"
    )]
    NotMsk(&'static str),
    /// A group of `records` is not an array.
    #[error("not an MSK event: group {group} of `records` is not an array of records")]
    GroupNotAList {
        /// Position of the group, counted from 1.
        group: usize,
    },
}

impl MskEvent {
    /// Reads an event. The records refer to slices of `body`; nothing is copied or decoded yet.
    ///
    /// Beyond AWS's documented format, it accepts what Kafka can produce and other senders write: absent or null `key`, `value`
    /// and `headers`, null header values, header bytes from -128 to 255, a timestamp of -1 or none, numbers as text, records
    /// without a topic or partition (taken from the group's name), unknown members, members in any order. A record that is
    /// worse is a [`BrokenRecord`], and a key, value or header list that cannot be decoded is an error only when it is accessed.
    ///
    /// # Errors
    /// [`EventError`] if the body as a whole is not an MSK event.
    pub fn parse(body: impl Into<Bytes>) -> Result<Self, EventError> {
        let body: Bytes = body.into();
        let text =
            std::str::from_utf8(&body).map_err(|error| EventError::NotUtf8 { position: error.valid_up_to() + 1 })?;
        let mut deserializer = serde_json::Deserializer::from_str(text);
        EventSeed { source: &body }
            .deserialize(&mut deserializer)
            .and_then(|event| deserializer.end().map(|()| event))
            .map_err(|error| EventError::NotJson { line: error.line(), column: error.column() })?
    }
}

/// Implements the visits of JSON values that are not expected: containers are drained, then `$value` is returned.
macro_rules! otherwise {
    ($seed:ident => $value:expr; $($kind:ident)*) => { $(otherwise!(@ $kind $seed $value);)* };
    (@ scalars $seed:ident $value:expr) => {
        otherwise!(@ scalar visit_bool(bool) $seed $value);
        otherwise!(@ scalar visit_i64(i64) $seed $value);
        otherwise!(@ scalar visit_u64(u64) $seed $value);
        otherwise!(@ scalar visit_f64(f64) $seed $value);
        otherwise!(@ scalar visit_str(&str) $seed $value);
    };
    (@ scalar $visit:ident($scalar:ty) $seed:ident $value:expr) => {
        fn $visit<E>(self, _: $scalar) -> Result<Self::Value, E> {
            let $seed = self;
            Ok($value)
        }
    };
    (@ null $seed:ident $value:expr) => {
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            let $seed = self;
            Ok($value)
        }
    };
    (@ list $seed:ident $value:expr) => {
        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
            while items.next_element::<IgnoredAny>()?.is_some() {}
            let $seed = self;
            Ok($value)
        }
    };
    (@ object $seed:ident $value:expr) => {
        fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
            while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            let $seed = self;
            Ok($value)
        }
    };
}

/// Makes a seed that accepts any JSON value.
macro_rules! seed {
    ($seed:ident => $value:ty) => {
        impl<'de> DeserializeSeed<'de> for $seed<'_> {
            type Value = $value;

            fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<$value, D::Error> {
                deserializer.deserialize_any(self)
            }
        }
    };
}

// Below the macros, which it uses.
mod record_seed;

struct EventSeed<'s> {
    source: &'s Bytes,
}

seed!(EventSeed => Result<MskEvent, EventError>);

impl<'de> Visitor<'de> for EventSeed<'_> {
    type Value = Result<MskEvent, EventError>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an MSK event")
    }

    otherwise!(_seed => Err(EventError::NotMsk("it is not a JSON object")); scalars null list);

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut event = MskEvent::default();
        let mut records = None;
        let mut hint = None;
        let mut odd_source = false;
        while let Some(name) = members.next_key::<EventMember>()? {
            match name {
                EventMember::Source => {
                    let raw = members.next_value::<&'de RawValue>()?;
                    event.event_source = text(raw);
                    odd_source = event.event_source.is_none() && raw.get() != "null";
                }
                EventMember::SourceArn => event.event_source_arn = text(members.next_value()?),
                EventMember::BootstrapServers => event.bootstrap_servers = text(members.next_value()?),
                EventMember::Records => {
                    records = Some(members.next_value_seed(GroupsSeed { source: self.source })?);
                }
                EventMember::Other(found) => {
                    hint = hint.or(found);
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        let known_source = match event.event_source.as_deref() {
            Some(MSK_EVENT_SOURCE | SELF_MANAGED_EVENT_SOURCE) => true,
            None if !odd_source => false,
            _ => return Ok(Err(EventError::NotMsk("its eventSource is neither aws:kafka nor SelfManagedKafka"))),
        };
        match records {
            Some(Ok(groups)) => event.partitions = groups,
            Some(Err(error)) => return Ok(Err(error)),
            None if known_source => {}
            None => return Ok(Err(EventError::NotMsk(hint.unwrap_or("it has no `records`")))),
        }
        Ok(Ok(event))
    }
}

enum EventMember {
    Source,
    SourceArn,
    BootstrapServers,
    Records,
    /// With a hint about the sender, if the member gives one.
    Other(Option<&'static str>),
}

impl<'de> Deserialize<'de> for EventMember {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        member_name(deserializer, |name| match name {
            "eventSource" => Self::Source,
            "eventSourceArn" => Self::SourceArn,
            "bootstrapServers" => Self::BootstrapServers,
            "records" => Self::Records,
            "Records" => Self::Other(Some("it has `Records`, as SQS, SNS, S3, Kinesis and DynamoDB send")),
            "requestContext" => Self::Other(Some("it has `requestContext`, as API Gateway and function URLs send")),
            _ => Self::Other(None),
        })
    }
}

struct GroupsSeed<'s> {
    source: &'s Bytes,
}

seed!(GroupsSeed => Result<Vec<PartitionRecords>, EventError>);

impl<'de> Visitor<'de> for GroupsSeed<'_> {
    type Value = Result<Vec<PartitionRecords>, EventError>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("groups of records")
    }

    otherwise!(_seed => Err(EventError::NotMsk("its `records` is not an object of arrays")); scalars list);
    otherwise!(_seed => Ok(Vec::new()); null);

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut groups = Vec::new();
        let mut wrong = None;
        while let Some(name) = members.next_key::<String>()? {
            let seed = RecordsSeed { source: self.source, group: &name };
            match members.next_value_seed(seed)? {
                Some(records) => groups.push(PartitionRecords { name, records }),
                None => wrong = wrong.or(Some(groups.len() + 1)),
            }
        }
        Ok(wrong.map_or(Ok(groups), |group| Err(EventError::GroupNotAList { group })))
    }
}

struct RecordsSeed<'s> {
    source: &'s Bytes,
    group: &'s str,
}

seed!(RecordsSeed => Option<Vec<Result<Record, BrokenRecord>>>);

impl<'de> Visitor<'de> for RecordsSeed<'_> {
    type Value = Option<Vec<Result<Record, BrokenRecord>>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of records")
    }

    otherwise!(_seed => None; scalars object);
    otherwise!(_seed => Some(Vec::new()); null);

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let (topic, partition) = self.group.rsplit_once('-').map_or((None, None), |(topic, number)| {
            let partition: Option<i32> = number.parse().ok();
            (partition.map(|_| Arc::<str>::from(topic)), partition)
        });
        let mut seed = RecordSeed { source: self.source, topic, partition };
        let mut records = Vec::new();
        while let Some(record) = items.next_element_seed(seed.clone())? {
            // All records of a group have the same topic: they share the text of the previous one.
            if let Ok(record) = &record {
                seed.topic = Some(Arc::clone(&record.id.topic));
            }
            records.push(record);
        }
        Ok(Some(records))
    }
}
