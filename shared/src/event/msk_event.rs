//! The event of an invocation: its records, grouped by partition.

use std::collections::HashMap;

use super::record::{BrokenRecord, Record};

/// The `eventSource` of a mapping for an MSK cluster.
pub const MSK_EVENT_SOURCE: &str = "aws:kafka";
/// The `eventSource` of a mapping for a self-managed cluster.
pub const SELF_MANAGED_EVENT_SOURCE: &str = "SelfManagedKafka";

/// The records of one invocation, grouped by topic and partition, in the order of the event.
///
/// ```
/// use msk_shared::event::{MskEvent, Record, TombstoneStyle};
///
/// let event = MskEvent::new([Record::new("orders", 0, 7), Record::new("orders", 1, 3), Record::new("orders", 0, 8)]);
/// assert_eq!((event.len(), event.partitions.len()), (3, 2));
/// assert_eq!(MskEvent::parse(event.to_json(TombstoneStyle::Null))?, event);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MskEvent {
    /// `aws:kafka`, or `SelfManagedKafka`; absent from some emulators.
    pub event_source: Option<String>,
    /// ARN of the cluster; absent for a self-managed cluster.
    pub event_source_arn: Option<String>,
    /// The addresses that the mapping connects to, as `host:port,...`.
    pub bootstrap_servers: Option<String>,
    /// One group per topic and partition.
    pub partitions: Vec<PartitionRecords>,
}

/// The records of one partition, in offset order if AWS sent them.
///
/// ```
/// use msk_shared::event::{MskEvent, Record};
///
/// let event = MskEvent::new([Record::new("orders-eu", 1, 7), Record::new("orders-eu", 1, 8)]);
/// let group = &event.partitions[0];
/// assert_eq!((group.name.as_str(), group.records.len()), ("orders-eu-1", 2));
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PartitionRecords {
    /// The group's name in the event, `<topic>-<partition>`. A topic may contain `-`, so take topic and partition from the records.
    pub name: String,
    /// The records, in the order of the event.
    pub records: Vec<Result<Record, BrokenRecord>>,
}

impl MskEvent {
    /// An event with the given records, grouped by partition; the groups are in the order of their first record.
    pub fn new(records: impl IntoIterator<Item = Record>) -> Self {
        let mut event = Self { event_source: Some(MSK_EVENT_SOURCE.into()), ..Self::default() };
        let mut groups: HashMap<String, usize> = HashMap::new();
        for record in records {
            let name = record.id().partition_name();
            let index = *groups.entry(name).or_insert_with_key(|name| {
                event.partitions.push(PartitionRecords { name: name.clone(), records: Vec::new() });
                event.partitions.len() - 1
            });
            event.partitions[index].records.push(Ok(record));
        }
        event
    }

    /// All records, including broken ones, group by group, at the positions used by [`BatchResponse::reporting`](super::BatchResponse::reporting).
    pub fn entries(&self) -> impl Iterator<Item = Result<&Record, &BrokenRecord>> {
        self.partitions.iter().flat_map(|group| &group.records).map(Result::as_ref)
    }

    /// All records except broken ones, group by group.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.entries().filter_map(Result::ok)
    }

    /// The topic of each group, as its first record that has a name gives it.
    pub fn topics(&self) -> impl Iterator<Item = &str> {
        self.partitions.iter().filter_map(|group| group.records.iter().flatten().next()).map(Record::topic)
    }

    /// Number of records, including broken ones.
    pub fn len(&self) -> usize {
        self.partitions.iter().map(|group| group.records.len()).sum()
    }

    /// Whether there are no records at all.
    pub fn is_empty(&self) -> bool {
        self.partitions.iter().all(|group| group.records.is_empty())
    }
}
