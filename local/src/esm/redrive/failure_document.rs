//! What a dead letter says about the records in it: the consumer's own letters, and AWS's failure documents for Kafka, SQS, SNS
//! and S3 destinations.
//!
//! Documents: AWS Lambda developer guide, "Capturing discarded batches for Amazon MSK event sources".

use bytes::Bytes;
use msk_shared::event::{Header, MskEvent, Record};
use serde_json::Value;

/// The consumer's headers of a dead letter: its origin and the reason.
const LETTER_HEADERS: &str = "x-dlq-";
/// Steps into envelopes: a list of SQS's messages, their text, SNS's message in it and its text take five.
const MAX_DEPTH: usize = 8;

/// What can be an offset: there is one behind the last one, too.
const OFFSETS: std::ops::Range<i64> = 0..i64::MAX;

/// Records to send again.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Found {
    /// A record with everything that it had.
    Record(DeadLetter),
    /// Records that are still in their topic: documents for SQS and SNS hold their places only, and a schema registry's conversion
    /// has changed what others hold.
    Places(Places),
}

/// A record on its way back.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct DeadLetter {
    pub(super) topic: String,
    pub(super) partition: Option<i32>,
    pub(super) key: Option<Bytes>,
    pub(super) value: Option<Bytes>,
    pub(super) headers: Vec<Header>,
}

/// An unbroken run of offsets, both ends included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Places {
    /// Each offset is that of a record; else some may be those of transactions' markers.
    pub(super) records_only: bool,
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) first: i64,
    pub(super) last: i64,
}

impl Places {
    fn is_followed_by(&self, next: &Self) -> bool {
        let is_same_log = self.topic == next.topic && self.partition == next.partition;
        is_same_log && self.records_only == next.records_only && next.first == self.last + 1
    }
}

/// Why nothing can be sent again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("it has neither the headers x-dlq-topic and so on, nor is it a failure document of AWS Lambda for Kafka")]
    NotALetter,
    #[error("its records cannot be decoded: {0}")]
    Record(String),
    #[error("its KafkaBatchInfo names no records")]
    NoRecords,
    #[error("it came from the dead-letter topic itself, where it would be read again without end")]
    OwnTopic,
}

/// What a message of a dead-letter topic holds.
pub(super) fn read_message(
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: Vec<Header>,
) -> Result<Vec<Found>, Unreadable> {
    let text = |name: &str| {
        let header = headers.iter().rev().find(|header| header.name == name)?;
        std::str::from_utf8(header.value.as_deref()?).ok().map(str::to_owned)
    };
    if let Some(topic) = text("x-dlq-topic").filter(|topic| !topic.is_empty()) {
        let partition = text("x-dlq-partition").and_then(|number| number.parse().ok()).filter(|number| *number >= 0);
        let bytes = |bytes: Option<&[u8]>| bytes.map(Bytes::copy_from_slice);
        let headers = headers.into_iter().filter(|header| !header.name.starts_with(LETTER_HEADERS)).collect();
        return Ok(vec![Found::Record(DeadLetter { topic, partition, key: bytes(key), value: bytes(value), headers })]);
    }
    let document = serde_json::from_slice(value.unwrap_or_default()).map_err(|_| Unreadable::NotALetter)?;
    read_document(&document)
}

/// The messages of a list, as `aws sqs receive-message` prints them.
pub(super) fn messages(document: &Value) -> Option<&Vec<Value>> {
    document.as_array().or_else(|| document["Messages"].as_array())
}

/// What a document holds, also inside what `aws sqs receive-message` prints and the messages of SNS.
pub(super) fn read_document(document: &Value) -> Result<Vec<Found>, Unreadable> {
    let mut found = Vec::new();
    collect(document, 0, &mut found)?;
    if found.is_empty() { Err(Unreadable::NotALetter) } else { Ok(found) }
}

fn collect(document: &Value, depth: usize, found: &mut Vec<Found>) -> Result<(), Unreadable> {
    if depth > MAX_DEPTH {
        return Err(Unreadable::NotALetter);
    }
    if let Some(text) = document.as_str() {
        let inner: Value = serde_json::from_str(text).map_err(|_| Unreadable::NotALetter)?;
        return collect(&inner, depth + 1, found);
    }
    if let Some(messages) = messages(document) {
        return messages.iter().try_for_each(|message| collect(message, depth + 1, found));
    }
    for inner in ["Body", "body", "Message"] {
        if document[inner].is_string() {
            return collect(&document[inner], depth + 1, found);
        }
    }
    if document["KafkaBatchInfo"].is_object() {
        found.extend(failed_records(document)?);
        return Ok(());
    }
    Err(Unreadable::NotALetter)
}

