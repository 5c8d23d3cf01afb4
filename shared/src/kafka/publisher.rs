//! The hardened publisher: admits a request only when it can be answered truthfully, rides out what can be ridden out,
//! and replaces its client when that can no longer be trusted.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;

use super::client::{Client, Pending};
use super::client_config;
use super::failure::{FailureCause, Persisted, PublishFailure};
use super::guard::{Guard, ReplaceReason};
use super::record::OutboundRecord;
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
const RESERVE: Duration = Duration::from_millis(1500);
/// librdkafka looks for timed-out messages once a second, so its verdict may come this much later.
const TIMEOUT_SCAN: Duration = Duration::from_millis(1200);
/// How long the reports of purged records may take.
const PURGE_REPORTS: Duration = Duration::from_millis(800);
/// How long a request waits for a cluster that was not seen before, or was lost.
const CONNECT: Duration = Duration::from_secs(5);
/// The same once several requests in a row have failed: fail fast.
const CONNECT_OPEN: Duration = Duration::from_millis(700);
/// How old metadata may be when a partition is checked.
const METADATA_AGE: Duration = Duration::from_secs(60);

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
}

/// The client could not even be created: a property has a value that librdkafka refuses.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the Kafka client cannot be created: {0}")]
pub struct StartError(#[from] KafkaError);

/// How a warm-up went. It never fails: a cluster that is down must not fail init.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WarmUp {
    /// Whether a broker answered and a producer id was acquired.
    pub ready: bool,
    /// Why not.
    pub cause: Option<FailureCause>,
    /// How long it took.
    pub duration: Duration,
    /// Listed topics that the cluster does not have or does not show us: a deployment fault.
    pub missing_topics: Vec<TopicName>,
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
pub struct KafkaPublisher(Arc<Inner>);

struct Inner {
    settings: PublisherSettings,
    config: ClientConfig,
    client: RwLock<Arc<Client>>,
    /// Lets one request replace the client while the others wait for the new one.
    replacing: tokio::sync::Mutex<()>,
    guard: Guard,
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
        };
        Ok(Self(Arc::new(inner)))
    }

    /// Connects, authenticates, fetches metadata and acquires the producer id, at most for `bound`.
    pub async fn warm_up(&self, bound: Duration) -> WarmUp {
        let started = Instant::now();
        let client = self.client();
        let connected = client.connect(&self.0.settings.topics, bound).await;
        let mut missing_topics = Vec::new();
        if connected.is_ok() {
            for topic in &self.0.settings.topics {
                let left = bound.saturating_sub(started.elapsed());
                let count = client.partition_count(topic, METADATA_AGE, left).await;
                if count.is_err_and(|failure| failure.cause == FailureCause::TopicMissing) {
                    missing_topics.push(topic.clone());
                }
            }
            self.0.guard.note_activity();
        }
        WarmUp {
            ready: connected.is_ok(),
            cause: connected.err().map(|failure| failure.cause),
            duration: started.elapsed(),
            missing_topics,
        }
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

    fn client(&self) -> Arc<Client> {
        Arc::clone(&self.0.client.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The client for one request: replaced when it cannot be trusted, connected when it was not.
    async fn admit(&self, deadline: Deadline) -> Result<Arc<Client>, PublishFailure> {
        let client = self.client();
        let tokens = self.0.settings.kafka.tokens.as_ref();
        let client = match self.0.guard.why_replace(&client, tokens) {
            Some(reason) => self.replace(client, reason).await?,
            None => client,
        };
        if client.context().is_connected() && client.context().has_producer_id() && !self.0.guard.is_open() {
            return Ok(client);
        }
        let bound = if self.0.guard.is_open() { CONNECT_OPEN } else { CONNECT };
        client.connect(&self.0.settings.topics, bound.min(deadline.remaining_less(RESERVE))).await?;
        Ok(client)
    }

    /// Puts a new client in the old one's place. The old one ends when its last request has answered.
    async fn replace(&self, old: Arc<Client>, reason: ReplaceReason) -> Result<Arc<Client>, PublishFailure> {
        let _one_at_a_time = self.0.replacing.lock().await;
        let current = self.client();
        if !Arc::ptr_eq(&current, &old) {
            return Ok(current);
        }
        let new = Client::start(&self.0.config, self.0.settings.kafka.tokens.clone()).map_err(|error| {
            tracing::error!(error = %error, "the Kafka client cannot be rebuilt");
            PublishFailure::not_sent(FailureCause::Fatal)
        })?;
        old.retire();
        self.0.guard.note_replaced(old.context().auth_failures());
        *self.0.client.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&new);
        tracing::warn!(reason = reason.name(), "the Kafka client was replaced");
        Ok(new)
    }

    /// Waits for every record until `cutoff`; then takes back what is left and lets each record's own status speak.
    async fn settle(&self, client: &Client, pending: Vec<Pending>, cutoff: Instant) -> Vec<PublishResult> {
        let mut results = Vec::with_capacity(pending.len());
        let mut until = cutoff;
        let mut purged = false;
        for mut report in pending {
            if let Ok(result) = tokio::time::timeout_at(until.into(), &mut report).await {
                results.push(result.unwrap_or(Err(UNREPORTED)));
                continue;
            }
            if !purged {
                purged = true;
                until = Instant::now() + PURGE_REPORTS;
                tracing::warn!("records were not acknowledged in time; taking them back");
                client.purge();
            }
            let result = tokio::time::timeout_at(until.into(), report).await;
            results.push(result.unwrap_or(Ok(Err(UNREPORTED))).unwrap_or(Err(UNREPORTED)));
        }
        results
    }

    /// Sends once more, on a new client, what surely was not written because the old client was taken away.
    async fn resend(&self, records: &[OutboundRecord], results: &mut [PublishResult], deadline: Deadline) {
        let again: Vec<usize> = (0..results.len()).filter(|index| was_taken_away(&results[*index])).collect();
        // A record must not overtake an earlier one of the same request whose fate is unknown.
        let unknown = results.iter().any(|result| matches!(result, Err(f) if f.persisted == Persisted::Unknown));
        if again.is_empty() || unknown || deadline.remaining() < MIN_REMAINING {
            return;
        }
        let Ok(client) = self.admit(deadline).await else { return };
        let retried: Vec<OutboundRecord> = again.iter().map(|index| records[*index].clone()).collect();
        let pending = client.enqueue(&retried);
        let settled = self.settle(&client, pending, self.cutoff(deadline)).await;
        for (index, result) in again.into_iter().zip(settled) {
            results[index] = result;
        }
    }

    /// librdkafka keeps refusing a topic after one authorization failure until its next metadata refresh, up to a minute later:
    /// ask now, so that a mended policy is noticed by the next request.
    fn refresh_refused_topics(&self, client: &Arc<Client>, records: &[OutboundRecord], results: &[PublishResult]) {
        let refused = |result: &PublishResult| matches!(result, Err(f) if f.cause == FailureCause::TopicAuthorization);
        let topics = records.iter().zip(results).filter(|(_, result)| refused(result)).map(|(record, _)| &record.topic);
        for topic in topics.collect::<std::collections::BTreeSet<_>>() {
            let (client, topic) = (Arc::clone(client), topic.clone());
            tokio::spawn(async move { client.partition_count(&topic, Duration::ZERO, CONNECT).await });
        }
    }

    fn cutoff(&self, deadline: Deadline) -> Instant {
        let timeout = Duration::from_millis(self.0.settings.delivery_timeout.get() as u64);
        deadline.less(RESERVE).at_most(timeout + TIMEOUT_SCAN).instant()
    }
}

/// A record whose report never came.
const UNREPORTED: PublishFailure = PublishFailure { cause: FailureCause::TimedOut, persisted: Persisted::Unknown };

fn was_taken_away(result: &PublishResult) -> bool {
    matches!(result, Err(PublishFailure { cause: FailureCause::Fatal, persisted: Persisted::No }))
}

impl Publisher for KafkaPublisher {
    async fn publish(&self, records: Vec<OutboundRecord>, deadline: Deadline) -> Vec<PublishResult> {
        let refuse = |failure: PublishFailure| vec![Err(failure); records.len()];
        if deadline.remaining() < MIN_REMAINING {
            return refuse(PublishFailure::not_sent(FailureCause::NoTimeLeft));
        }
        let client = match self.admit(deadline).await {
            Ok(client) => client,
            Err(failure) => {
                self.0.guard.note_failure();
                return refuse(failure);
            }
        };
        if deadline.remaining() < MIN_REMAINING {
            return refuse(PublishFailure::not_sent(FailureCause::NoTimeLeft));
        }
        let pending = client.enqueue(&records);
        let mut results = self.settle(&client, pending, self.cutoff(deadline)).await;
        self.resend(&records, &mut results, deadline).await;
        self.0.guard.note_results(&results);
        self.refresh_refused_topics(&client, &records, &results);
        results
    }

    async fn partition_count(&self, topic: &TopicName, deadline: Deadline) -> Result<u32, PublishFailure> {
        if deadline.remaining() < MIN_REMAINING {
            return Err(PublishFailure::not_sent(FailureCause::NoTimeLeft));
        }
        let client = self.admit(deadline).await?;
        let bound = CONNECT.min(deadline.remaining_less(RESERVE));
        client.partition_count(topic, METADATA_AGE, bound).await
    }

    async fn readiness(&self, deadline: Deadline) -> Readiness {
        let client = self.client();
        let bound = CONNECT_OPEN.min(deadline.remaining_less(RESERVE));
        // Ask now: a flag from before a freeze proves nothing.
        let _ = client.connect(&self.0.settings.topics, bound).await;
        client.context().readiness()
    }
}
