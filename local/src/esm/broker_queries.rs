//! Queries to the brokers from outside the consumer group: which partitions a topic has, where a group without offsets
//! starts, and what it has not read.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::error::MappingError;
use super::kafka_client::{ClientSettings, QuietContext, client_settings};
use super::mapping::{DestinationTarget, Mapping, StartingPosition};

/// How long the brokers may take to answer one query.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait for the connection error that explains why they did not answer.
const REASON_TIMEOUT: Duration = Duration::from_millis(200);

pub(super) type QueryClient = BaseConsumer<QuietContext>;

pub(super) fn query_client(mapping: &Mapping, brokers: &str) -> KafkaResult<QueryClient> {
    // It joins no group, and what it commits must not look like a member's commit.
    querying(&client_settings(mapping, brokers).outside_of_groups())
}

/// A consumer that may be asked at once: a token reaches it when it is polled, and a question does not poll.
pub(super) fn querying(settings: &ClientSettings) -> KafkaResult<QueryClient> {
    let client: QueryClient = settings.create()?;
    let _ = client.poll(Duration::ZERO);
    Ok(client)
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

pub(super) fn all_partitions(topic: &str, count: usize) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(count);
    for partition in 0..i32::try_from(count).unwrap_or(i32::MAX) {
        list.add_partition(topic, partition);
    }
    list
}

fn commit_start(client: &QueryClient, mapping: &Mapping, count: usize) -> KafkaResult<()> {
    let committed = client.committed_offsets(all_partitions(mapping.topic.as_str(), count), ANSWER_TIMEOUT)?;
    let start = starting_offsets(client, mapping, &committed)?;
    if start.count() == 0 { Ok(()) } else { client.commit(&start, CommitMode::Sync) }
}

/// Where the partitions without a committed offset begin.
fn starting_offsets(
    client: &QueryClient,
    mapping: &Mapping,
    committed: &TopicPartitionList,
) -> KafkaResult<TopicPartitionList> {
    let topic = mapping.topic.as_str();
    let mut wanted = TopicPartitionList::new();
    for element in committed.elements() {
        // A position that cannot be read may exist, so it must not be overwritten.
        element.error()?;
        if matches!(element.offset(), Offset::Offset(_)) {
            continue;
        }
        let start = match mapping.starting_position {
            StartingPosition::AtTimestamp(ms) => Offset::Offset(ms),
            StartingPosition::TrimHorizon => Offset::Beginning,
            StartingPosition::Latest => Offset::End,
        };
        wanted.add_partition_offset(topic, element.partition(), start)?;
    }
    if wanted.count() > 0 && matches!(mapping.starting_position, StartingPosition::AtTimestamp(_)) {
        wanted = client.offsets_for_times(wanted, ANSWER_TIMEOUT)?;
    }
    let mut start = TopicPartitionList::new();
    for element in wanted.elements() {
        element.error()?;
        let ends = || client.fetch_watermarks(topic, element.partition(), ANSWER_TIMEOUT);
        let offset = match element.offset() {
            Offset::Offset(offset) => offset,
            Offset::Beginning => ends()?.0,
            _ => ends()?.1,
        };
        start.add_partition_offset(topic, element.partition(), Offset::Offset(offset))?;
    }
    Ok(start)
}

/// The part of a partition that the group has not committed.
pub(super) struct UnreadSpan {
    pub(super) partition: i32,
    /// The first offset of it.
    pub(super) first: i64,
    /// The offset behind its last record.
    pub(super) end: i64,
}

/// What the group has not committed, in partitions where there is anything, and a client to read it with that joins no group.
pub(super) fn unread(mapping: &Mapping, brokers: &str) -> Result<(QueryClient, Vec<UnreadSpan>), MappingError> {
    let client = query_client(mapping, brokers).map_err(|error| MappingError::Client(error.to_string()))?;
    let count = partition_count(&client, mapping.topic.as_str(), brokers)?;
    let spans = || -> KafkaResult<Vec<UnreadSpan>> {
        let topic = mapping.topic.as_str();
        let committed = client.committed_offsets(all_partitions(topic, count), ANSWER_TIMEOUT)?;
        let start = starting_offsets(&client, mapping, &committed)?;
        let mut spans = Vec::new();
        for element in committed.elements().iter().chain(&start.elements()) {
            let Offset::Offset(offset) = element.offset() else { continue };
            let (low, end) = client.fetch_watermarks(topic, element.partition(), ANSWER_TIMEOUT)?;
            spans.push(UnreadSpan { partition: element.partition(), first: offset.max(low), end });
        }
        spans.retain(|span| span.first < span.end);
        Ok(spans)
    };
    let spans = spans().map_err(|source| MappingError::Group { group: mapping.consumer_group.clone(), source })?;
    Ok((client, spans))
}
