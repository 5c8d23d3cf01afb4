//! How AWS interprets a function's response to a batch with `ReportBatchItemFailures`.
//!
//! Rules: AWS Lambda developer guide, "Configure error handling controls for Kafka event sources".

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::msk_event::MskEvent;
use super::record_id::RecordId;

/// How AWS interprets a response.
///
/// ```
/// use msk_shared::event::{MskEvent, Record, Verdict, judge};
///
/// let event = MskEvent::new([Record::new("orders", 0, 7), Record::new("orders", 0, 8)]);
/// let response = br#"{"batchItemFailures":[{"itemIdentifier":{"partition":"orders-0","offset":8}}]}"#;
/// assert_eq!(judge(&event, response), Verdict::Failed(vec![Record::new("orders", 0, 8).id()]));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Every record is done.
    AllDone,
    /// These records are retried, the others are done. In the order of the event, without duplicates.
    Failed(Vec<RecordId>),
    /// The response breaks the rules: every record is retried.
    RetryAll(Mistake),
}

/// How a response breaks the rules.
///
/// ```
/// use msk_shared::event::{Mistake, MskEvent, Record, Verdict, judge};
///
/// let event = MskEvent::new([Record::new("orders", 0, 7)]);
/// // As for SQS and Kinesis, whose identifiers are strings.
/// let Verdict::RetryAll(mistake) = judge(&event, br#"{"batchItemFailures":[{"itemIdentifier":"7"}]}"#) else { panic!() };
/// assert_eq!(mistake, Mistake::IdentifierNotAnObject { index: 0, found: "string" });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// The body is not JSON.
    #[error("the response is not JSON; return {{\"batchItemFailures\": [...]}}")]
    NotJson,
    /// The body is neither an object nor null.
    #[error("the response is a JSON {0}, not an object; return {{\"batchItemFailures\": [...]}}")]
    NotAnObject(&'static str),
    /// `batchItemFailures` is not an array.
    #[error("batchItemFailures is a JSON {0}, not an array")]
    NotAList(&'static str),
    /// An item is not an object.
    #[error("batchItemFailures[{index}] is a JSON {found}, not an object with itemIdentifier")]
    ItemNotAnObject {
        /// Position in the array, from 0.
        index: usize,
        /// The JSON type found instead.
        found: &'static str,
    },
    /// An item has no `itemIdentifier`.
    #[error("batchItemFailures[{index}] has no itemIdentifier")]
    IdentifierMissing {
        /// Position in the array, from 0.
        index: usize,
    },
    /// The identifier is null.
    #[error("batchItemFailures[{index}].itemIdentifier is null")]
    IdentifierNull {
        /// Position in the array, from 0.
        index: usize,
    },
    /// The identifier is a string (as for SQS, Kinesis and DynamoDB) or other JSON.
    #[error(
        "batchItemFailures[{index}].itemIdentifier is a JSON {found}; for Kafka it must be an object: {{\"partition\": \"<topic>-<n>\", \"offset\": <number>}}"
    )]
    IdentifierNotAnObject {
        /// Position in the array, from 0.
        index: usize,
        /// The JSON type found instead.
        found: &'static str,
    },
    /// The identifier uses a member name from an early version of AWS's page.
    #[error("batchItemFailures[{index}].itemIdentifier has the member \"topic-partition\"; name it \"partition\"")]
    OldPartitionName {
        /// Position in the array, from 0.
        index: usize,
    },
    /// `partition` is missing, empty or not a string.
    #[error("batchItemFailures[{index}].itemIdentifier.partition must be the string \"<topic>-<n>\"")]
    Partition {
        /// Position in the array, from 0.
        index: usize,
    },
    /// `offset` is missing or not a whole number.
    #[error("batchItemFailures[{index}].itemIdentifier.offset must be a whole number, not a string")]
    Offset {
        /// Position in the array, from 0.
        index: usize,
    },
    /// The batch has no record of that partition.
    #[error(
        "batchItemFailures[{index}]: the batch has no partition \"{partition}\"; a partition is named \"<topic>-<n>\""
    )]
    UnknownPartition {
        /// Position in the array, from 0.
        index: usize,
        /// The text given, shortened.
        partition: String,
    },
    /// The batch has no such offset in that partition.
    #[error("batchItemFailures[{index}]: the batch has no offset {offset} in partition \"{partition}\"")]
    UnknownOffset {
        /// Position in the array, from 0.
        index: usize,
        /// The partition given.
        partition: String,
        /// The offset given.
        offset: i64,
    },
}

/// Evaluates the body of a function's response against the batch it was given. An empty body, `null`, `{}`, `[]` and a missing, null or
/// empty `batchItemFailures` mean that everything is done.
///
/// ```
/// use msk_shared::event::{MskEvent, Record, Verdict, judge};
///
/// let event = MskEvent::new([Record::new("orders", 0, 7)]);
/// assert!(matches!(judge(&event, b"{}"), Verdict::AllDone));
/// let unknown = br#"{"batchItemFailures":[{"itemIdentifier":{"partition":"orders-0","offset":9}}]}"#;
/// assert!(matches!(judge(&event, unknown), Verdict::RetryAll(_)));
/// ```
pub fn judge(event: &MskEvent, body: &[u8]) -> Verdict {
    if body.trim_ascii().is_empty() {
        return Verdict::AllDone;
    }
    match serde_json::from_slice::<Value>(body) {
        Ok(answer) => judge_json(event, &answer).unwrap_or_else(Verdict::RetryAll),
        Err(_) => Verdict::RetryAll(Mistake::NotJson),
    }
}

