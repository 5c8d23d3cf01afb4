//! What a dead letter says.

use bytes::Bytes;
use msk_shared::event::{Header, Record};

/// Why a record is poison, in one word (`x-dlq-reason`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PoisonReason {
    /// It cannot be decoded, or has no coordinates.
    Undecodable,
    /// The handler says so.
    Rejected,
    /// The handler panicked.
    Panic,
}

impl PoisonReason {
    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Undecodable => "undecodable",
            Self::Rejected => "rejected",
            Self::Panic => "panic",
        }
    }
}

/// A record on its way to the dead letter.
#[derive(Debug, Clone, Copy)]
pub struct Letter<'a> {
    /// The record.
    pub record: &'a Record,
    /// Why, in one word.
    pub reason: PoisonReason,
    /// Why, in a sentence.
    pub error: &'a str,
    /// How often this execution environment has tried it, this time included.
    pub attempts: u32,
}

/// Longest `x-dlq-error` in bytes: an error must not make the letter larger than its topic allows.
const LONGEST_ERROR: usize = 1024;

/// What every letter carries besides its record's own headers.
const HEADERS: [&str; 7] = [
    "x-dlq-reason",
    "x-dlq-error",
    "x-dlq-topic",
    "x-dlq-partition",
    "x-dlq-offset",
    "x-dlq-timestamp",
    "x-dlq-attempts",
];
/// The headers as received, when they could not be read.
const UNREADABLE_HEADERS: &str = "x-dlq-unreadable-headers";

impl Letter<'_> {
    /// The key's original bytes; of one that cannot be decoded, its text as received.
    pub fn key(&self) -> Option<Bytes> {
        match self.record.key() {
            Ok(key) => key.map(|bytes| bytes.into_owned().into()),
            Err(_) => self.record.key_as_received().map(Bytes::copy_from_slice),
        }
    }

    /// The value's original bytes; of one that cannot be decoded, its text as received.
    pub fn value(&self) -> Option<Bytes> {
        match self.record.value() {
            Ok(value) => value.map(|bytes| bytes.into_owned().into()),
            Err(_) => self.record.value_as_received().map(Bytes::copy_from_slice),
        }
    }

    /// The record's headers, without those of an earlier letter, then this letter's.
    pub fn headers(&self) -> Vec<Header> {
        let mut headers: Vec<Header> = match self.record.headers() {
            Ok(headers) => headers.iter().filter(|header| !HEADERS.contains(&header.name.as_str())).cloned().collect(),
            Err(_) => {
                let received = self.record.headers_as_received().map(Bytes::copy_from_slice);
                vec![Header { name: UNREADABLE_HEADERS.into(), value: received }]
            }
        };
        let values = [
            self.reason.name().to_owned(),
            self.error[..self.error.floor_char_boundary(LONGEST_ERROR)].to_owned(),
            self.record.topic().to_owned(),
            self.record.partition().to_string(),
            self.record.offset().to_string(),
            // Kafka's own word for none.
            self.record.timestamp_ms().unwrap_or(-1).to_string(),
            self.attempts.to_string(),
        ];
        let own = HEADERS.iter().zip(values);
        headers.extend(own.map(|(name, value)| Header { name: (*name).to_owned(), value: Some(value.into()) }));
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use msk_shared::event::MskEvent;

    fn letter_of(record: &Record) -> Letter<'_> {
        Letter { record, reason: PoisonReason::Undecodable, error: "the value is not JSON", attempts: 2 }
    }

    fn text(header: &Header) -> (String, Option<String>) {
        (header.name.clone(), header.value.as_ref().map(|value| String::from_utf8_lossy(value).into_owned()))
    }

    #[test]
    fn a_letter_keeps_the_record_and_adds_where_it_came_from() {
        let body = r#"{"records":{"orders-3":[{"topic":"orders","partition":3,"offset":9,"timestamp":77,
            "timestampType":"CREATE_TIME","key":"a2V5","value":"/w==","headers":[{"a":[-1]},{"x-dlq-offset":[49]},{"b":null}]}]}}"#;
        let event = MskEvent::parse(body.as_bytes().to_vec()).unwrap();
        let record = event.records().next().unwrap();
        let letter = letter_of(record);
        assert_eq!(letter.key().unwrap().as_ref(), b"key");
        assert_eq!(letter.value().unwrap().as_ref(), b"\xff");
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
    fn what_cannot_be_decoded_is_kept_as_received() {
        let body = r#"{"records":{"t-0":[{"topic":"t","partition":0,"offset":0,"key":"*","value":"not base64!","headers":"odd"}]}}"#;
        let event = MskEvent::parse(body.as_bytes().to_vec()).unwrap();
        let letter = letter_of(event.records().next().unwrap());
        assert_eq!(letter.key().unwrap().as_ref(), b"*");
        assert_eq!(letter.value().unwrap().as_ref(), b"not base64!");
        assert_eq!(text(&letter.headers()[0]), (UNREADABLE_HEADERS.to_owned(), Some("\"odd\"".to_owned())));
    }

    #[test]
    fn what_is_no_record_at_all_is_kept_as_the_value() {
        let event = MskEvent::parse(r#"{"records":{"orders-3":["lost?"]}}"#).unwrap();
        let letter = letter_of(event.records().next().unwrap());
        assert_eq!((letter.key(), letter.value().as_deref()), (None, Some(&br#""lost?""#[..])));
        let own: Vec<_> = letter.headers()[2..5].iter().map(text).collect();
        let expected = [("x-dlq-topic", "orders"), ("x-dlq-partition", "3"), ("x-dlq-offset", "-1")];
        assert_eq!(own, expected.map(|(name, value)| (name.to_owned(), Some(value.to_owned()))));
    }

    #[test]
    fn a_tombstone_stays_one_and_a_long_error_is_cut_between_characters() {
        let record = Record::new("t", 0, 0);
        let error = "가".repeat(1000);
        let letter = Letter { error: &error, ..letter_of(&record) };
        assert_eq!((letter.key(), letter.value()), (None, None));
        let (_, shown) = text(&letter.headers()[1]);
        assert_eq!(shown.unwrap(), "가".repeat(341));
    }
}
