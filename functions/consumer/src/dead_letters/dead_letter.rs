//! What a dead letter contains.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use msk_shared::event::{BrokenId, BrokenRecord, FieldError, Header, Record, RecordId};

/// Why a record is poison, in one word (`x-dlq-reason`).
///
/// ```
/// use msk_consumer::dead_letters::PoisonReason;
///
/// assert_eq!(PoisonReason::Undecodable.name(), "undecodable");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PoisonReason {
    /// It cannot be decoded, or its topic, partition or offset is missing.
    Undecodable,
    /// The handler returned [`Outcome::Poison`](crate::Outcome::Poison).
    Rejected,
    /// The handler panicked.
    Panic,
}

impl PoisonReason {
    /// The value of `x-dlq-reason`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Undecodable => "undecodable",
            Self::Rejected => "rejected",
            Self::Panic => "panic",
        }
    }
}

/// A record that will never succeed, with its origin and the reason for its failure.
///
/// ```
/// use msk_consumer::dead_letters::{DeadLetter, PoisonReason};
/// use msk_shared::event::Record;
///
/// let record = Record::new("orders", 0, 7).with_value(Some("no JSON"));
/// let letter = DeadLetter::new(Ok(&record), PoisonReason::Rejected, "the total is missing".to_owned(), 1);
/// assert_eq!(letter.value.as_deref(), Some(&b"no JSON"[..]), "as it was");
/// let headers = letter.headers();
/// let error = headers.iter().find(|header| header.name == "x-dlq-error").unwrap();
/// assert_eq!(error.value.as_deref(), Some(&b"the total is missing"[..]));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The record's topic, if it has one.
    pub topic: Option<Arc<str>>,
    /// Its partition, if it has one.
    pub partition: Option<i32>,
    /// Its offset, if it has one.
    pub offset: Option<i64>,
    /// Its timestamp in milliseconds since the Unix epoch.
    pub timestamp_ms: Option<i64>,
    /// The original bytes of its key; the text as received if that cannot be decoded.
    pub key: Option<Bytes>,
    /// The original bytes of its value; the text as received if that cannot be decoded.
    pub value: Option<Bytes>,
    /// Why it failed, in one word.
    pub reason: PoisonReason,
    /// Why it failed, in a sentence.
    pub error: String,
    /// How often this execution environment has tried the record, including this time.
    pub attempts: u32,
    /// Its own headers, without those of an earlier dead letter.
    own_headers: Vec<Header>,
}

/// Longest `x-dlq-error` in bytes: an error must not make the dead letter larger than its topic allows.
const LONGEST_ERROR: usize = 1024;

/// Headers of every dead letter, in addition to the record's own.
const HEADERS: [&str; 7] = [
    "x-dlq-reason",
    "x-dlq-error",
    "x-dlq-topic",
    "x-dlq-partition",
    "x-dlq-offset",
    "x-dlq-timestamp",
    "x-dlq-attempts",
];
/// The headers as received, if they could not be decoded.
const UNREADABLE_HEADERS: &str = "x-dlq-unreadable-headers";

/// Only the origin and the reason: a record's content must not reach a log through `{:?}`.
impl fmt::Debug for DeadLetter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, partition, offset, reason, attempts, .. } = self;
        formatter
            .debug_struct("DeadLetter")
            .field("topic", topic)
            .field("partition", partition)
            .field("offset", offset)
            .field("reason", &reason.name())
            .field("attempts", attempts)
            .finish_non_exhaustive()
    }
}

impl DeadLetter {
    /// The dead letter for a record; `attempts` includes this time.
    pub fn new(record: Result<&Record, &BrokenRecord>, reason: PoisonReason, error: String, attempts: u32) -> Self {
        let (id, timestamp_ms) = match record {
            Ok(record) => {
                let RecordId { topic, partition, offset } = record.id();
                ((Some(topic), Some(partition), Some(offset)), record.timestamp_ms())
            }
            Err(broken) => {
                let BrokenId { topic, partition, offset, .. } = broken.id().clone();
                ((topic, partition, offset), broken.timestamp_ms())
            }
        };
        let (topic, partition, offset) = id;
        let (key, value, own_headers) = record.map_or_else(content, content);
        Self { topic, partition, offset, timestamp_ms, key, value, reason, error, attempts, own_headers }
    }

    /// The record's headers, then those with its origin and the reason for its failure.
    pub fn headers(&self) -> Vec<Header> {
        let number = |number: Option<i64>| number.unwrap_or(-1).to_string();
        let values = [
            self.reason.name().to_owned(),
            self.error[..self.error.floor_char_boundary(LONGEST_ERROR)].to_owned(),
            self.topic.as_deref().unwrap_or_default().to_owned(),
            // Kafka's own number for "no timestamp".
            number(self.partition.map(i64::from)),
            number(self.offset),
            number(self.timestamp_ms),
            self.attempts.to_string(),
        ];
        let added = HEADERS.iter().zip(values);
        let added = added.map(|(name, value)| Header { name: (*name).to_owned(), value: Some(value.into()) });
        self.own_headers.iter().cloned().chain(added).collect()
    }
}

