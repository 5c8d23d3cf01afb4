//! Where the consumer group stands in each partition, asked from outside of the group: so it is known for partitions that other
//! members have, too.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaResult;
use rdkafka::topic_partition_list::Offset;

use super::broker_queries::{ANSWER_TIMEOUT, QueryClient, all_partitions, query_client};
use super::mapping::Mapping;

/// A partition of the topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PartitionOffsets {
    pub(super) partition: i32,
    /// The offset that the group commits next, at the earliest that of the oldest record.
    pub(super) committed: i64,
    /// The offset of the next record that is written.
    pub(super) end: i64,
}

impl PartitionOffsets {
    /// The records that are not committed.
    pub(super) fn lag(&self) -> i64 {
        (self.end - self.committed).max(0)
    }
}

/// Asks for one mapping; its client is made by the first question and kept for the later ones.
pub(super) struct GroupOffsets {
    mapping: Arc<Mapping>,
    brokers: String,
    partitions: usize,
    client: Mutex<Option<QueryClient>>,
}

impl GroupOffsets {
    pub(super) fn new(mapping: Arc<Mapping>, brokers: String, partitions: usize) -> Self {
        Self { mapping, brokers, partitions, client: Mutex::new(None) }
    }

    /// All partitions. It blocks until the brokers have answered, or do not.
    pub(super) fn read(&self) -> KafkaResult<Vec<PartitionOffsets>> {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        let client = match &mut *client {
            Some(client) => client,
            none => none.insert(query_client(&self.mapping, &self.brokers)?),
        };
        // A client that is never polled would keep each error that it has to report.
        let _ = client.poll(Duration::ZERO);
        let topic = self.mapping.topic.as_str();
        let committed = client.committed_offsets(all_partitions(topic, self.partitions), ANSWER_TIMEOUT)?;
        let read = committed.elements().into_iter().map(|element| -> KafkaResult<PartitionOffsets> {
            let (low, end) = client.fetch_watermarks(topic, element.partition(), ANSWER_TIMEOUT)?;
            let committed = match element.offset() {
                Offset::Offset(position) => position.max(low),
                _ => low,
            };
            Ok(PartitionOffsets { partition: element.partition(), committed, end })
        });
        read.collect()
    }
}
