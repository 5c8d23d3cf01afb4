//! A poller's consumer: rebalances and commits as plain values, and Kafka messages as records of an event.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use msk_shared::event::{Header, Record, TimestampType};
use msk_shared::kafka::TokenSource;
use rdkafka::Timestamp;
use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance, StreamConsumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaErrorCode;
use tokio::sync::mpsc;

use super::kafka_client::{ClientSettings, oauth_token};

pub(super) type GroupConsumer = StreamConsumer<GroupContext>;

/// What happens to the group between two records, in order.
#[derive(Debug)]
pub(super) enum GroupEvent {
    Assigned(Vec<i32>),
    Revoked(Vec<i32>),
    /// The result of the commit in progress.
    Committed(KafkaResult<()>),
}

/// Turns librdkafka's callbacks into [`GroupEvent`]s. They run inside the poller's own poll, so an event is always in
/// the channel before the first record that depends on it.
pub(super) struct GroupContext {
    events: mpsc::UnboundedSender<GroupEvent>,
    tokens: Option<TokenSource>,
}

impl ClientContext for GroupContext {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
                tracing::warn!(target: "librdkafka", facility, message);
            }
            RDKafkaLogLevel::Warning | RDKafkaLogLevel::Notice => {
                tracing::info!(target: "librdkafka", facility, message);
            }
            RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
                tracing::debug!(target: "librdkafka", facility, message);
            }
        }
    }

    fn stats(&self, _statistics: Statistics) {}

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, reason, "client error");
    }

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        oauth_token(self.tokens.as_ref())
    }
}

impl ConsumerContext for GroupContext {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let event = match rebalance {
            Rebalance::Assign(partitions) => GroupEvent::Assigned(numbers(partitions)),
            Rebalance::Revoke(partitions) => {
                // librdkafka keeps a partition paused when it is lost and reassigned, and one that is resumed while its
                // starting offset is looked up may never be read.
                if let Err(error) = consumer.resume(partitions) {
                    tracing::debug!(%error, "revoked partitions could not be resumed");
                }
                GroupEvent::Revoked(numbers(partitions))
            }
            Rebalance::Error(error) => return tracing::warn!(%error, "the consumer group could not rebalance"),
        };
        // The poller has already ended while the consumer closes.
        let _ = self.events.send(event);
    }
}

fn numbers(partitions: &TopicPartitionList) -> Vec<i32> {
    partitions.elements().iter().map(|element| element.partition()).collect()
}

/// A consumer that is not subscribed yet.
pub(super) fn group_consumer(
    settings: &ClientSettings,
    events: mpsc::UnboundedSender<GroupEvent>,
) -> KafkaResult<GroupConsumer> {
    settings.properties().create_with_context(GroupContext { events, tokens: settings.tokens() })
}

/// Positions in the form that librdkafka expects for a commit.
pub(super) fn offsets(topic: &str, positions: &BTreeMap<i32, i64>) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(positions.len());
    for (partition, position) in positions {
        list.add_partition_offset(topic, *partition, Offset::Offset(*position))?;
    }
    Ok(list)
}

/// The message as a record of AWS's event.
pub(super) fn record(message: &BorrowedMessage<'_>, topic: &Arc<str>) -> Record {
    let record = Record::new(Arc::clone(topic), message.partition(), message.offset())
        .with_key(message.key().map(<[u8]>::to_vec))
        .with_value(message.payload().map(<[u8]>::to_vec))
        .with_headers(headers(message));
    match message.timestamp() {
        Timestamp::NotAvailable => record,
        Timestamp::CreateTime(ms) => record.with_timestamp(ms, TimestampType::CreateTime),
        Timestamp::LogAppendTime(ms) => record.with_timestamp(ms, TimestampType::LogAppendTime),
    }
}

/// The message's headers, without those whose name is not UTF-8.
pub(super) fn headers(message: &BorrowedMessage<'_>) -> Vec<Header> {
    let Some(headers) = message.headers() else { return Vec::new() };
    let mut read = Vec::with_capacity(headers.count());
    for index in 0..headers.count() {
        // rdkafka panics on a header name that is not UTF-8, and a record must not stop the emulator.
        let header = catch_unwind(AssertUnwindSafe(|| {
            let header = headers.get(index);
            Header { name: header.key.to_owned(), value: header.value.map(|bytes| bytes.to_vec().into()) }
        }));
        match header {
            Ok(header) => read.push(header),
            Err(_) => tracing::warn!(
                partition = message.partition(),
                offset = message.offset(),
                "a header was omitted because its name is not UTF-8"
            ),
        }
    }
    read
}

/// Whether the client cannot go on after this error.
pub(super) fn is_fatal(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::Fatal
                | RDKafkaErrorCode::InvalidSessionTimeout
                | RDKafkaErrorCode::GroupAuthorizationFailed
                | RDKafkaErrorCode::TopicAuthorizationFailed
        )
    )
}

/// Whether a commit was refused because the group is rebalancing, or has done so without this member.
pub(super) fn is_rebalance(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::RebalanceInProgress
                | RDKafkaErrorCode::IllegalGeneration
                | RDKafkaErrorCode::UnknownMemberId
                | RDKafkaErrorCode::StaleMemberEpoch
                | RDKafkaErrorCode::FencedMemberEpoch
        )
    )
}
