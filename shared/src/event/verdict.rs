//! AWS's judgement of a function's answer to a batch, with `ReportBatchItemFailures` on.
//!
//! Rules: AWS Lambda developer guide, "Configure error handling controls for Kafka event sources".

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::msk_event::MskEvent;
use super::record::RecordId;

/// What AWS makes of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Every record is done.
    AllDone,
    /// These records are retried, the others are done. In the event's order, without repetition.
    Failed(Vec<RecordId>),
    /// The answer breaks the rules: every record is retried.
    RetryAll(Mistake),
}

/// How an answer breaks the rules.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// The body is not JSON.
    #[error("the answer is not JSON; return {{\"batchItemFailures\": [...]}}")]
    NotJson,
    /// The body is neither an object nor null.
    #[error("the answer is a JSON {0}, not an object; return {{\"batchItemFailures\": [...]}}")]
    NotAnObject(&'static str),
    /// `batchItemFailures` is not a list.
    #[error("batchItemFailures is a JSON {0}, not a list")]
    NotAList(&'static str),
    /// An item is not an object.
    #[error("batchItemFailures[{index}] is a JSON {found}, not an object with itemIdentifier")]
    ItemNotAnObject {
        /// Position in the list.
        index: usize,
        /// What it is instead.
        found: &'static str,
    },
    /// An item has no `itemIdentifier`.
    #[error("batchItemFailures[{index}] has no itemIdentifier")]
    IdentifierMissing {
        /// Position in the list.
        index: usize,
    },
    /// The identifier is null.
    #[error("batchItemFailures[{index}].itemIdentifier is null")]
    IdentifierNull {
        /// Position in the list.
        index: usize,
    },
    /// The identifier is text (as it is for SQS, Kinesis and DynamoDB) or other JSON.
    #[error(
        "batchItemFailures[{index}].itemIdentifier is a JSON {found}; for Kafka it is an object: {{\"partition\": \"<topic>-<n>\", \"offset\": <number>}}"
    )]
    IdentifierNotAnObject {
        /// Position in the list.
        index: usize,
        /// What it is instead.
        found: &'static str,
    },
    /// The identifier uses the name of an early version of AWS's page.
    #[error("batchItemFailures[{index}].itemIdentifier has the member \"topic-partition\"; its name is \"partition\"")]
    OldPartitionName {
        /// Position in the list.
        index: usize,
    },
    /// `partition` is missing, empty or not text.
    #[error("batchItemFailures[{index}].itemIdentifier.partition must be the text \"<topic>-<n>\"")]
    Partition {
        /// Position in the list.
        index: usize,
    },
    /// `offset` is missing or not a whole number.
    #[error("batchItemFailures[{index}].itemIdentifier.offset must be a whole number, and no text")]
    Offset {
        /// Position in the list.
        index: usize,
    },
    /// The batch has no record of that partition.
    #[error(
        "batchItemFailures[{index}]: the batch has no partition \"{partition}\"; a partition is named \"<topic>-<n>\""
    )]
    UnknownPartition {
        /// Position in the list.
        index: usize,
        /// The text given, shortened.
        partition: String,
    },
    /// The batch has no such offset in that partition.
    #[error("batchItemFailures[{index}]: the batch has no offset {offset} in partition \"{partition}\"")]
    UnknownOffset {
        /// Position in the list.
        index: usize,
        /// The partition.
        partition: String,
        /// The offset given.
        offset: i64,
    },
}

/// Judges the body of a function's answer against the batch it was given. An empty body, `null`, `{}`, `[]` and a missing, null or
/// empty `batchItemFailures` mean that everything is done.
pub fn judge(event: &MskEvent, body: &[u8]) -> Verdict {
    if body.trim_ascii().is_empty() {
        return Verdict::AllDone;
    }
    match serde_json::from_slice::<Value>(body) {
        Ok(answer) => judge_json(event, &answer).unwrap_or_else(Verdict::RetryAll),
        Err(_) => Verdict::RetryAll(Mistake::NotJson),
    }
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

/// Reads one item; which rule it breaks first is the message.
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
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}
