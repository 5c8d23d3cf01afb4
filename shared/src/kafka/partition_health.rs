//! Which partitions have failed in a row, so that records for a partition whose leader is cut off fail fast while the others
//! go on.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::client::Client;
use super::failure::{FailureCause, PublishFailure};
use super::partition::Partition;
use super::publish::PublishResult;
use super::record::OutboundRecord;
use super::settings::{CONNECT_OPEN, METADATA_AGE, RESERVE};
use crate::deadline::Deadline;
use crate::names::TopicName;

/// Failures in a row after which a partition's leader is asked before anything is sent to it.
const FAILURES: u32 = 3;

pub(super) type TopicPartition = (TopicName, i32);

/// Failures in a row, by partition. Partitions that work are not in it.
#[derive(Debug, Default)]
pub(super) struct PartitionHealth(Mutex<HashMap<TopicPartition, u32>>);

impl PartitionHealth {
    /// Notes each record's outcome at the partition it was meant for.
    pub(super) fn note(&self, outcomes: impl IntoIterator<Item = (TopicPartition, PublishResult)>) {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (partition, result) in outcomes {
            match result {
                Ok(_) => {
                    failures.remove(&partition);
                }
                Err(PublishFailure { cause: FailureCause::TimedOut | FailureCause::BrokersUnreachable, .. }) => {
                    *failures.entry(partition).or_insert(0) += 1;
                }
                Err(_) => {}
            }
        }
    }

    /// Whether each record must be withheld because its partition's leader does not answer. Records that may go anywhere are
    /// given another partition.
    pub(super) async fn withhold_unreachable(
        &self,
        client: &Arc<Client>,
        records: &mut [OutboundRecord],
        deadline: Deadline,
    ) -> Vec<bool> {
        let bound = || CONNECT_OPEN.min(deadline.remaining_less(RESERVE));
        let mut withheld = vec![false; records.len()];
        let topics: BTreeSet<TopicName> = records.iter().map(|record| record.topic.clone()).collect();
        for topic in topics {
            let suspects = self.suspects(&topic);
            if suspects.is_empty() {
                continue;
            }
            let partitions = client.partitions(&topic, METADATA_AGE, bound()).await;
            let count = partitions.map_or(0, |partitions| Partition::count(&partitions));
            let silent = self.silent_partitions(client, &topic, suspects, bound()).await;
            let answering: Vec<i32> =
                (0..count.cast_signed()).filter(|partition| !silent.contains(partition)).collect();
            for (index, record) in records.iter_mut().enumerate().filter(|(_, record)| record.topic == topic) {
                match partition_of(record, count) {
                    Some(partition) => withheld[index] = silent.contains(&partition),
                    None if answering.is_empty() => withheld[index] = true,
                    None => record.partition = answering.get(index % answering.len()).copied(),
                }
            }
        }
        withheld
    }

    /// Asks the leaders of suspect partitions, all at once; those that answer are no longer suspect.
    async fn silent_partitions(
        &self,
        client: &Arc<Client>,
        topic: &TopicName,
        suspects: Vec<i32>,
        bound: Duration,
    ) -> BTreeSet<i32> {
        let asked = suspects
            .into_iter()
            .map(|partition| async move { (partition, client.leader_answers(topic.clone(), partition, bound).await) });
        let mut silent = BTreeSet::new();
        for (partition, answers) in futures_util::future::join_all(asked).await {
            if answers {
                self.clear(topic, partition);
            } else {
                silent.insert(partition);
            }
        }
        silent
    }

    /// Partitions of a topic that have failed too often in a row.
    fn suspects(&self, topic: &TopicName) -> Vec<i32> {
        let failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let suspects = failures.iter().filter(|((name, _), count)| name == topic && **count >= FAILURES);
        suspects.map(|((_, partition), _)| *partition).collect()
    }

    fn clear(&self, topic: &TopicName, partition: i32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&(topic.clone(), partition));
    }
}

/// The partition that librdkafka will choose for a record: the named one, else by key (`murmur2_random`, as Java clients).
/// `None` for a record without either: it may go anywhere.
fn partition_of(record: &OutboundRecord, count: u32) -> Option<i32> {
    if record.partition.is_some() {
        return record.partition;
    }
    let hash = murmur2(record.key.as_ref()?) & 0x7fff_ffff;
    i32::try_from(hash.checked_rem(count)?).ok()
}

/// 32-bit murmur2 with Kafka's seed (`org.apache.kafka.common.utils.Utils.murmur2`).
fn murmur2(bytes: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let mut hash = 0x9747_b28c_u32 ^ length;
    let mut words = bytes.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(M);
        k = (k ^ (k >> 24)).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ k;
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        for (index, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * index);
        }
        hash = hash.wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::{Delivery, Persisted};

    fn orders() -> TopicName {
        TopicName::parse("orders").unwrap()
    }

    #[test]
    fn murmur2_gives_the_values_of_kafkas_own_tests() {
        // org.apache.kafka.common.utils.UtilsTest.testMurmur2
        let cases: [(&str, i32); 6] = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ];
        for (text, expected) in cases {
            assert_eq!(murmur2(text.as_bytes()).cast_signed(), expected, "{text}");
        }
    }

    #[test]
    fn a_partition_is_suspect_after_three_failures_in_a_row_until_something_succeeds() {
        let health = PartitionHealth::default();
        let failed = Err(PublishFailure { cause: FailureCause::TimedOut, persisted: Persisted::Unknown });
        let written = Ok(Delivery { partition: 1, offset: 0, timestamp_ms: None });
        health.note([((orders(), 1), failed), ((orders(), 1), failed), ((orders(), 2), failed)]);
        assert_eq!(health.suspects(&orders()), Vec::<i32>::new());
        health.note([((orders(), 1), failed)]);
        assert_eq!(health.suspects(&orders()), [1]);
        health.note([((orders(), 1), written)]);
        assert_eq!(health.suspects(&orders()), Vec::<i32>::new());
        let refused = Err(PublishFailure::not_sent(FailureCause::RecordTooLarge));
        health.note(vec![((orders(), 3), refused); 9]);
        assert_eq!(health.suspects(&orders()), Vec::<i32>::new(), "a bad record says nothing of its partition");
    }
}