/// Key, value and headers; whatever cannot be decoded is kept as received.
fn content<C>(record: &Record<C>) -> (Option<Bytes>, Option<Bytes>, Vec<Header>) {
    let bytes = |decoded: Result<Option<Cow<'_, [u8]>>, FieldError>, received: Option<&[u8]>| match decoded {
        Ok(bytes) => bytes.map(|bytes| bytes.into_owned().into()),
        Err(_) => received.map(Bytes::copy_from_slice),
    };
    let headers = match record.headers() {
        Ok(headers) => headers.iter().filter(|header| !HEADERS.contains(&header.name.as_str())).cloned().collect(),
        Err(_) => {
            let received = record.headers_as_received().map(Bytes::copy_from_slice);
            vec![Header { name: UNREADABLE_HEADERS.into(), value: received }]
        }
    };
    (bytes(record.key(), record.key_as_received()), bytes(record.value(), record.value_as_received()), headers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use msk_shared::event::MskEvent;

    fn letter_of(record: Result<&Record, &BrokenRecord>) -> DeadLetter {
        DeadLetter::new(record, PoisonReason::Undecodable, "the value is not JSON".to_owned(), 2)
    }

    fn text(header: &Header) -> (String, Option<String>) {
        (header.name.clone(), header.value.as_ref().map(|value| String::from_utf8_lossy(value).into_owned()))
    }

    #[test]
    fn a_letter_keeps_the_record_and_adds_where_it_came_from() {
        let body = r#"{"records":{"orders-3":[{"topic":"orders","partition":3,"offset":9,"timestamp":77,
            "timestampType":"CREATE_TIME","key":"a2V5","value":"/w==","headers":[{"a":[-1]},{"x-dlq-offset":[49]},{"b":null}]}]}}"#;
        let event = MskEvent::parse(body.as_bytes().to_vec()).unwrap();
        let record = event.entries().next().unwrap();
        let letter = letter_of(record);
        assert_eq!(letter.key.as_deref().unwrap(), b"key");
        assert_eq!(letter.value.as_deref().unwrap(), b"\xff");
        let headers = letter.headers();
        assert_eq!(headers[0], Header { name: "a".into(), value: Some(Bytes::from_static(b"\xff")) });
        assert_eq!(headers[1], Header { name: "b".into(), value: None });
        let own: Vec<_> = headers[2..].iter().map(text).collect();
        let expected = [
            ("x-dlq-reason", "undecodable"),
            ("x-dlq-error", "the value is not JSON"),
            ("x-dlq-topic", "orders"),
            ("x-dlq-partition", "3"),
            ("x-dlq-offset", "9"),
            ("x-dlq-timestamp", "77"),
            ("x-dlq-attempts", "2"),
        ];
        assert_eq!(own, expected.map(|(name, value)| (name.to_owned(), Some(value.to_owned()))));
    }

    #[test]
    fn the_debug_form_of_a_letter_holds_no_content() {
        let body = r#"{"records":{"t-0":[{"topic":"t","partition":0,"offset":7,"key":"secret","value":"secret!","headers":"secret"}]}}"#;
        let event = MskEvent::parse(body.as_bytes().to_vec()).unwrap();
        let shown = format!("{:?}", letter_of(event.entries().next().unwrap()));
        assert!(shown.contains('7') && !shown.contains("secret"), "{shown}");
    }

    #[test]
    fn what_cannot_be_decoded_is_kept_as_received() {
        let body = r#"{"records":{"t-0":[{"topic":"t","partition":0,"offset":0,"key":"*","value":"not base64!","headers":"odd"}]}}"#;
        let event = MskEvent::parse(body.as_bytes().to_vec()).unwrap();
        let letter = letter_of(event.entries().next().unwrap());
        assert_eq!(letter.key.as_deref().unwrap(), b"*");
        assert_eq!(letter.value.as_deref().unwrap(), b"not base64!");
        assert_eq!(text(&letter.headers()[0]), (UNREADABLE_HEADERS.to_owned(), Some("\"odd\"".to_owned())));
    }

    #[test]
    fn what_is_no_record_at_all_is_kept_as_the_value() {
        let event = MskEvent::parse(r#"{"records":{"orders-3":["lost?"]}}"#).unwrap();
        let letter = letter_of(event.entries().next().unwrap());
        assert_eq!((letter.key.as_deref(), letter.value.as_deref()), (None, Some(&br#""lost?""#[..])));
        let own: Vec<_> = letter.headers()[2..5].iter().map(text).collect();
        let expected = [("x-dlq-topic", "orders"), ("x-dlq-partition", "3"), ("x-dlq-offset", "-1")];
        assert_eq!(own, expected.map(|(name, value)| (name.to_owned(), Some(value.to_owned()))));
    }

    #[test]
    fn a_tombstone_stays_one_and_a_long_error_is_cut_between_characters() {
        let record = Record::new("t", 0, 0);
        let error = "가".repeat(1000);
        let letter = DeadLetter { error, ..letter_of(Ok(&record)) };
        assert_eq!((&letter.key, &letter.value), (&None, &None));
        let (_, shown) = text(&letter.headers()[1]);
        assert_eq!(shown.unwrap(), "가".repeat(341));
    }
}
