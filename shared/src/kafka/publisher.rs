//! The hardened publisher: admits a request only when it can be answered truthfully, waits through faults that pass, and
//! replaces its client when that can no longer be relied on.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::error::KafkaError;

use super::c_flags;
use super::client::Client;
use super::client_slot::ClientSlot;
use super::failure::{FailureCause, PublishFailure};
use super::iam::TokenSource;
use super::isolation::Isolation;
use super::milestones::WarmUp;
use super::partition::Partition;
use super::partition_health::PartitionHealth;
use super::properties;
use super::publish::{PublishResult, Publisher, Readiness};
use super::record::OutboundRecord;
use super::record_delivery::{RecordDelivery, refresh_refused_topics};
use super::settings::{CONNECT, CONNECT_OPEN, METADATA_AGE, PublisherSettings, RESERVE, has_time};
use super::topic_limit::TopicLimits;
use crate::deadline::Deadline;
use crate::names::TopicName;

/// Why the client cannot even be created.
///
/// ```
/// use msk_shared::kafka::{KafkaPublisher, KafkaSettings, PublisherSettings, StartError};
///
/// let mut kafka = KafkaSettings::plain("127.0.0.1:9092");
/// kafka.options.insert("linger".to_owned(), "5".to_owned());
/// let error = KafkaPublisher::start(PublisherSettings::new(kafka, "shop")).err().unwrap();
/// assert!(matches!(error, StartError::Rejected { variable: "KAFKA_OPTIONS", .. }));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// A property has a value that librdkafka rejects.
    #[error("the Kafka client cannot be created: {complaint}; check {variable}")]
    Rejected {
        /// librdkafka's own text.
        complaint: String,
        /// Where the refused value comes from.
        variable: &'static str,
    },
    /// librdkafka was compiled so that it never notices that all brokers are down (librdkafka#5282).
    #[error(
        "this librdkafka was compiled without {}, and would never notice that all brokers are down; add these lines to \
         .cargo/config.toml, run `cargo clean --package rdkafka-sys` and build again:\n[env]\nCFLAGS = \"{}\"",
        c_flags::FLAGS.join(" and "),
        c_flags::FLAGS.join(" ")
    )]
    CompiledWithoutFlags,
}

/// The version from which on librdkafka needs no flags, as librdkafka writes versions: 2.15.0.
const NEEDS_NO_FLAGS: i32 = 0x020f_0000;

fn check_build(lacks_flags: bool, version: i32) -> Result<(), StartError> {
    if lacks_flags && version < NEEDS_NO_FLAGS { Err(StartError::CompiledWithoutFlags) } else { Ok(()) }
}

impl From<KafkaError> for StartError {
    fn from(error: KafkaError) -> Self {
        let complaint = error.to_string();
        let variable = properties::variable_in(&complaint).unwrap_or("KAFKA_OPTIONS");
        Self::Rejected { complaint, variable }
    }
}

/// Counters since the publisher was started.
///
/// ```
/// use msk_shared::kafka::{KafkaPublisher, KafkaSettings, PublisherSettings};
///
/// let publisher = KafkaPublisher::start(PublisherSettings::new(KafkaSettings::plain("127.0.0.1:9"), "shop"))?;
/// let stats = publisher.stats();
/// assert_eq!((stats.token_refreshes, stats.rebuilds, stats.auth_failures), (0, 0, 0), "nothing has happened yet");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PublisherStats {
    /// MSK IAM tokens signed.
    pub token_refreshes: u64,
    /// Clients replaced.
    pub rebuilds: u64,
    /// Connections refused for their credentials.
    pub auth_failures: u64,
    /// Messages waiting or in flight now.
    pub queue_depth: u64,
}

/// Publishes to a Kafka cluster. Cheap to clone; clones share one client.
///
/// ```no_run
/// use std::time::Duration;
///
/// use msk_shared::deadline::Deadline;
/// use msk_shared::kafka::{KafkaPublisher, KafkaSettings, OutboundRecord, Publisher, PublisherSettings};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let publisher = KafkaPublisher::start(PublisherSettings::new(KafkaSettings::plain("127.0.0.1:9092"), "shop"))?;
/// let record = OutboundRecord {
///     topic: "orders".parse()?,
///     partition: None,
///     key: Some("o-1".into()),
///     value: Some(r#"{"total": 5}"#.into()),
///     timestamp_ms: None,
///     headers: Vec::new(),
/// };
/// for result in publisher.publish(vec![record], Deadline::after(Duration::from_secs(10))).await {
///     match result {
///         Ok(delivery) => println!("written at {}", delivery.offset),
///         Err(failure) => println!("{}, persisted: {:?}", failure.cause.name(), failure.persisted),
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct KafkaPublisher(Arc<Inner>);

struct Inner {
    slot: ClientSlot,
    partitions: PartitionHealth,
    isolation: Isolation,
    limits: TopicLimits,
}

impl Inner {
    /// The clients: the usual one, and that for single records if there is one.
    fn slots(&self) -> impl Iterator<Item = &ClientSlot> {
        std::iter::once(&self.slot).chain(self.isolation.slot())
    }
}

impl KafkaPublisher {
    /// Creates the client; it connects in the background.
    ///
    /// # Errors
    /// [`StartError`] if librdkafka rejects the configuration, or was compiled without what makes it notice dead brokers.
    pub fn start(settings: PublisherSettings) -> Result<Self, StartError> {
        check_build(cfg!(librdkafka_lacks_flags), rdkafka::util::get_rdkafka_version().0)?;
        let slot = ClientSlot::start(settings)?;
        Ok(Self(Arc::new(Inner {
            slot,
            partitions: PartitionHealth::default(),
            isolation: Isolation::default(),
            limits: TopicLimits::default(),
        })))
    }

