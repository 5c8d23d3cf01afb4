//! The hardened publisher: admits a request only when it can be answered truthfully, rides out what can be ridden out,
//! and replaces its client when that can no longer be trusted.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;

use super::admission::{CONNECT, CONNECT_OPEN};
use super::client::Client;
use super::client_config;
use super::failure::{FailureCause, PublishFailure};
use super::guard::Guard;
use super::partitions::PartitionHealth;
use super::record::OutboundRecord;
use super::sabotage::{self, Sabotage};
use super::settings::KafkaSettings;
use super::{PublishResult, Publisher, Readiness};
use crate::deadline::Deadline;
use crate::limits::Bounded;
use crate::names::TopicName;

/// How long a record may wait for its acknowledgement, in milliseconds. The ceiling leaves room within API Gateway's 30 s.
pub type DeliveryTimeout = Bounded<1000, 22_000>;

/// With less time left nothing is enqueued: a write plus its answer would not fit.
const MIN_REMAINING: Duration = Duration::from_secs(2);
/// Kept back from the deadline while waiting for acknowledgements: enough to take records back and to answer.
pub(super) const RESERVE: Duration = Duration::from_millis(1500);
/// librdkafka looks for timed-out messages once a second, so its verdict may come this much later.
pub(super) const TIMEOUT_SCAN: Duration = Duration::from_millis(1000);
/// How old metadata may be when a partition is checked.
pub(super) const METADATA_AGE: Duration = Duration::from_secs(60);

/// What a publisher needs to know.
#[derive(Debug, Clone)]
pub struct PublisherSettings {
    /// How to reach the cluster.
    pub kafka: KafkaSettings,
    /// How long a record may wait for its acknowledgement.
    pub delivery_timeout: DeliveryTimeout,
    /// Name shown in the brokers' logs and metrics.
    pub client_id: String,
    /// Topics whose metadata is fetched during warm-up.
    pub topics: Vec<TopicName>,
}

impl PublisherSettings {
    /// The default delivery timeout and no topics.
    pub fn new(kafka: KafkaSettings, client_id: &str) -> Self {
        let delivery_timeout = DeliveryTimeout::literal::<22_000>();
        Self { kafka, delivery_timeout, client_id: client_id.to_owned(), topics: Vec::new() }
    }

    /// [`Self::delivery_timeout`] as a duration.
    pub(super) fn delivery_timeout(&self) -> Duration {
        Duration::from_millis(self.delivery_timeout.get() as u64)
    }

    /// When librdkafka gives a record up: earlier than the delivery timeout, because it looks only once a second.
    pub(super) fn message_timeout(&self) -> Duration {
        let timeout = self.delivery_timeout();
        timeout.saturating_sub(TIMEOUT_SCAN).max(timeout.mul_f64(0.7))
    }
}

/// The client could not even be created: a property has a value that librdkafka refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the Kafka client cannot be created: {complaint}; look at {variable}")]
pub struct StartError {
    /// librdkafka's own words.
    complaint: String,
    /// Where the refused value comes from.
    variable: &'static str,
}

impl From<KafkaError> for StartError {
    fn from(error: KafkaError) -> Self {
        let complaint = error.to_string();
        let variable = client_config::variable_in(&complaint).unwrap_or("KAFKA_OPTIONS");
        Self { complaint, variable }
    }
}

/// How a warm-up went. It never fails: a cluster that is down must not fail init.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WarmUp {
    /// Whether a broker answered and a producer id was acquired.
    pub ready: bool,
    /// Why not.
    pub cause: Option<FailureCause>,
    /// How long it took.
    pub duration: Duration,
    /// How long its steps took.
    pub milestones: Milestones,
    /// Listed topics that the cluster does not have or does not show us: a deployment fault.
    pub missing_topics: Vec<TopicName>,
}

/// When the client first got so far, counted from the start of its creation; `None`: not yet. librdkafka tells neither when a
/// connection stood nor when it was authenticated: both come before the first answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Milestones {
    /// The client existed, its settings and certificates read; it connects in the background.
    pub created: Option<Duration>,
    /// An MSK IAM token was signed and handed to librdkafka.
    pub token: Option<Duration>,
    /// A broker answered: connected, authenticated, metadata fetched. Never after [`Self::producer_id`].
    pub first_answer: Option<Duration>,
    /// The idempotent producer had its id (KIP-98).
    pub producer_id: Option<Duration>,
}

