//! The consumer behind a poller: its librdkafka settings, and the group's events as plain values.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use msk_shared::event::{Header, Record, TimestampType};
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, ConsumerContext, Rebalance, StreamConsumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Timestamp, statistics::Statistics};
use tokio::sync::mpsc;

use super::mapping::{Mapping, StartingPosition};

/// Properties whose value is the emulator's behaviour itself; `Local.kafkaOptions` may not set them.
pub(super) const OWNED_OPTIONS: &[&str] = &[
    "bootstrap.servers",
    "group.id",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "auto.offset.reset",
    "enable.partition.eof",
];

/// The consumer of one poller.
pub(super) type GroupConsumer = StreamConsumer<GroupContext>;

/// What happens to the group between two records, in order.
#[derive(Debug)]
pub(super) enum GroupEvent {
    /// These partitions are ours from now on.
    Assigned(Vec<i32>),
    /// These partitions are somebody else's from now on.
    Revoked(Vec<i32>),
    /// The commit that was asked for is over.
    Committed(KafkaResult<()>),
}

/// Turns librdkafka's callbacks into [`GroupEvent`]s. They run inside the poller's own poll, so an event is always in
/// the channel before the first record that depends on it.
pub(super) struct GroupContext {
    events: mpsc::UnboundedSender<GroupEvent>,
}

impl ClientContext for GroupContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn stats(&self, _statistics: Statistics) {}

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, reason, "client error");
    }
}

impl ConsumerContext for GroupContext {
    fn pre_rebalance(&self, _consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(partitions) => self.send(GroupEvent::Assigned(numbers(partitions))),
            Rebalance::Revoke(partitions) => self.send(GroupEvent::Revoked(numbers(partitions))),
            Rebalance::Error(error) => tracing::warn!(%error, "the consumer group could not rebalance"),
        }
    }
}

impl GroupContext {
    fn send(&self, event: GroupEvent) {
        // The poller is gone while the consumer closes.
        let _ = self.events.send(event);
    }
}

/// The context of clients whose every failure is somebody's answer already: their errors are not logged, the newest one
/// is kept as the reason.
#[derive(Default)]
pub(super) struct QuietContext {
    newest: Mutex<Option<String>>,
}

impl ClientContext for QuietContext {
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(target: "librdkafka", facility, message);
    }

    fn stats(&self, _statistics: Statistics) {}

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, reason, "client error");
        // That all brokers are down says less than what happened to one of them.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            let what = reason.split(" (after ").next().unwrap_or(reason);
            *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = Some(what.to_owned());
        }
    }
}

impl ConsumerContext for QuietContext {}

impl QuietContext {
    /// What happened to a connection last.
    pub(super) fn newest_error(&self) -> Option<String> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn numbers(partitions: &TopicPartitionList) -> Vec<i32> {
    partitions.elements().iter().map(|element| element.partition()).collect()
}

fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
            tracing::warn!(target: "librdkafka", facility, message);
        }
        RDKafkaLogLevel::Warning | RDKafkaLogLevel::Notice => tracing::info!(target: "librdkafka", facility, message),
        RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => tracing::debug!(target: "librdkafka", facility, message),
    }
}

/// Settings of every client of a mapping, member of the group or not.
pub(super) fn client_config(mapping: &Mapping, bootstrap_servers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap_servers)
        .set("group.id", &mapping.consumer_group)
        // Offsets are committed by the poller alone, never past an unfinished record.
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set(
            "auto.offset.reset",
            match mapping.starting_position {
                StartingPosition::TrimHorizon => "earliest",
                // Starting offsets are committed before the group is joined; this only matters if they expire.
                StartingPosition::Latest | StartingPosition::AtTimestamp(_) => "latest",
            },
        )
        // The end of a partition is how `drain` knows that it has seen everything.
        .set("enable.partition.eof", "true")
        // A laptop waits for a record, not for a full fetch.
        .set("fetch.wait.max.ms", "100")
        .set("fetch.error.backoff.ms", "200")
        .set("fetch.queue.backoff.ms", "50")
        // A killed emulator's partitions are handed out again after this long; Apache Kafka allows no less by default.
        .set("session.timeout.ms", "6000")
        .set("heartbeat.interval.ms", "1000")
        .set("reconnect.backoff.max.ms", "1000")
        .set("topic.metadata.refresh.interval.ms", "30000")
        .set("allow.auto.create.topics", "false")
        .set("log.connection.close", "false")
        .set("client.id", "msk-local");
    for (name, value) in &mapping.local.kafka_options {
        config.set(name, value);
    }
    if config.get("group.protocol") == Some("consumer") {
        // With KIP-848's protocol these two are the broker's to say, and librdkafka refuses them.
        config.remove("session.timeout.ms").remove("heartbeat.interval.ms");
    }
    config
}

/// A consumer for one poller, not subscribed yet.
pub(super) fn group_consumer(
    config: &ClientConfig,
    events: mpsc::UnboundedSender<GroupEvent>,
) -> KafkaResult<GroupConsumer> {
    config.create_with_context(GroupContext { events })
}

/// Positions as librdkafka's list, for a commit.
pub(super) fn offsets(topic: &str, positions: &BTreeMap<i32, i64>) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(positions.len());
    for (partition, position) in positions {
        list.add_partition_offset(topic, *partition, Offset::Offset(*position))?;
    }
    Ok(list)
}

/// The record as AWS's event holds it.
pub(super) fn record(message: &BorrowedMessage<'_>, topic: &std::sync::Arc<str>) -> Record {
    let record = Record::new(std::sync::Arc::clone(topic), message.partition(), message.offset())
        .with_key(message.key().map(<[u8]>::to_vec))
        .with_value(message.payload().map(<[u8]>::to_vec))
        .with_headers(headers(message));
    match message.timestamp() {
        Timestamp::NotAvailable => record,
        Timestamp::CreateTime(ms) => record.with_timestamp(ms, TimestampType::CreateTime),
        Timestamp::LogAppendTime(ms) => record.with_timestamp(ms, TimestampType::LogAppendTime),
    }
}

fn headers(message: &BorrowedMessage<'_>) -> Vec<Header> {
    let Some(headers) = message.headers() else { return Vec::new() };
    let mut read = Vec::with_capacity(headers.count());
    for index in 0..headers.count() {
        // The client library panics on a header name that is not UTF-8, and a record must not stop the emulator.
        let header = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let header = headers.get(index);
            Header { name: header.key.to_owned(), value: header.value.map(|bytes| bytes.to_vec().into()) }
        }));
        match header {
            Ok(header) => read.push(header),
            Err(_) => tracing::warn!(
                partition = message.partition(),
                offset = message.offset(),
                "a header whose name is not UTF-8 was left out of the event"
            ),
        }
    }
    read
}

/// Whether the error only says that a partition has no more records for now, and which.
pub(super) fn end_of_partition(error: &KafkaError) -> Option<i32> {
    match error {
        KafkaError::PartitionEOF(partition) => Some(*partition),
        _ => None,
    }
}

/// Whether the client cannot go on after this error.
pub(super) fn is_fatal(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::Fatal
                | RDKafkaErrorCode::GroupAuthorizationFailed
                | RDKafkaErrorCode::TopicAuthorizationFailed
        )
    )
}