/// The records of one failure document.
fn failed_records(document: &Value) -> Result<Vec<Found>, Unreadable> {
    let event = match &document["payload"] {
        // For S3 the event as text, for Kafka as an object, for SQS and SNS nothing.
        Value::String(text) => text.clone(),
        Value::Null => return places(&document["KafkaBatchInfo"]["recordsInfo"]),
        event => event.to_string(),
    };
    let event = MskEvent::parse(event).map_err(|error| Unreadable::Record(error.to_string()))?;
    let entries = event.entries().map(|entry| entry.map_err(|broken| Unreadable::Record(broken.id().to_string())));
    let letters: Result<Vec<_>, Unreadable> = entries.map(|entry| entry.and_then(letter)).collect();
    letters.and_then(|letters| if letters.is_empty() { Err(Unreadable::NoRecords) } else { Ok(joined(letters)) })
}

/// Places that follow each other as one run, which is read at once.
fn joined(letters: Vec<Found>) -> Vec<Found> {
    let mut runs: Vec<Found> = Vec::new();
    for letter in letters {
        match (runs.last_mut(), &letter) {
            (Some(Found::Places(run)), Found::Places(next)) if run.is_followed_by(next) => run.last = next.last,
            _ => runs.push(letter),
        }
    }
    runs
}

fn letter(record: &Record) -> Result<Found, Unreadable> {
    let problem = |error: &dyn std::fmt::Display| Unreadable::Record(format!("{}: {error}", record.id()));
    if record.key_schema().is_some() || record.value_schema().is_some() {
        let (topic, partition, offset) = (record.topic().to_owned(), record.partition(), record.offset());
        if !OFFSETS.contains(&offset) {
            return Err(problem(&"no record has this offset"));
        }
        return Ok(Found::Places(Places { records_only: true, topic, partition, first: offset, last: offset }));
    }
    let bytes = |bytes: Option<std::borrow::Cow<'_, [u8]>>| bytes.map(|bytes| Bytes::from(bytes.into_owned()));
    Ok(Found::Record(DeadLetter {
        topic: record.topic().to_owned(),
        partition: Some(record.partition()),
        key: bytes(record.key().map_err(|error| problem(&error))?),
        value: bytes(record.value().map_err(|error| problem(&error))?),
        headers: record.headers().map_err(|error| problem(error))?.to_vec(),
    }))
}

