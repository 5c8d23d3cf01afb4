//! Queries to the brokers from outside the consumer group: which partitions a topic has, where a group without offsets
//! starts, and how much is left to deliver.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::error::MappingError;
use super::kafka_client::{QuietContext, client_config};
use super::mapping::{DestinationTarget, Mapping, StartingPosition};
use super::topic_settings::is_embedded_id;

/// How long the brokers may take to answer one query.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait for the connection error that explains why they did not answer.
const REASON_TIMEOUT: Duration = Duration::from_millis(200);

type QueryClient = BaseConsumer<QuietContext>;

fn query_client(mapping: &Mapping, brokers: &str) -> KafkaResult<QueryClient> {
    client_config(mapping, brokers).create_with_context(QuietContext::default())
}

/// Finds the topic, and commits a starting position if the group has none and it is not the beginning: a record
/// that arrives between this moment and the first commit is then never skipped, not even by a killed emulator.
pub(super) async fn prepare(mapping: Arc<Mapping>, brokers: String) -> Result<usize, MappingError> {
    let asked = tokio::task::spawn_blocking(move || {
        let client = query_client(&mapping, &brokers).map_err(|error| MappingError::Client(error.to_string()))?;
        let count = partition_count(&client, mapping.topic.as_str(), &brokers)?;
        if let Some(DestinationTarget::Kafka(topic)) = &mapping.destination {
            partition_count(&client, topic.as_str(), &brokers)?;
        }
        if matches!(mapping.starting_position, StartingPosition::AtTimestamp(_))
            && client.client().fetch_cluster_id(ANSWER_TIMEOUT).is_some_and(|id| is_embedded_id(&id))
        {
            return Err(MappingError::NoTimeIndex { brokers });
        }
        if mapping.starting_position != StartingPosition::TrimHorizon {
            commit_start(&client, &mapping, count)
                .map_err(|source| MappingError::Group { group: mapping.consumer_group.clone(), source })?;
        }
        Ok(count)
    });
    asked.await.map_err(|_| MappingError::Poller)?
}

fn partition_count(client: &QueryClient, topic: &str, brokers: &str) -> Result<usize, MappingError> {
    let metadata = client
        .fetch_metadata(Some(topic), ANSWER_TIMEOUT)
        .map_err(|error| MappingError::Brokers { brokers: brokers.to_owned(), cause: cause(client, &error) })?;
    let found = metadata.topics().iter().find(|found| found.name() == topic && found.error().is_none());
    match found.map_or(0, |found| found.partitions().len()) {
        0 => Err(MappingError::NoTopic { topic: topic.to_owned(), brokers: brokers.to_owned() }),
        count => Ok(count),
    }
}

/// Why no broker answered: the query's own error only says that none did.
fn cause(client: &QueryClient, error: &KafkaError) -> String {
    // Connection errors reach the context when the client is polled.
    let until = Instant::now() + REASON_TIMEOUT;
    while client.context().last_connection_error().is_none() && Instant::now() < until {
        let _ = client.poll(until.saturating_duration_since(Instant::now()));
    }
    client.context().last_connection_error().unwrap_or_else(|| error.to_string())
}

fn all_partitions(topic: &str, count: usize) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(count);
    for partition in 0..i32::try_from(count).unwrap_or(i32::MAX) {
        list.add_partition(topic, partition);
    }
    list
}

fn commit_start(client: &QueryClient, mapping: &Mapping, count: usize) -> KafkaResult<()> {
    let topic = mapping.topic.as_str();
    let committed = client.committed_offsets(all_partitions(topic, count), ANSWER_TIMEOUT)?;
    let mut wanted = TopicPartitionList::new();
    for element in committed.elements() {
        // A position that cannot be read may exist, so it must not be overwritten.
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

/// The number of records that the group has not committed, in all `count` partitions of the topic.
pub(super) fn group_lag(mapping: &Mapping, brokers: &str, count: usize) -> KafkaResult<i64> {
    let topic = mapping.topic.as_str();
    let client = query_client(mapping, brokers)?;
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
