//! Reads a dead-letter topic, and records by their places.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use msk_shared::event::Header;
use msk_shared::kafka::TokenSource;
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::metadata::{Metadata, MetadataTopic};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaErrorCode as Code;

use super::super::broker_queries::{QueryClient, querying};
use super::super::consumer::headers;
use super::super::error::MappingError;
use super::super::kafka_client::{ClientSettings, base_settings};
use super::failure_document::{DeadLetter, Places};

/// How long the brokers may take to answer one query.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// A commit for each letter would double the time; after a kill, at most these are sent once more.
const LETTERS_A_COMMIT: u64 = 100;

/// How brokers are reached.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// Their addresses, as `host:port,...`.
    pub bootstrap_servers: String,
    /// librdkafka properties beyond the emulator's own.
    pub kafka_options: BTreeMap<String, String>,
    /// Signs MSK IAM tokens, where the options ask for them ([`iam::tokens`](super::super::iam::tokens)).
    pub tokens: Option<TokenSource>,
    /// The consumer group whose offsets say how far dead letters were read.
    pub group: String,
}

impl Cluster {
    pub(super) fn client_settings(&self) -> ClientSettings {
        base_settings(&self.bootstrap_servers, &self.group, &self.kafka_options, self.tokens.clone())
    }

    fn consumer(&self) -> Result<QueryClient, MappingError> {
        querying(&self.client_settings().outside_of_groups()).map_err(|error| MappingError::Client(error.to_string()))
    }
}

/// A message of a dead-letter topic.
pub(super) struct DeadLetterMessage {
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) key: Option<Bytes>,
    pub(super) value: Option<Bytes>,
    pub(super) headers: Vec<Header>,
}

impl DeadLetterMessage {
    fn new(message: &BorrowedMessage<'_>) -> Self {
        Self {
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().map(Bytes::copy_from_slice),
            value: message.payload().map(Bytes::copy_from_slice),
            headers: headers(message),
        }
    }
}

/// A dead-letter topic, read to its end as it was at the beginning.
pub(super) struct DeadLetterTopic {
    spans: Arc<Spans>,
    group: String,
    /// Letters that are sent or left and not committed yet: the next position of their partitions.
    done: BTreeMap<i32, i64>,
    uncommitted: u64,
    ends: BTreeMap<i32, i64>,
}

/// Parts of one topic's partitions, assigned to a consumer.
struct Spans {
    consumer: QueryClient,
    topic: String,
    brokers: String,
}

impl DeadLetterTopic {
    /// Begins behind the committed offsets, or at the oldest letter.
    pub(super) async fn open(cluster: &Cluster, topic: &str, from_beginning: bool) -> Result<Self, MappingError> {
        let (cluster, topic) = (cluster.clone(), topic.to_owned());
        blocking(move || {
            let spans = Spans { consumer: cluster.consumer()?, topic, brokers: cluster.bootstrap_servers.clone() };
            let (mut list, mut ends) = (TopicPartitionList::new(), BTreeMap::new());
            for partition in 0..spans.partition_count()? {
                let (low, high) = spans.watermarks(partition)?;
                let committed = if from_beginning { None } else { spans.committed(partition, &cluster.group)? };
                let first = committed.unwrap_or(low).max(low);
                if first < high {
                    list.add_partition_offset(&spans.topic, partition, Offset::Offset(first))
                        .map_err(|e| spans.silent(&e))?;
                    ends.insert(partition, high);
                }
            }
            spans.consumer.assign(&list).map_err(|error| spans.silent(&error))?;
            Ok(Self { spans: Arc::new(spans), group: cluster.group, done: BTreeMap::new(), uncommitted: 0, ends })
        })
        .await
    }

    /// The next letter; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<DeadLetterMessage>, MappingError> {
        let (spans, mut ends) = (Arc::clone(&self.spans), std::mem::take(&mut self.ends));
        let (message, ends) = blocking(move || Ok((spans.next(&mut ends)?, ends))).await?;
        self.ends = ends;
        Ok(message)
    }

    /// The letter needs no further reading.
    pub(super) async fn done(&mut self, partition: i32, offset: i64) -> Result<(), MappingError> {
        self.done.insert(partition, offset + 1);
        self.uncommitted += 1;
        if self.uncommitted >= LETTERS_A_COMMIT { self.close().await } else { Ok(()) }
    }

    /// Commits what is done.
    pub(super) async fn close(&mut self) -> Result<(), MappingError> {
        let done = std::mem::take(&mut self.done);
        self.uncommitted = 0;
        if done.is_empty() {
            return Ok(());
        }
        let (spans, group) = (Arc::clone(&self.spans), self.group.clone());
        blocking(move || {
            let commit = || -> KafkaResult<()> {
                let mut list = TopicPartitionList::new();
                for (partition, position) in &done {
                    list.add_partition_offset(&spans.topic, *partition, Offset::Offset(*position))?;
                }
                spans.consumer.commit(&list, CommitMode::Sync)
            };
            commit().map_err(|source| MappingError::Group { group, source })
        })
        .await
    }
}

/// Records that are still in their topic.
pub(super) struct Kept {
    pub(super) letters: Vec<DeadLetter>,
    /// How many records are not: offsets before the oldest one or behind the newest, and those that compaction has removed, where
    /// they are known to be records'.
    pub(super) gone: i64,
}

