//! The MSK event, its records and the batch response: read by the consumer, written by the emulator.
//!
//! | To | Use |
//! |---|---|
//! | read an invocation's body | [`MskEvent::parse`] |
//! | look at a record | [`Record`]: `value()`, `key()`, `header()`, `is_tombstone()`, `id()` |
//! | decode its value | [`Record::json`], [`Record::text`], [`Record::message`], [`ConfluentPrefix`] |
//! | answer | [`BatchResponse::reporting`] |
//! | write an event as AWS does | [`Record::new`], [`MskEvent::of`], [`MskEvent::to_json`] |
//! | judge a function's answer as AWS does | [`judge`] |
//!
//! The text of the event is never copied: records hold slices of it and decode their base64 when asked.
//! The shape is that of AWS's page "Using Lambda with Amazon MSK"; what is accepted beyond it is listed at [`MskEvent::parse`].

#[cfg(feature = "aws-lambda-events")]
mod aws_lambda_events;
mod cloud_event;
mod decode;
mod judge;
mod parse;
mod record;
mod response;
mod write;

pub use crate::header::Header;
pub use cloud_event::{CloudEvent, CloudEventMode};
pub use decode::{ConfluentPrefix, DecodeError, Message};
pub use judge::{Mistake, Verdict, judge};
pub use parse::EventError;
pub use record::{FieldError, Record, RecordFault, RecordId, SchemaMetadata, TimestampType};
pub use response::{BatchResponse, Unreportable};
pub use write::TombstoneStyle;

use std::collections::HashMap;

/// The `eventSource` of a mapping on an MSK cluster.
pub const MSK_EVENT_SOURCE: &str = "aws:kafka";
/// The `eventSource` of a mapping on a cluster that is not MSK's.
pub const SELF_MANAGED_EVENT_SOURCE: &str = "SelfManagedKafka";

/// The records of one invocation, grouped by topic and partition in the event's order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MskEvent {
    /// `aws:kafka`, or `SelfManagedKafka`; absent from some emulators.
    pub event_source: Option<String>,
    /// ARN of the cluster; absent for a self-managed one.
    pub event_source_arn: Option<String>,
    /// `host:port,...` as the mapping connects.
    pub bootstrap_servers: Option<String>,
    /// One group per topic and partition.
    pub partitions: Vec<PartitionRecords>,
}

/// The records of one partition, in offset order when AWS sent them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PartitionRecords {
    /// The group's name in the event, `<topic>-<partition>`. A topic may contain `-`: ask the records for theirs.
    pub name: String,
    /// The records, in the event's order.
    pub records: Vec<Record>,
}

impl MskEvent {
    /// An event of the given records, grouped by partition; groups come in the order of their first record.
    pub fn of(records: impl IntoIterator<Item = Record>) -> Self {
        let mut event = Self { event_source: Some(MSK_EVENT_SOURCE.into()), ..Self::default() };
        let mut groups: HashMap<String, usize> = HashMap::new();
        for record in records {
            let name = record.id().partition_name();
            let index = *groups.entry(name).or_insert_with_key(|name| {
                event.partitions.push(PartitionRecords { name: name.clone(), records: Vec::new() });
                event.partitions.len() - 1
            });
            event.partitions[index].records.push(record);
        }
        event
    }

    /// All records, group by group. A record's position here is its index in [`BatchResponse::reporting`].
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.partitions.iter().flat_map(|group| &group.records)
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.partitions.iter().map(|group| group.records.len()).sum()
    }

    /// Whether there is no record at all.
    pub fn is_empty(&self) -> bool {
        self.partitions.iter().all(|group| group.records.is_empty())
    }
}
