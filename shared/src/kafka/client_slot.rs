//! The client in use: warmed, given to requests, and replaced as a whole when it can no longer be relied on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::ClientConfig;
use rdkafka::error::KafkaResult;

use super::circuit_breaker::CircuitBreaker;
use super::client::Client;
use super::failure::{FailureCause, PublishFailure};
use super::iam::TokenSource;
use super::milestones::WarmUp;
use super::properties;
use super::publish::PublishResult;
use super::sabotage::{self, Sabotage};
use super::settings::{CONNECT, CONNECT_OPEN, METADATA_AGE, PublisherSettings, RESERVE};
use crate::deadline::Deadline;

/// A frozen environment stops the monotonic clock and kills connections silently; after a gap this long by the wall clock
/// the client is replaced. Brokers and network devices drop idle connections after 350 s to 10 min.
const FREEZE: Duration = Duration::from_secs(5 * 60);
/// Youngest age at which failures replace a client that cannot connect. A new one tries at once, where the old one waits up
/// to 3 s between tries: so the first request after an outage succeeds.
const MIN_AGE: Duration = Duration::from_secs(1);
/// The same when the cluster refuses the credentials: MSK limits new connections, and trying again soon changes nothing.
const MIN_AGE_REFUSED: Duration = Duration::from_secs(5);
/// Epochs after which a client is replaced: the last is 32,767, and a refused batch uses one.
const MAX_EPOCHS: u32 = 30_000;
/// Pause between two requests to a source of tokens that fails.
const TOKEN_PAUSE: Duration = Duration::from_millis(300);

/// Holds the client and what is remembered from one client to the next.
pub(super) struct ClientSlot {
    pub(super) settings: PublisherSettings,
    pub(super) breaker: CircuitBreaker,
    config: ClientConfig,
    client: RwLock<Arc<Client>>,
    /// Lets one request replace the client while the others wait for the new one.
    replacing: tokio::sync::Mutex<()>,
    /// Wall clock of the last success, milliseconds since the epoch; 0 before the first.
    last_activity_ms: AtomicU64,
    replaced: AtomicU64,
    /// Of the clients before this one.
    past_auth_failures: AtomicU64,
}

/// Why a client is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReplaceReason {
    /// librdkafka reported a fatal error.
    Fatal,
    /// Records were taken back from it.
    Purged,
    /// The environment was frozen for longer than [`FREEZE`].
    Frozen,
    /// Its token has ended.
    TokenExpired,
    /// It asked for a token when none could be signed.
    TokenFailed,
    /// Several requests in a row failed.
    Failures,
    /// It lost all brokers: librdkafka does not always find every one again.
    BrokersLost,
    /// It has raised its producer epoch [`MAX_EPOCHS`] times.
    EpochsUsed,
}

impl ReplaceReason {
    fn name(self) -> &'static str {
        match self {
            Self::Fatal => "fatal_error",
            Self::Purged => "purged",
            Self::Frozen => "frozen",
            Self::TokenExpired => "token_expired",
            Self::TokenFailed => "token_failed",
            Self::Failures => "failures",
            Self::BrokersLost => "brokers_lost",
            Self::EpochsUsed => "epochs_used",
        }
    }
}

impl ClientSlot {
    /// Starts a client that puts together in a batch what waits.
    pub(super) fn start(settings: PublisherSettings) -> KafkaResult<Self> {
        let config = properties::producer(&settings);
        Self::with_config(settings, config)
    }

    /// Starts a client that sends each record in a batch of its own.
    pub(super) fn start_alone(settings: PublisherSettings) -> KafkaResult<Self> {
        let config = properties::producer_of_single_records(&settings);
        Self::with_config(settings, config)
    }

    fn with_config(settings: PublisherSettings, config: ClientConfig) -> KafkaResult<Self> {
        let client = Client::start(&config, settings.kafka.tokens().cloned())?;
        Ok(Self {
            settings,
            breaker: CircuitBreaker::default(),
            config,
            client: RwLock::new(client),
            replacing: tokio::sync::Mutex::new(()),
            last_activity_ms: AtomicU64::new(0),
            replaced: AtomicU64::new(0),
            past_auth_failures: AtomicU64::new(0),
        })
    }