    /// Connects, authenticates, fetches metadata and acquires the producer id, at most for `bound`.
    pub async fn warm_up(&self, bound: Duration) -> WarmUp {
        self.0.slot.warm_up(bound).await
    }

    /// The counters since the start.
    pub fn stats(&self) -> PublisherStats {
        let slots = || self.0.slots();
        PublisherStats {
            // The clients share it.
            token_refreshes: self.0.slot.settings.kafka.tokens().map_or(0, TokenSource::refreshes),
            rebuilds: slots().map(ClientSlot::replaced).sum(),
            auth_failures: slots().map(ClientSlot::auth_failures).sum(),
            queue_depth: slots().map(|slot| slot.client().queue_depth()).sum(),
        }
    }

    /// A connected client, and how long a question to the cluster may take.
    async fn client_to_ask(&self, deadline: Deadline) -> Result<(Arc<Client>, Duration), PublishFailure> {
        if !has_time(deadline) {
            return Err(PublishFailure::not_sent(FailureCause::NoTimeLeft));
        }
        let client = self.0.slot.admit(deadline).await?;
        Ok((client, CONNECT.min(deadline.remaining_less(RESERVE))))
    }

    /// Sends what is queued, for at most `bound`: the last step before the process ends.
    pub async fn shutdown(&self, bound: Duration) {
        let flush = |client: Arc<Client>| tokio::task::spawn_blocking(move || client.flush(bound));
        let flushed = futures_util::future::join_all(self.0.slots().map(|slot| flush(slot.client()))).await;
        if !flushed.iter().all(|flushed| matches!(flushed, Ok(Ok(())))) {
            tracing::warn!("records were still queued at shutdown; their requests were answered as not acknowledged");
        }
    }
}

impl Publisher for KafkaPublisher {
    async fn publish(&self, mut records: Vec<OutboundRecord>, deadline: Deadline) -> Vec<PublishResult> {
        let Inner { slot, partitions, isolation, .. } = &*self.0;
        let all = |records: &[OutboundRecord], cause| vec![Err(PublishFailure::not_sent(cause)); records.len()];
        if !has_time(deadline) {
            return all(&records, FailureCause::NoTimeLeft);
        }
        let client = match slot.admit(deadline).await {
            Ok(client) => client,
            Err(failure) => {
                slot.breaker.note_failure();
                return all(&records, failure.cause);
            }
        };
        let withheld = partitions.withhold_unreachable(&client, &mut records, deadline).await;
        if !has_time(deadline) {
            return all(&records, FailureCause::NoTimeLeft);
        }
        let mut results = all(&records, FailureCause::CircuitOpen);
        let sendable = records.into_iter().enumerate().filter(|(index, _)| !withheld[*index]);
        let (indices, records): (Vec<usize>, Vec<OutboundRecord>) = sendable.unzip();
        let together = RecordDelivery { slot, partitions, deadline };
        let sent = isolation.deliver(&together, &client, &records).await;
        slot.note_results(&sent);
        refresh_refused_topics(&client, &records, &sent);
        for (index, result) in indices.into_iter().zip(sent) {
            results[index] = result;
        }
        results
    }

    async fn partitions(&self, topic: &TopicName, deadline: Deadline) -> Result<Arc<[Partition]>, PublishFailure> {
        let (client, bound) = self.client_to_ask(deadline).await?;
        client.partitions(topic, METADATA_AGE, bound).await
    }

    async fn partitions_now(&self, topic: &TopicName, deadline: Deadline) -> Result<Arc<[Partition]>, PublishFailure> {
        let (client, bound) = self.client_to_ask(deadline).await?;
        client.partitions_now(topic, bound).await
    }

    async fn max_message_bytes(&self, topic: &TopicName, deadline: Deadline) -> Option<usize> {
        let bound = deadline.remaining_less(RESERVE);
        if bound.is_zero() {
            return None;
        }
        self.0.limits.max_message_bytes(self.0.slot.client(), topic, bound).await
    }

    async fn readiness(&self, deadline: Deadline) -> Readiness {
        let client = self.0.slot.client();
        let bound = CONNECT_OPEN.min(deadline.remaining_less(RESERVE));
        let topics = &self.0.slot.settings.topics;
        // Ask now: a flag from before a freeze proves nothing. librdkafka chooses the broker that it asks, and may choose
        // one that hangs time after time; the partitions' leaders are all of them.
        let leader = async {
            match topics.first() {
                Some(topic) => client.any_leader_answers(topic, bound).await,
                None => false,
            }
        };
        let (connected, leader) = tokio::join!(client.connect(topics, bound), leader);
        let answered = connected.map_or_else(|it| it.answered, |()| true);
        client.callbacks().readiness(answered || leader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_would_be_deaf_to_dead_brokers_is_refused_with_the_lines_to_add() {
        let refused = check_build(true, 0x020c_01ff).unwrap_err().to_string();
        let line = "CFLAGS = \"-DHAVE_ATOMICS_32_ATOMIC=1 -DHAVE_ATOMICS_64_ATOMIC=1\"";
        assert!(refused.contains(&format!("[env]\n{line}")), "{refused}");
        let own = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../.cargo/config.toml")).unwrap();
        assert!(own.contains(&format!("\n{line}\n")), "{own}");
    }

    #[test]
    fn a_client_with_the_flags_or_of_a_mended_version_starts() {
        for (lacks_flags, version) in [(false, 0x020c_01ff), (true, 0x020f_00ff), (false, 0x0300_00ff)] {
            assert_eq!(check_build(lacks_flags, version), Ok(()));
        }
        assert_eq!(
            check_build(cfg!(librdkafka_lacks_flags), rdkafka::util::get_rdkafka_version().0),
            Ok(()),
            "this build"
        );
    }
}