/// `{"orders-0": {"firstRecordOffset": "3", "lastRecordOffset": "7", ...}}`.
fn places(info: &Value) -> Result<Vec<Found>, Unreadable> {
    let offset = |value: &Value| {
        value.as_i64().or_else(|| value.as_str()?.parse().ok()).filter(|offset| OFFSETS.contains(offset))
    };
    let mut found = Vec::new();
    for (name, span) in info.as_object().ok_or(Unreadable::NoRecords)? {
        // A topic may contain `-` itself: the partition stands behind the last one.
        let place = name.rsplit_once('-').and_then(|(topic, partition)| {
            let (first, last) = (offset(&span["firstRecordOffset"])?, offset(&span["lastRecordOffset"])?);
            Some(Places {
                records_only: false,
                topic: topic.to_owned(),
                partition: partition.parse().ok()?,
                first,
                last,
            })
        });
        found.push(Found::Places(place.filter(|place| place.first <= place.last).ok_or(Unreadable::NoRecords)?));
    }
    if found.is_empty() { Err(Unreadable::NoRecords) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn header(name: &str, value: Option<&str>) -> Header {
        Header { name: name.to_owned(), value: value.map(|text| Bytes::from(text.to_owned())) }
    }

    fn document(payload: Value) -> Value {
        let span = json!({"firstRecordOffset": "3", "lastRecordOffset": "7"});
        let mut document = json!({
            "requestContext": {"condition": "RetryAttemptsExhausted"}, "version": "1.0",
            "KafkaBatchInfo": {"batchSize": 5, "recordsInfo": {"a-b-0": span}},
        });
        if !payload.is_null() {
            document["payload"] = payload;
        }
        document
    }

    #[test]
    fn the_consumers_letter_is_the_record_without_its_origin() {
        let headers = vec![
            header("x-redrive-count", Some("1")),
            header("own", None),
            header("x-dlq-reason", Some("rejected")),
            header("x-dlq-topic", Some("orders")),
            header("x-dlq-partition", Some("2")),
        ];
        let found = read_message(Some(b"k"), None, headers).unwrap();
        let expected = DeadLetter {
            topic: "orders".to_owned(),
            partition: Some(2),
            key: Some(Bytes::from_static(b"k")),
            value: None,
            headers: vec![header("x-redrive-count", Some("1")), header("own", None)],
        };
        assert_eq!(found, [Found::Record(expected)], "a tombstone stays one");
    }

    #[test]
    fn awss_documents_are_read_in_every_envelope() {
        let record =
            json!({"topic": "a-b", "partition": 0, "offset": 3, "key": "aw==", "value": "dg==", "headers": []});
        let event = json!({"eventSource": "aws:kafka", "records": {"a-b-0": [record]}});
        for payload in [event.clone(), json!(event.to_string())] {
            let found = read_document(&document(payload)).unwrap();
            let [Found::Record(letter)] = found.as_slice() else { panic!("{found:?}") };
            assert_eq!((letter.topic.as_str(), letter.key.as_deref()), ("a-b", Some(b"k".as_slice())));
        }
        let places =
            Found::Places(Places { records_only: false, topic: "a-b".to_owned(), partition: 0, first: 3, last: 7 });
        let plain = document(Value::Null);
        let notification = json!({"Type": "Notification", "Message": plain.to_string()});
        let received =
            json!({"Messages": [{"MessageId": "1", "Body": plain.to_string()}, {"Body": notification.to_string()}]});
        assert_eq!(read_document(&plain), Ok(vec![places.clone()]));
        assert_eq!(read_document(&notification), Ok(vec![places.clone()]));
        assert_eq!(read_document(&received), Ok(vec![places.clone(), places]));
    }

    #[test]
    fn converted_records_that_follow_each_other_are_read_at_once() {
        let schema = json!({"schemaId": "1", "dataFormat": "JSON"});
        let record = |partition: i32, offset: i64| json!({"topic": "t", "partition": partition, "offset": offset, "value": "e30=", "valueSchemaMetadata": schema});
        let payload = json!({"eventSource": "aws:kafka", "records": {
            "t-0": [record(0, 3), record(0, 4), record(0, 6)], "t-1": [record(1, 7)],
        }});
        let run = |partition, first, last| {
            Found::Places(Places { records_only: true, topic: "t".to_owned(), partition, first, last })
        };
        assert_eq!(read_document(&document(payload)), Ok(vec![run(0, 3, 4), run(0, 6, 6), run(1, 7, 7)]));
    }

    #[test]
    fn a_document_with_a_record_that_cannot_be_read_is_left_whole() {
        let good = json!({"topic": "t", "partition": 0, "offset": 3, "value": "dg=="});
        let schema = json!({"schemaId": "1", "dataFormat": "JSON"});
        let largest =
            json!({"topic": "t", "partition": 0, "offset": i64::MAX, "value": "dg==", "valueSchemaMetadata": schema});
        for broken in [json!({"topic": "t", "partition": 0, "value": "dg=="}), largest] {
            let payload = json!({"eventSource": "aws:kafka", "records": {"t-0": [good, broken]}});
            let found = read_document(&document(payload));
            assert!(matches!(found, Err(Unreadable::Record(_))), "{found:?}");
        }
        let span = json!({"firstRecordOffset": "3", "lastRecordOffset": i64::MAX.to_string()});
        let places = json!({"KafkaBatchInfo": {"recordsInfo": {"t-0": span}}});
        assert_eq!(read_document(&places), Err(Unreadable::NoRecords));
    }

    #[test]
    fn what_is_no_letter_is_told() {
        for text in ["1", "{}", "[]", r#"{"Messages":[]}"#, r#"{"KafkaBatchInfo":1}"#, r#""x""#] {
            let found = read_document(&serde_json::from_str(text).unwrap());
            assert_eq!(found, Err(Unreadable::NotALetter), "{text}");
        }
        for info in
            [json!({}), json!({"orders": {}}), json!({"orders-0": {"firstRecordOffset": "5", "lastRecordOffset": "4"}})]
        {
            let found = read_document(&json!({"KafkaBatchInfo": {"recordsInfo": info}}));
            assert_eq!(found, Err(Unreadable::NoRecords), "{info}");
        }
        assert!(matches!(read_document(&document(json!("oops"))), Err(Unreadable::Record(_))));
        assert_eq!(read_message(None, Some(b"\xff"), Vec::new()), Err(Unreadable::NotALetter));
        let deep = (0..10).fold(json!("x"), |inner, _| json!([inner]));
        assert_eq!(read_document(&deep), Err(Unreadable::NotALetter));
    }
}
