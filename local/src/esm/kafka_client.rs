//! librdkafka settings shared by all clients of a mapping, and the context of clients that only query or produce.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use msk_shared::kafka::TokenSource;
use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::config::{ClientConfig, FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::statistics::Statistics;
use rdkafka::types::RDKafkaErrorCode;

use super::mapping::{Mapping, StartingPosition};

/// What clients are made from.
#[derive(Clone)]
pub(super) struct ClientSettings {
    properties: ClientConfig,
    /// Signs MSK IAM tokens, where the brokers want them.
    tokens: Option<TokenSource>,
}

impl ClientSettings {
    /// A client that queries, reads outside of a group, or produces.
    pub(super) fn create<C: FromClientConfigAndContext<QuietContext>>(&self) -> KafkaResult<C> {
        let context = QuietContext { tokens: self.tokens.clone(), ..QuietContext::default() };
        self.properties.create_with_context(context)
    }

    /// The settings of a consumer that joins no group: KIP-848's protocol has nothing to say there.
    pub(super) fn outside_of_groups(mut self) -> Self {
        self.properties.remove("group.protocol");
        self
    }

    /// A producer with the rights that AWS asks for of a mapping with a Kafka destination, which with IAM are `WriteData` on the
    /// topic and not `WriteDataIdempotently` on the cluster:
    /// <https://docs.aws.amazon.com/lambda/latest/dg/kafka-on-failure.html>
    pub(super) fn with_rights_of_destinations(mut self) -> Self {
        if self.tokens.is_some() {
            // One at a time: a retry must not change the order.
            self.properties.set("enable.idempotence", "false").set("acks", "all");
            self.properties.set("max.in.flight.requests.per.connection", "1");
        }
        self
    }

    pub(super) fn properties(&self) -> &ClientConfig {
        &self.properties
    }

    pub(super) fn tokens(&self) -> Option<TokenSource> {
        self.tokens.clone()
    }
}

/// Settings of every client of a mapping, whether or not it joins the consumer group.
pub(super) fn client_settings(mapping: &Mapping, bootstrap_servers: &str) -> ClientSettings {
    let options = mapping.credentials.with_options(&mapping.local.kafka_options);
    let mut settings =
        base_settings(bootstrap_servers, &mapping.consumer_group, &options, mapping.credentials.tokens().cloned());
    let reset = match mapping.starting_position {
        StartingPosition::TrimHorizon => "earliest",
        // Starting offsets are committed before the group is joined; this only matters if they expire.
        StartingPosition::Latest | StartingPosition::AtTimestamp(_) => "latest",
    };
    settings.properties.set("auto.offset.reset", reset);
    settings
}

/// Settings of every client; `options` are the user's own, and `tokens` signs what they ask for.
pub(super) fn base_settings(
    bootstrap_servers: &str,
    consumer_group: &str,
    options: &BTreeMap<String, String>,
    tokens: Option<TokenSource>,
) -> ClientSettings {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap_servers)
        .set("group.id", consumer_group)
        // Only what is finished is committed.
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // The end of a partition is how `drain` knows that it has seen everything.
        .set("enable.partition.eof", "true")
        // On a laptop, one record should be delivered at once instead of waiting for a full fetch.
        .set("fetch.wait.max.ms", "100")
        .set("fetch.error.backoff.ms", "200")
        .set("fetch.queue.backoff.ms", "50")
        // A killed emulator's partitions are reassigned after this long; Apache Kafka allows no less by default.
        .set("session.timeout.ms", "6000")
        .set("heartbeat.interval.ms", "1000")
        .set("reconnect.backoff.max.ms", "1000")
        .set("topic.metadata.refresh.interval.ms", "30000")
        .set("allow.auto.create.topics", "false")
        .set("log.connection.close", "false")
        .set("client.id", "msk-local");
    for (name, value) in options {
        config.set(name, value);
    }
    if config.get("group.protocol") == Some("consumer") {
        // With KIP-848's protocol the broker decides these two, and librdkafka rejects them.
        config.remove("session.timeout.ms").remove("heartbeat.interval.ms");
    }
    ClientSettings { properties: config, tokens }
}

/// A token for librdkafka, on the thread that polls the client. Blocks while it is signed.
pub(super) fn oauth_token(tokens: Option<&TokenSource>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
    let token = tokens.ok_or("no MSK IAM token is asked for")?.token();
    let token = token.inspect_err(|error| tracing::error!(%error, "no MSK IAM token"))?;
    Ok(OAuthToken {
        token: token.expose().to_owned(),
        principal_name: "kafka-cluster".to_owned(),
        lifetime_ms: token.expires_at_ms(),
    })
}

/// A failure document contains a whole event, so it can be larger than the largest event.
const MAX_DOCUMENT_BYTES: &str = "16000000";

/// How long the brokers may take to acknowledge a record, and how long it may wait for room before: librdkafka's own 300 s are longer
/// than anyone waits for an emulator.
pub(super) const DELIVERY_TIMEOUT: Duration = Duration::from_secs(30);

/// The settings of a producer, from those of a mapping's clients.
pub(super) fn producer_settings(client: &ClientSettings) -> ClientSettings {
    let mut settings = client.clone();
    let config = &mut settings.properties;
    config.remove("group.id").remove("group.protocol");
    for name in CONSUMER_ONLY {
        config.remove(name);
    }
    // The same placement of keys as Java clients, all replicas, no duplicates from retries.
    config.set("partitioner", "murmur2_random").set("enable.idempotence", "true");
    config.set("message.max.bytes", MAX_DOCUMENT_BYTES).set("linger.ms", "0");
    // Records without a key: each has a partition of its own, where librdkafka stays with one for 10 ms.
    config.set("sticky.partitioning.linger.ms", "0");
    // Its two names; the mapping's own wins.
    if ["message.timeout.ms", "delivery.timeout.ms"].iter().all(|name| config.get(name).is_none()) {
        config.set("message.timeout.ms", DELIVERY_TIMEOUT.as_millis().to_string());
    }
    settings
}

/// Consumer settings of the mapping, which would make a producer log a warning.
const CONSUMER_ONLY: &[&str] = &[
    "enable.auto.commit",
    "enable.auto.offset.store",
    "auto.offset.reset",
    "enable.partition.eof",
    "fetch.wait.max.ms",
    "fetch.error.backoff.ms",
    "fetch.queue.backoff.ms",
    "session.timeout.ms",
    "heartbeat.interval.ms",
];

/// The context of clients whose errors already reach a caller: they log no warnings, and the last connection
/// error is kept as the reason why no broker answers.
#[derive(Default)]
pub(super) struct QuietContext {
    tokens: Option<TokenSource>,
    last_connection_error: Mutex<Option<String>>,
}

impl ClientContext for QuietContext {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(target: "librdkafka", facility, message);
    }

    fn stats(&self, _statistics: Statistics) {}

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, reason, "client error");
        // "All brokers are down" says less than what happened to one of them.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            let what = reason.split(" (after ").next().unwrap_or(reason);
            *self.last_connection_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(what.to_owned());
        }
    }

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        oauth_token(self.tokens.as_ref())
    }
}

impl ConsumerContext for QuietContext {}

impl QuietContext {
    pub(super) fn last_connection_error(&self) -> Option<String> {
        self.last_connection_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
