//! What the cluster's metadata say of a topic's partitions.

use rdkafka::metadata::MetadataTopic;

/// A partition of a topic. In a topic's list, partitions stand in the order of their numbers, which count from 0.
///
/// ```
/// use msk_shared::kafka::{Partition, Replica};
///
/// let replicas = vec![Replica { broker: 1, in_sync: true }, Replica { broker: 2, in_sync: false }];
/// let partition = Partition { id: 0, leader: Some(1), replicas };
/// assert_eq!(Partition::count(&[partition]), 1);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Its number.
    pub id: i32,
    /// The id of the broker that leads it; `None` while there is none.
    pub leader: Option<i32>,
    /// The brokers that should have a copy, the preferred leader first.
    pub replicas: Vec<Replica>,
}

/// A partition's copy on one broker.
///
/// ```
/// use msk_shared::kafka::Replica;
///
/// /// How many brokers may fail before writes with `min.insync.replicas` of 2 are refused.
/// fn spare(replicas: &[Replica]) -> usize {
///     replicas.iter().filter(|replica| replica.in_sync).count().saturating_sub(2)
/// }
/// assert_eq!(spare(&[1, 2, 3].map(|broker| Replica { broker, in_sync: true })), 1);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replica {
    /// The broker's id.
    pub broker: i32,
    /// Whether the copy is complete, as far as the broker that answered knows.
    pub in_sync: bool,
}

impl Partition {
    /// A topic's partitions in a broker's answer.
    pub(super) fn all_of(topic: &MetadataTopic) -> Vec<Self> {
        let partition = |found: &rdkafka::metadata::MetadataPartition| Self {
            id: found.id(),
            leader: Some(found.leader()).filter(|leader| *leader >= 0),
            replicas: found
                .replicas()
                .iter()
                .map(|broker| Replica { broker: *broker, in_sync: found.isr().contains(broker) })
                .collect(),
        };
        let mut partitions: Vec<Self> = topic.partitions().iter().map(partition).collect();
        partitions.sort_by_key(|partition| partition.id);
        partitions
    }

    /// How many partitions a topic has.
    pub fn count(all: &[Self]) -> u32 {
        u32::try_from(all.len()).unwrap_or(u32::MAX)
    }
}