impl Milestones {
    /// In whole milliseconds, in the order of the fields.
    pub fn millis(&self) -> [Option<u64>; 4] {
        let Self { created, token, first_answer, producer_id } = self;
        [created, token, first_answer, producer_id]
            .map(|at| at.map(|at| u64::try_from(at.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// Counters since the publisher was started.
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
#[derive(Clone)]
pub struct KafkaPublisher(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) settings: PublisherSettings,
    pub(super) config: ClientConfig,
    pub(super) client: RwLock<Arc<Client>>,
    /// Lets one request replace the client while the others wait for the new one.
    pub(super) replacing: tokio::sync::Mutex<()>,
    pub(super) guard: Guard,
    pub(super) partitions: PartitionHealth,
}

impl KafkaPublisher {
    /// Creates the client; it connects in the background.
    ///
    /// # Errors
    /// [`StartError`] when librdkafka refuses the configuration.
    pub fn start(settings: PublisherSettings) -> Result<Self, StartError> {
        let config = client_config::producer(&settings);
        let client = Client::start(&config, settings.kafka.tokens.clone())?;
        let inner = Inner {
            settings,
            config,
            client: RwLock::new(client),
            replacing: tokio::sync::Mutex::new(()),
            guard: Guard::default(),
            partitions: PartitionHealth::default(),
        };
        Ok(Self(Arc::new(inner)))
    }

    /// Connects, authenticates, fetches metadata and acquires the producer id, at most for `bound`.
    pub async fn warm_up(&self, bound: Duration) -> WarmUp {
        let started = Instant::now();
        let connected = self.warm_client(started + bound).await;
        let mut missing_topics = Vec::new();
        if let Ok(client) = &connected {
            for topic in &self.0.settings.topics {
                let left = bound.saturating_sub(started.elapsed());
                let count = client.partition_count(topic, METADATA_AGE, left).await;
                // A topic that we have no right to see is refused, not unknown.
                let hidden = [FailureCause::TopicMissing, FailureCause::TopicAuthorization];
                if count.is_err_and(|failure| hidden.contains(&failure.cause)) {
                    missing_topics.push(topic.clone());
                }
            }
            self.0.guard.note_activity();
        }
        WarmUp {
            ready: connected.is_ok(),
            cause: connected.err().map(|failure| failure.cause),
            duration: started.elapsed(),
            milestones: self.client().context().milestones(),
            missing_topics,
        }
    }

    async fn warm_client(&self, until: Instant) -> Result<Arc<Client>, PublishFailure> {
        let client = self.trusted(until).await?;
        client.connect(&self.0.settings.topics, until.saturating_duration_since(Instant::now())).await?;
        Ok(client)
    }

    /// Counters since the start.
    pub fn stats(&self) -> PublisherStats {
        let client = self.client();
        PublisherStats {
            token_refreshes: self.0.settings.kafka.tokens.as_ref().map_or(0, |tokens| tokens.refreshes()),
            rebuilds: self.0.guard.rebuilds(),
            auth_failures: self.0.guard.past_auth_failures() + client.context().auth_failures(),
            queue_depth: client.queue_depth(),
        }
    }

    /// Sends what is queued, at most for `bound`: the last act before the process ends.
    pub async fn shutdown(&self, bound: Duration) {
        let client = self.client();
        let flushed = tokio::task::spawn_blocking(move || client.flush(bound)).await;
        if !matches!(flushed, Ok(Ok(()))) {
            tracing::warn!("records were still queued at shutdown; their requests were answered as not acknowledged");
        }
    }

    pub(super) fn client(&self) -> Arc<Client> {
        Arc::clone(&self.0.client.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Whether a write and its answer still fit.
pub(super) fn has_time(deadline: Deadline) -> bool {
    deadline.remaining() >= MIN_REMAINING || sabotage::is_on(Sabotage::NoAdmission)
}

impl Publisher for KafkaPublisher {
    async fn publish(&self, mut records: Vec<OutboundRecord>, deadline: Deadline) -> Vec<PublishResult> {
        let all = |records: &[OutboundRecord], cause| vec![Err(PublishFailure::not_sent(cause)); records.len()];
        if !has_time(deadline) {
            return all(&records, FailureCause::NoTimeLeft);
        }
        let client = match self.admit(deadline).await {
            Ok(client) => client,
            Err(failure) => {
                self.0.guard.note_failure();
                return all(&records, failure.cause);
            }
        };
        let kept_back = self.keep_back(&client, &mut records, deadline).await;
        if !has_time(deadline) {
            return all(&records, FailureCause::NoTimeLeft);
        }
        let mut results = all(&records, FailureCause::CircuitOpen);
        let indices: Vec<usize> = (0..records.len()).filter(|index| !kept_back[*index]).collect();
        let records: Vec<OutboundRecord> =
            records.into_iter().zip(kept_back).filter(|(_, kept_back)| !kept_back).map(|(record, _)| record).collect();
        let sent = self.send(&client, &records, deadline).await;
        self.0.guard.note_results(&sent);
        self.refresh_refused_topics(&client, &records, &sent);
        for (index, result) in indices.into_iter().zip(sent) {
            results[index] = result;
        }
        results
    }

    async fn partition_count(&self, topic: &TopicName, deadline: Deadline) -> Result<u32, PublishFailure> {
        if !has_time(deadline) {
            return Err(PublishFailure::not_sent(FailureCause::NoTimeLeft));
        }
        let client = self.admit(deadline).await?;
        let bound = CONNECT.min(deadline.remaining_less(RESERVE));
        client.partition_count(topic, METADATA_AGE, bound).await
    }

    async fn readiness(&self, deadline: Deadline) -> Readiness {
        let client = self.client();
        let bound = CONNECT_OPEN.min(deadline.remaining_less(RESERVE));
        let topics = &self.0.settings.topics;
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
        client.context().readiness(answered || leader)
    }
}
