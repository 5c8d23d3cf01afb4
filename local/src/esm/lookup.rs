//! What the emulator asks the brokers without being a member of the group: which partitions a topic has, where a group
//! without offsets starts, and how much is left to deliver.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::kafka::{self, QuietContext};
use super::mapping::{DestinationTarget, Mapping, StartingPosition};
use super::session::SessionError;

/// How long the brokers may take to answer one question.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the reason for their silence is looked for.
const REASON_TIMEOUT: Duration = Duration::from_millis(200);

/// A client that only asks.
type Asker = BaseConsumer<QuietContext>;

fn asker(mapping: &Mapping, brokers: &str) -> KafkaResult<Asker> {
    kafka::client_config(mapping, brokers).create_with_context(QuietContext::default())
}

/// Finds the topic, and commits a starting position where the group has none and it is not the beginning: a record
/// that arrives between this moment and the first commit is then never skipped, not even by a killed emulator.
pub(super) async fn prepare(mapping: Arc<Mapping>, brokers: String) -> Result<usize, SessionError> {
    let asked = tokio::task::spawn_blocking(move || {
        let client = asker(&mapping, &brokers).map_err(|error| SessionError::Client(error.to_string()))?;
        let count = partition_count(&client, mapping.topic.as_str(), &brokers)?;
        if let Some(DestinationTarget::Kafka(topic)) = &mapping.destination {
            partition_count(&client, topic.as_str(), &brokers)?;
        }
        if mapping.starting_position != StartingPosition::TrimHorizon {
            commit_start(&client, &mapping, count)
                .map_err(|source| SessionError::Group { group: mapping.consumer_group.clone(), source })?;
        }
        Ok(count)
    });
    asked.await.map_err(|_| SessionError::Poller)?
}

fn partition_count(client: &Asker, topic: &str, brokers: &str) -> Result<usize, SessionError> {
    let metadata = client
        .fetch_metadata(Some(topic), ANSWER_TIMEOUT)
        .map_err(|error| SessionError::Brokers { brokers: brokers.to_owned(), cause: cause(client, &error) })?;
    let found = metadata.topics().iter().find(|found| found.name() == topic && found.error().is_none());
    match found.map_or(0, |found| found.partitions().len()) {
        0 => Err(SessionError::NoTopic { topic: topic.to_owned(), brokers: brokers.to_owned() }),
        count => Ok(count),
    }
}

/// What kept the brokers from answering: the question's own error only says that none did.
fn cause(client: &Asker, error: &KafkaError) -> String {
    // Errors of connections reach the context when the client is polled.
    let until = Instant::now() + REASON_TIMEOUT;
    while client.context().newest_error().is_none() && Instant::now() < until {
        let _ = client.poll(until.saturating_duration_since(Instant::now()));
    }
    client.context().newest_error().unwrap_or_else(|| error.to_string())
}

fn all_partitions(topic: &str, count: usize) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(count);
    for partition in 0..i32::try_from(count).unwrap_or(i32::MAX) {
        list.add_partition(topic, partition);
    }
    list
}

fn commit_start(client: &Asker, mapping: &Mapping, count: usize) -> KafkaResult<()> {
    let topic = mapping.topic.as_str();
    let committed = client.committed_offsets(all_partitions(topic, count), ANSWER_TIMEOUT)?;
    let mut wanted = TopicPartitionList::new();
    for element in committed.elements() {
        // A position that cannot be read is not one that is missing: it must not be overwritten.
        element.error()?;
        if matches!(element.offset(), Offset::Offset(_)) {
            continue;
        }
        let start = match mapping.starting_position {
            StartingPosition::AtTimestamp(ms) => Offset::Offset(ms),
            StartingPosition::TrimHorizon | StartingPosition::Latest => Offset::End,
        };
        wanted.add_partition_offset(topic, element.partition(), start)?;
    }
    if wanted.count() == 0 {
        return Ok(());
    }
    if matches!(mapping.starting_position, StartingPosition::AtTimestamp(_)) {
        wanted = client.offsets_for_times(wanted, ANSWER_TIMEOUT)?;
    }
    let mut start = TopicPartitionList::new();
    for element in wanted.elements() {
        element.error()?;
        let offset = match element.offset() {
            Offset::Offset(offset) => offset,
            _ => client.fetch_watermarks(topic, element.partition(), ANSWER_TIMEOUT)?.1,
        };
        start.add_partition_offset(topic, element.partition(), Offset::Offset(offset))?;
    }
    client.commit(&start, CommitMode::Sync)
}

/// Records that the group has not committed, over all of the topic's `count` partitions.
pub(super) fn group_lag(mapping: &Mapping, brokers: &str, count: usize) -> KafkaResult<i64> {
    let topic = mapping.topic.as_str();
    let client = asker(mapping, brokers)?;
    let committed = client.committed_offsets(all_partitions(topic, count), ANSWER_TIMEOUT)?;
    let mut lag = 0;
    for element in committed.elements() {
        let (low, high) = client.fetch_watermarks(topic, element.partition(), ANSWER_TIMEOUT)?;
        let position = match element.offset() {
            Offset::Offset(position) => position.max(low),
            _ => low,
        };
        lag += (high - position).max(0);
    }
    Ok(lag)
}
