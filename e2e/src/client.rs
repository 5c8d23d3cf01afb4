//! The test bed's own Kafka client for each listener: a second opinion next to the functions' clients.

use rdkafka::client::OAuthToken;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::util::Timeout;
use rdkafka::{ClientConfig, ClientContext};
use time::OffsetDateTime;

use crate::error::{Error, Result, kafka_error};
use crate::kafka::cluster::{SCRAM_PASSWORD, SCRAM_USER};
use crate::kafka::iam::AccessKey;
use crate::kafka::{Cluster, Listener};
use crate::token::TokenDraft;

/// Settings of a client that uses one listener of the cluster.
pub fn settings(cluster: &Cluster, listener: Listener) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", cluster.bootstrap(listener)).set("allow.auto.create.topics", "false");
    let ca = cluster.ca_file().display().to_string();
    match listener {
        Listener::Plaintext => {}
        Listener::Iam => {
            config.set("security.protocol", "SASL_SSL").set("sasl.mechanisms", "OAUTHBEARER");
            config.set("ssl.ca.location", ca);
        }
        Listener::Scram => {
            config.set("security.protocol", "SASL_SSL").set("sasl.mechanisms", "SCRAM-SHA-512");
            config.set("sasl.username", SCRAM_USER).set("sasl.password", SCRAM_PASSWORD).set("ssl.ca.location", ca);
        }
        Listener::MutualTls => {
            let identity = cluster.client_identity();
            config.set("security.protocol", "SSL").set("ssl.ca.location", ca);
            config.set("ssl.certificate.pem", &identity.certificate_pem).set("ssl.key.pem", &identity.key_pem);
        }
    }
    config
}

/// Provides librdkafka with tokens from the test bed's own signer.
pub struct OwnTokens {
    key: AccessKey,
}

impl OwnTokens {
    /// Signs with `key`.
    pub fn new(key: AccessKey) -> Self {
        Self { key }
    }
}

impl ClientContext for OwnTokens {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(
        &self,
        _config: Option<&str>,
    ) -> std::result::Result<OAuthToken, Box<dyn std::error::Error>> {
        let now = OffsetDateTime::now_utc();
        Ok(OAuthToken {
            token: TokenDraft::genuine(&self.key, now, 900).token(),
            principal_name: "kafka-cluster".to_owned(),
            lifetime_ms: (now.unix_timestamp() + 900) * 1_000,
        })
    }
}

/// An idempotent producer on one listener, with the cluster's own access key if the listener requires tokens.
///
/// # Errors
/// [`Error::Kafka`] if librdkafka rejects the settings.
pub fn producer(cluster: &Cluster, listener: Listener) -> Result<FutureProducer<OwnTokens>> {
    let mut config = settings(cluster, listener);
    config.set("enable.idempotence", "true").set("message.timeout.ms", "20000");
    config.create_with_context(OwnTokens::new(cluster.key().clone())).map_err(kafka_error("creating a producer"))
}

/// Writes one record and waits until it is acknowledged; returns its partition and offset.
///
/// # Errors
/// [`Error::Kafka`] with the error of the delivery.
pub async fn write<C: ClientContext + 'static>(
    producer: &FutureProducer<C>,
    topic: &str,
    key: &str,
    value: &str,
) -> Result<(i32, i64)> {
    let record = FutureRecord::to(topic).key(key).payload(value);
    match producer.send(record, Timeout::Never).await {
        Ok(delivery) => Ok((delivery.partition, delivery.offset)),
        Err((source, _)) => Err(Error::Kafka { what: format!("writing to {topic}"), source }),
    }
}
