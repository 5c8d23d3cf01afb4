//! What identifies a record in logs and in the batch response, and what is known of one that cannot be identified.

use std::fmt;
use std::sync::Arc;

/// The identity of a record in logs and in the batch response, displayed as `topic-partition@offset`.
///
/// ```
/// use msk_shared::event::RecordId;
///
/// let id = RecordId { topic: "orders".into(), partition: 2, offset: 40 };
/// assert_eq!((id.to_string().as_str(), id.partition_name().as_str()), ("orders-2@40", "orders-2"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId {
    /// The topic, which may itself contain `-` and digits.
    pub topic: Arc<str>,
    /// 0 or more.
    pub partition: i32,
    /// 0 or more, within the partition.
    pub offset: i64,
}

/// The known coordinates of a broken record, displayed like [`RecordId`] with `?` for what is missing.
///
/// ```
/// use msk_shared::event::{MskEvent, RecordFault};
///
/// let event = MskEvent::parse(r#"{"eventSource": "aws:kafka", "records": {"orders-2": [{"offset": -1}]}}"#)?;
/// let broken = event.entries().next().unwrap().unwrap_err();
/// assert_eq!((broken.id().fault, broken.id().to_string().as_str()), (RecordFault::Offset, "orders-2@?"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenId {
    /// The record's topic, otherwise its group's.
    pub topic: Option<Arc<str>>,
    /// The record's partition, otherwise its group's.
    pub partition: Option<i32>,
    /// Offset within the partition.
    pub offset: Option<i64>,
    /// Why the record cannot be identified.
    pub fault: RecordFault,
}

/// Why a record cannot be identified in a batch response.
///
/// ```
/// use msk_shared::event::{MskEvent, RecordFault};
///
/// let event = MskEvent::parse(r#"{"eventSource": "aws:kafka", "records": {"orders-2": ["text"]}}"#)?;
/// let broken = event.entries().next().unwrap().unwrap_err();
/// assert_eq!(broken.id().fault, RecordFault::NotAnObject);
/// assert_eq!(broken.id().fault.to_string(), "the record is not a JSON object");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordFault {
    /// It is a different JSON value.
    #[error("the record is not a JSON object")]
    NotAnObject,
    /// Neither the record nor the name of its group has a topic.
    #[error("the record has no topic")]
    Topic,
    /// Neither the record nor the name of its group has a partition of 0 or more.
    #[error("the record has no valid partition")]
    Partition,
    /// The offset is missing or less than 0.
    #[error("the record has no valid offset")]
    Offset,
}

impl RecordId {
    /// `<topic>-<partition>`: the group's name in the event and the identifier in the batch response.
    pub fn partition_name(&self) -> String {
        format!("{}-{}", self.topic, self.partition)
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}@{}", self.topic, self.partition, self.offset)
    }
}

impl fmt::Display for BrokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = |number: Option<String>| number.unwrap_or_else(|| "?".into());
        let (partition, offset) = (self.partition.map(|n| n.to_string()), self.offset.map(|n| n.to_string()));
        write!(f, "{}-{}@{}", self.topic.as_deref().unwrap_or("?"), known(partition), known(offset))
    }
}
