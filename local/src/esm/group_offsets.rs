//! Where the consumer group stands in each partition, asked from outside of the group: so it is known for partitions that other
//! members have, too.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::Offset;
use tokio::sync::Mutex;

use super::broker_queries::{ANSWER_TIMEOUT, QueryClient, all_partitions, query_client};
use super::mapping::Mapping;

/// Questions in a row without an answer after which another client asks: a new one costs the brokers connections.
const FAILURES: u32 = 3;

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
    asking: Arc<Mutex<Option<Asking>>>,
}

struct Asking {
    client: QueryClient,
    /// Questions in a row without an answer.
    failures: u32,
}

impl GroupOffsets {
    pub(super) fn new(mapping: Arc<Mapping>, brokers: String, partitions: usize) -> Self {
        Self { mapping, brokers, partitions, asking: Arc::default() }
    }

    /// All partitions, asked for by one at a time: who gives up while others ask leaves no thread behind.
    pub(super) async fn read(self: &Arc<Self>) -> KafkaResult<Vec<PartitionOffsets>> {
        let (mut client, this) = (Arc::clone(&self.asking).lock_owned().await, Arc::clone(self));
        let asked = tokio::task::spawn_blocking(move || this.ask(&mut client)).await;
        asked.unwrap_or(Err(KafkaError::Canceled))
    }

    /// It blocks until the brokers have answered, or do not: after a few such questions in a row another client asks, which knows
    /// the bootstrap servers again.
    fn ask(&self, client: &mut Option<Asking>) -> KafkaResult<Vec<PartitionOffsets>> {
        let mut asking = match client.take() {
            Some(asking) => asking,
            None => Asking { client: query_client(&self.mapping, &self.brokers)?, failures: 0 },
        };
        let answer = self.ask_with(&asking.client);
        asking.failures = if answer.is_ok() { 0 } else { asking.failures + 1 };
        *client = Some(asking).filter(|asking| asking.failures < FAILURES);
        answer
    }

    fn ask_with(&self, client: &QueryClient) -> KafkaResult<Vec<PartitionOffsets>> {
        // A client that is never polled would keep each error that it has to report.
        let _ = client.poll(Duration::ZERO);
        let topic = self.mapping.topic.as_str();
        let committed = client.committed_offsets(all_partitions(topic, self.partitions), ANSWER_TIMEOUT)?;
        let read = committed.elements().into_iter().map(|element| -> KafkaResult<PartitionOffsets> {
            // A position that cannot be read may exist: no lag is better than a wrong one.
            element.error()?;
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