/// What a response seems to say about failures, while AWS counts every record as done.
///
/// ```
/// use msk_shared::event::{Overlooked, overlooked};
///
/// let told = overlooked(br#"{"batch_item_failures": []}"#).unwrap();
/// assert_eq!(told, Overlooked::Misspelt("batch_item_failures".to_owned()));
/// assert!(told.to_string().ends_with("name it \"batchItemFailures\""));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Overlooked {
    /// A member that AWS reads under another spelling only.
    #[error("the response has the member \"{0}\", which AWS does not read: name it \"batchItemFailures\"")]
    Misspelt(String),
    /// Other members, without the one that AWS reads.
    #[error(
        "the response has no batchItemFailures, so AWS counts every record as done whatever its other members say ({0}); return \
         {{\"batchItemFailures\": []}} to say so, or raise an error to fail the batch"
    )]
    OtherMembers(String),
}

/// What of a response AWS does not read although it seems to tell of failures; `None` where [`judge`] finds failures itself,
/// and for the responses that AWS documents as a success.
///
/// ```
/// use msk_shared::event::overlooked;
///
/// assert!(overlooked(br#"{"statusCode": 500}"#).is_some(), "AWS counts every record as done");
/// assert_eq!(overlooked(br#"{"batchItemFailures": []}"#), None);
/// ```
pub fn overlooked(body: &[u8]) -> Option<Overlooked> {
    /// Enough to recognise a response by, without printing it.
    const SHOWN: usize = 5;
    let Ok(Value::Object(members)) = serde_json::from_slice::<Value>(body) else { return None };
    if members.is_empty() || members.contains_key("batchItemFailures") {
        return None;
    }
    let plain = |name: &str| name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    let meant = |name: &&String| matches!(plain(name).as_str(), "batchitemfailures" | "batchitemfailure");
    if let Some(name) = members.keys().find(meant) {
        return Some(Overlooked::Misspelt(name.clone()));
    }
    Some(Overlooked::OtherMembers(members.keys().take(SHOWN).cloned().collect::<Vec<_>>().join(", ")))
}

/// Whether a response names failed records.
///
/// ```
/// use msk_shared::event::names_failures;
///
/// assert!(names_failures(br#"{"batchItemFailures":[{"itemIdentifier":{"partition":"orders-0","offset":8}}]}"#));
/// assert!(!names_failures(br#"{"batchItemFailures":[]}"#));
/// ```
pub fn names_failures(body: &[u8]) -> bool {
    let response = serde_json::from_slice::<Value>(body).unwrap_or_default();
    response["batchItemFailures"].as_array().is_some_and(|items| !items.is_empty())
}

fn judge_json(event: &MskEvent, answer: &Value) -> Result<Verdict, Mistake> {
    let members = match answer {
        Value::Null => return Ok(Verdict::AllDone),
        Value::Array(items) if items.is_empty() => return Ok(Verdict::AllDone),
        Value::Object(members) => members,
        other => return Err(Mistake::NotAnObject(json_type(other))),
    };
    let items = match members.get("batchItemFailures") {
        None | Some(Value::Null) => return Ok(Verdict::AllDone),
        Some(Value::Array(items)) => items,
        Some(other) => return Err(Mistake::NotAList(json_type(other))),
    };
    if items.is_empty() {
        return Ok(Verdict::AllDone);
    }
    let identifiers = Identifiers::new(event);
    let mut failed = HashSet::new();
    for (index, item) in items.iter().enumerate() {
        let (partition, offset) = identifier(index, item)?;
        let id = identifiers.find(index, partition, offset)?;
        failed.insert(id);
    }
    let mut in_order: Vec<RecordId> = Vec::with_capacity(failed.len());
    for record in event.records() {
        if failed.remove(&record.id()) {
            in_order.push(record.id());
        }
    }
    Ok(Verdict::Failed(in_order))
}

/// Reads one item; the error is the first rule that it breaks.
fn identifier(index: usize, item: &Value) -> Result<(&str, i64), Mistake> {
    let Value::Object(item) = item else {
        return Err(Mistake::ItemNotAnObject { index, found: json_type(item) });
    };
    let members = match item.get("itemIdentifier") {
        None => return Err(Mistake::IdentifierMissing { index }),
        Some(Value::Null) => return Err(Mistake::IdentifierNull { index }),
        Some(Value::Object(members)) => members,
        Some(other) => return Err(Mistake::IdentifierNotAnObject { index, found: json_type(other) }),
    };
    let partition = match members.get("partition") {
        Some(Value::String(text)) if !text.is_empty() => text,
        None if members.contains_key("topic-partition") => return Err(Mistake::OldPartitionName { index }),
        _ => return Err(Mistake::Partition { index }),
    };
    let offset = members.get("offset").and_then(Value::as_i64).ok_or(Mistake::Offset { index })?;
    Ok((partition, offset))
}

/// The batch's identifiers, by partition name.
struct Identifiers(HashMap<String, HashMap<i64, RecordId>>);

impl Identifiers {
    fn new(event: &MskEvent) -> Self {
        let mut partitions: HashMap<String, HashMap<i64, RecordId>> = HashMap::new();
        for record in event.records() {
            let id = record.id();
            partitions.entry(id.partition_name()).or_default().insert(id.offset, id);
        }
        Self(partitions)
    }

    fn find(&self, index: usize, partition: &str, offset: i64) -> Result<RecordId, Mistake> {
        /// Longer than any partition's name: a topic has at most 249 characters.
        const SHOWN: usize = 260;
        let Some(offsets) = self.0.get(partition) else {
            return Err(Mistake::UnknownPartition { index, partition: partition.chars().take(SHOWN).collect() });
        };
        offsets.get(&offset).cloned().ok_or_else(|| Mistake::UnknownOffset {
            index,
            partition: partition.to_owned(),
            offset,
        })
    }
}

fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