    /// The client as it is.
    pub(super) fn client(&self) -> Arc<Client> {
        Arc::clone(&self.client.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The client for one request: replaced when it cannot be relied on, connected when it was not.
    pub(super) async fn admit(&self, deadline: Deadline) -> Result<Arc<Client>, PublishFailure> {
        let patience = CONNECT.min(self.settings.delivery_timeout());
        let bound = if self.breaker.is_open() { CONNECT_OPEN } else { patience };
        let until = Instant::now() + bound.min(deadline.remaining_less(RESERVE));
        let client = self.current_or_replaced(until).await?;
        if client.callbacks().is_connected() && client.callbacks().has_producer_id() && !self.breaker.is_open() {
            return Ok(client);
        }
        self.connect(client, until).await
    }

    async fn connect(&self, client: Arc<Client>, until: Instant) -> Result<Arc<Client>, PublishFailure> {
        client.connect(&self.settings.topics, until.saturating_duration_since(Instant::now())).await?;
        Ok(client)
    }

    /// Connects, authenticates, fetches metadata and acquires the producer id, at most for `bound`.
    pub(super) async fn warm_up(&self, bound: Duration) -> WarmUp {
        let started = Instant::now();
        let until = started + bound;
        let connected = match self.current_or_replaced(until).await {
            Ok(client) => self.connect(client, until).await,
            Err(failure) => Err(failure),
        };
        let mut missing_topics = Vec::new();
        if let Ok(client) = &connected {
            for topic in &self.settings.topics {
                let left = bound.saturating_sub(started.elapsed());
                let partitions = client.partitions(topic, METADATA_AGE, left).await;
                // A topic that the function has no right to see is refused, not unknown.
                let hidden = [FailureCause::TopicMissing, FailureCause::TopicAuthorization];
                if partitions.is_err_and(|failure| hidden.contains(&failure.cause)) {
                    missing_topics.push(topic.clone());
                }
            }
            self.note_activity();
        }
        WarmUp {
            result: connected.map(drop).map_err(|failure| failure.cause),
            duration: started.elapsed(),
            milestones: self.client().callbacks().milestones(),
            missing_topics,
        }
    }

    /// The client, or a new one in its place when it cannot be relied on. A new one starts with a token: librdkafka waits 10 s
    /// after a failed request for one.
    async fn current_or_replaced(&self, until: Instant) -> Result<Arc<Client>, PublishFailure> {
        let client = self.client();
        let tokens = self.settings.kafka.tokens();
        // Before a token is asked for: with a new one nothing shows any more that the client's own has ended.
        let reason = self.why_replace(&client);
        if let Some(tokens) = tokens
            && (tokens.has_expired() || client.callbacks().token_failed())
        {
            ensure_token(tokens, until).await?;
        }
        match reason.or_else(|| self.why_replace(&client)) {
            Some(reason) => self.replace(client, reason).await,
            None => Ok(client),
        }
    }

    fn why_replace(&self, client: &Client) -> Option<ReplaceReason> {
        if sabotage::is_on(Sabotage::NoRebuild) {
            return None;
        }
        let refused = client.callbacks().last_connection_error() == Some(FailureCause::Authentication);
        let old_enough = client.age() >= if refused { MIN_AGE_REFUSED } else { MIN_AGE };
        let last = self.last_activity_ms.load(Ordering::Relaxed);
        let gap_ms = now_ms().abs_diff(last);
        if client.is_retired() {
            Some(ReplaceReason::Purged)
        } else if client.fatal_error().is_some() {
            Some(ReplaceReason::Fatal)
        } else if last > 0 && u128::from(gap_ms) >= FREEZE.as_millis() {
            Some(ReplaceReason::Frozen)
        } else if last > 0 && self.settings.kafka.tokens().is_some_and(TokenSource::has_expired) {
            Some(ReplaceReason::TokenExpired)
        } else if client.callbacks().token_failed() {
            Some(ReplaceReason::TokenFailed)
        } else if self.breaker.is_open() && old_enough {
            Some(ReplaceReason::Failures)
        } else if client.callbacks().has_lost_brokers() && old_enough {
            Some(ReplaceReason::BrokersLost)
        } else if client.callbacks().epochs_used() >= MAX_EPOCHS {
            Some(ReplaceReason::EpochsUsed)
        } else {
            None
        }
    }

    /// Puts a new client in the old one's place. The old one ends when its last request has answered.
    async fn replace(&self, old: Arc<Client>, reason: ReplaceReason) -> Result<Arc<Client>, PublishFailure> {
        let _one_at_a_time = self.replacing.lock().await;
        let current = self.client();
        if !Arc::ptr_eq(&current, &old) {
            return Ok(current);
        }
        let (config, tokens) = (self.config.clone(), self.settings.kafka.tokens().cloned());
        // Creating one reads certificates and starts threads: never on an async thread.
        let started = tokio::task::spawn_blocking(move || Client::start(&config, tokens)).await;
        let new = started.map_err(|error| error.to_string()).and_then(|started| started.map_err(|e| e.to_string()));
        let new = new.map_err(|error| {
            tracing::error!(error, "the Kafka client cannot be rebuilt");
            PublishFailure::not_sent(FailureCause::Fatal)
        })?;
        old.retire();
        self.replaced.fetch_add(1, Ordering::Relaxed);
        self.past_auth_failures.fetch_add(old.callbacks().auth_failures(), Ordering::Relaxed);
        self.note_activity();
        *self.client.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&new);
        tracing::warn!(reason = reason.name(), "the Kafka client was replaced");
        Ok(new)
    }

    pub(super) fn note_results(&self, results: &[PublishResult]) {
        self.breaker.note_results(results);
        if results.iter().any(Result::is_ok) {
            self.note_activity();
        }
    }

    fn note_activity(&self) {
        self.last_activity_ms.store(now_ms(), Ordering::Relaxed);
    }

    /// Clients replaced so far.
    pub(super) fn replaced(&self) -> u64 {
        self.replaced.load(Ordering::Relaxed)
    }

    /// Connections refused for their credentials, of all clients.
    pub(super) fn auth_failures(&self) -> u64 {
        self.past_auth_failures.load(Ordering::Relaxed) + self.client().callbacks().auth_failures()
    }
}

/// Asks for a token until there is one or the time is over.
async fn ensure_token(tokens: &TokenSource, until: Instant) -> Result<(), PublishFailure> {
    const REFUSED: PublishFailure = PublishFailure::not_sent(FailureCause::Authentication);
    loop {
        let source = tokens.clone();
        // It may wait for a credentials endpoint.
        let asked = tokio::task::spawn_blocking(move || source.token());
        match tokio::time::timeout_at(until.into(), asked).await {
            Ok(Ok(Ok(_))) => return Ok(()),
            Ok(Ok(Err(error))) => tracing::warn!(error = %error, "no MSK IAM token"),
            Ok(Err(_)) | Err(_) => return Err(REFUSED),
        }
        if until.saturating_duration_since(Instant::now()) <= TOKEN_PAUSE {
            return Err(REFUSED);
        }
        tokio::time::sleep(TOKEN_PAUSE).await;
    }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}