/// The records at these places.
pub(super) async fn at_places(cluster: &Cluster, places: &Places) -> Result<Kept, MappingError> {
    let (cluster, places) = (cluster.clone(), places.clone());
    blocking(move || {
        let (topic, partition) = (places.topic.clone(), places.partition);
        let spans = Spans { consumer: cluster.consumer()?, topic, brokers: cluster.bootstrap_servers.clone() };
        if partition >= spans.partition_count()? {
            return Ok(Kept { letters: Vec::new(), gone: places.last - places.first + 1 });
        }
        let (low, high) = spans.watermarks(partition)?;
        let (first, end) = (places.first.max(low), (places.last + 1).min(high));
        let mut letters = Vec::new();
        if first < end {
            let mut list = TopicPartitionList::new();
            list.add_partition_offset(&spans.topic, partition, Offset::Offset(first)).map_err(|e| spans.silent(&e))?;
            spans.consumer.assign(&list).map_err(|error| spans.silent(&error))?;
            let mut ends = BTreeMap::from([(partition, end)]);
            while let Some(message) = spans.next(&mut ends)? {
                letters.push(DeadLetter {
                    topic: places.topic.clone(),
                    partition: Some(partition),
                    key: message.key,
                    value: message.value,
                    headers: message.headers,
                });
            }
        }
        let gone = gone(&places, end - first, letters.len());
        Ok(Kept { letters, gone })
    })
    .await
}

/// How many of the records are gone; `offsets` of theirs are in the topic, and `found` records at these.
fn gone(places: &Places, offsets: i64, found: usize) -> i64 {
    let kept = if places.records_only { i64::try_from(found).unwrap_or(i64::MAX) } else { offsets.max(0) };
    places.last + 1 - places.first - kept
}

/// How many partitions the topic has.
pub(super) fn partitions_of(topic: &str, metadata: &Metadata) -> Result<i32, MappingError> {
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let count = found.map_or(0, |found| found.partitions().len());
    match found.and_then(MetadataTopic::error).map(Code::from) {
        // Its partitions are known before they have leaders.
        None | Some(Code::LeaderNotAvailable) if count > 0 => Ok(i32::try_from(count).unwrap_or(i32::MAX)),
        None | Some(Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::InvalidTopic) => {
            Err(MappingError::NoRedriveTopic { topic: topic.to_owned() })
        }
        Some(error) => Err(MappingError::Redrive { topic: topic.to_owned(), source: KafkaError::MetadataFetch(error) }),
    }
}

impl Spans {
    fn partition_count(&self) -> Result<i32, MappingError> {
        let metadata =
            self.consumer.fetch_metadata(Some(&self.topic), ANSWER_TIMEOUT).map_err(|error| self.silent(&error))?;
        partitions_of(&self.topic, &metadata)
    }

    fn watermarks(&self, partition: i32) -> Result<(i64, i64), MappingError> {
        self.consumer.fetch_watermarks(&self.topic, partition, ANSWER_TIMEOUT).map_err(|error| self.silent(&error))
    }

    fn committed(&self, partition: i32, group: &str) -> Result<Option<i64>, MappingError> {
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.topic, partition);
        let failed = |source| MappingError::Group { group: group.to_owned(), source };
        let committed = self.consumer.committed_offsets(list, ANSWER_TIMEOUT).map_err(failed)?;
        let found = committed.elements();
        let element = found.first();
        element.map_or(Ok(()), |element| element.error()).map_err(failed)?;
        Ok(element.and_then(|element| match element.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        }))
    }

    /// The next message before the ends, which are taken away when they are reached.
    fn next(&self, ends: &mut BTreeMap<i32, i64>) -> Result<Option<DeadLetterMessage>, MappingError> {
        let mut deadline = Instant::now() + ANSWER_TIMEOUT;
        while !ends.is_empty() {
            let message = match self.consumer.poll(deadline.saturating_duration_since(Instant::now())) {
                None => return Err(self.silent(&KafkaError::Canceled)),
                // Compaction and transaction markers may take the last offsets.
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    ends.remove(&partition);
                    deadline = Instant::now() + ANSWER_TIMEOUT;
                    continue;
                }
                // The client retries by itself, until nothing comes any more.
                Some(Err(_)) => continue,
                Some(Ok(message)) => message,
            };
            let Some(end) = ends.get(&message.partition()).copied() else { continue };
            if message.offset() + 1 >= end {
                ends.remove(&message.partition());
            }
            if message.offset() < end {
                return Ok(Some(DeadLetterMessage::new(&message)));
            }
        }
        Ok(None)
    }

    fn silent(&self, error: &KafkaError) -> MappingError {
        let cause = self.consumer.context().last_connection_error().unwrap_or_else(|| error.to_string());
        MappingError::Brokers { brokers: self.brokers.clone(), cause }
    }
}

/// Runs blocking calls of the client beside the async threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, MappingError> + Send + 'static,
) -> Result<T, MappingError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| MappingError::Poller)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_compaction_removed_is_gone_and_a_marker_is_none() {
        let places =
            |records_only, first, last| Places { records_only, topic: "t".to_owned(), partition: 0, first, last };
        assert_eq!(gone(&places(true, 7, 7), 1, 1), 0);
        assert_eq!(gone(&places(true, 7, 7), 1, 0), 1);
        assert_eq!(gone(&places(false, 3, 7), 5, 4), 0);
        // Before the oldest record of the topic: nothing of it is left.
        assert_eq!((gone(&places(true, 3, 7), -2, 0), gone(&places(false, 3, 7), -2, 0)), (5, 5));
    }
}
