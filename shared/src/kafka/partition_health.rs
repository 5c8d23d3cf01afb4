//! Which partitions have failed in a row, so that records for a partition whose leader is cut off fail fast while the others
//! go on.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::client::Client;
use super::failure::{FailureCause, PublishFailure};
use super::partition::Partition;
use super::partitioner::partition_of;
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
                // Nearly always: then there is nothing to hash.
                Ok(_) if failures.is_empty() => {}
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::{Delivery, Persisted};

    fn orders() -> TopicName {
        TopicName::parse("orders").unwrap()
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
