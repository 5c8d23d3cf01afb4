//! How to reach the cluster, and how a request's time is divided: every wait of the publisher is one of these.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::iam::TokenSource;
use super::sabotage::{self, Sabotage};
use crate::deadline::Deadline;
use crate::env::Secret;
use crate::limits::Bounded;
use crate::names::TopicName;

/// How long a record may wait for its acknowledgement, in milliseconds. The ceiling leaves room within API Gateway's 30 s.
pub type DeliveryTimeout = Bounded<1000, 22_000>;

/// With less time left nothing is enqueued: a write plus its answer would not fit.
const MIN_REMAINING: Duration = Duration::from_secs(2);
/// Kept back from the deadline while waiting for acknowledgements: enough to take records back and to answer.
pub(super) const RESERVE: Duration = Duration::from_millis(1500);
/// How long the reports of purged records may take: within [`RESERVE`].
pub(super) const PURGE_REPORTS: Duration = Duration::from_millis(800);
/// librdkafka looks for timed-out messages once a second, so its report may come this much later.
const TIMEOUT_SCAN: Duration = Duration::from_millis(1000);
/// On top of the time by which librdkafka's own report is due.
const SLACK: Duration = Duration::from_millis(200);
/// How long a request waits for a cluster that was not seen before, or was lost.
pub(super) const CONNECT: Duration = Duration::from_secs(5);
/// The same once several requests in a row have failed: fail fast.
pub(super) const CONNECT_OPEN: Duration = Duration::from_millis(800);
/// How old metadata may be when a partition is checked.
pub(super) const METADATA_AGE: Duration = Duration::from_secs(60);

/// Whether a write and its answer still fit.
pub(super) fn has_time(deadline: Deadline) -> bool {
    deadline.remaining() >= MIN_REMAINING || sabotage::is_on(Sabotage::NoAdmission)
}

/// How the client authenticates.
///
/// ```
/// use msk_shared::env::Secret;
/// use msk_shared::kafka::{Auth, KafkaSettings};
///
/// let auth = Auth::Scram { username: "shop".to_owned(), password: Secret::new("hunter2") };
/// let settings = KafkaSettings { auth, ..KafkaSettings::plain("b-1.example:9096") };
/// assert!(!format!("{settings:?}").contains("hunter2"));
/// ```
#[derive(Debug, Clone)]
pub enum Auth {
    /// MSK IAM: `SASL_SSL` with OAUTHBEARER tokens signed for a region (listener 9098).
    Iam(TokenSource),
    /// TLS; mutual when a client certificate is given (listener 9094).
    Tls(Option<ClientCertificate>),
    /// SASL/SCRAM-SHA-512 over TLS (listener 9096).
    Scram {
        /// The user name in the secret that is associated with the MSK cluster.
        username: String,
        /// The password in that secret.
        password: Secret,
    },
    /// Neither encryption nor authentication: embedded brokers on a laptop.
    None,
}

/// The PEM files of a client certificate.
///
/// ```
/// use msk_shared::kafka::{Auth, ClientCertificate, KafkaSettings};
///
/// let files = ClientCertificate { certificate: "client.pem".into(), key: "client.key".into() };
/// let settings = KafkaSettings { auth: Auth::Tls(Some(files)), ..KafkaSettings::plain("b-1.example:9094") };
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate chain.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// How to connect to the cluster.
///
/// ```
/// use msk_shared::env::EnvReader;
/// use msk_shared::kafka::{Auth, KafkaSettings};
///
/// let mut env = EnvReader::new([("KAFKA_BOOTSTRAP_SERVERS", "b-1.example:9092"), ("KAFKA_AUTH", "none")]);
/// let settings = KafkaSettings::from_env(&mut env).unwrap();
/// assert!(matches!(settings.auth, Auth::None));
/// ```
#[derive(Debug, Clone)]
pub struct KafkaSettings {
    /// The brokers' addresses, as `host:port,...`.
    pub bootstrap_servers: String,
    /// How to authenticate.
    pub auth: Auth,
    /// PEM file of trusted root certificates; `None`: the system's.
    pub ca_file: Option<PathBuf>,
    /// librdkafka properties that the typed settings do not cover.
    pub options: BTreeMap<String, String>,
}

impl KafkaSettings {
    /// Plain brokers without encryption: embedded clusters and tests.
    pub fn plain(bootstrap_servers: impl Into<String>) -> Self {
        let bootstrap_servers = bootstrap_servers.into();
        Self { bootstrap_servers, auth: Auth::None, ca_file: None, options: BTreeMap::new() }
    }

    /// Where tokens come from, with [`Auth::Iam`].
    pub(super) fn tokens(&self) -> Option<&TokenSource> {
        match &self.auth {
            Auth::Iam(tokens) => Some(tokens),
            _ => None,
        }
    }
}

/// The settings of a publisher.
///
/// ```
/// use msk_shared::kafka::{DeliveryTimeout, KafkaSettings, PublisherSettings};
///
/// let settings = PublisherSettings {
///     delivery_timeout: DeliveryTimeout::literal::<5000>(),
///     topics: vec!["orders".parse()?],
///     ..PublisherSettings::new(KafkaSettings::plain("127.0.0.1:9092"), "shop")
/// };
/// assert_eq!(settings.client_id, "shop");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
    /// Settings with the default delivery timeout and no topics.
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

    /// When waiting for records that are sent now ends.
    pub(super) fn cutoff(&self, deadline: Deadline) -> Instant {
        let timeout = self.delivery_timeout().max(self.message_timeout() + TIMEOUT_SCAN) + SLACK;
        if sabotage::is_on(Sabotage::NoAdmission) {
            return Instant::now() + timeout;
        }
        deadline.less(RESERVE).at_most(timeout).instant()
    }
}
