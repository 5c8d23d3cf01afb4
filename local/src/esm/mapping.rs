//! The configuration after [`super::validate`]: a mapping that obeys AWS's rules and can be run.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use msk_shared::names::TopicName;

use super::chaos_settings::ChaosSettings;
use super::endpoint_url;
use super::filter::Filters;
use super::schema_registry::registry_settings::{RegistryCredentials, RegistrySettings};
use super::source_access::{Credentials, SourceAccess, SourceAccessError};

/// librdkafka properties that the emulator sets itself, so `Local.kafkaOptions` must not.
pub(super) const RESERVED_KAFKA_OPTIONS: &[&str] = &[
    "bootstrap.servers",
    "group.id",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "auto.offset.reset",
    "enable.partition.eof",
];

/// A valid mapping.
#[derive(Debug, Clone)]
pub struct Mapping {
    /// The function to invoke.
    pub function: String,
    /// The topic whose records are sent to the function.
    pub topic: TopicName,
    /// The Kafka consumer group whose committed offsets record the progress.
    pub consumer_group: String,
    /// The cluster as the events name it.
    pub event_source: EventSource,
    /// How to sign in at the brokers.
    pub access: SourceAccess,
    /// What [`Self::with_credentials`] has read.
    pub(super) credentials: Credentials,
    /// Where the schemas of keys and values are, if the mapping validates them.
    pub schema_registry: Option<RegistrySettings>,
    /// What [`Self::with_credentials`] has read for it.
    pub(super) registry_credentials: RegistryCredentials,
    /// Where to start if the group has no committed offset for a partition.
    pub starting_position: StartingPosition,
    /// Which records the function gets.
    pub filters: Filters,
    /// When a batch is closed.
    pub batching: Batching,
    /// What happens when an invocation fails.
    pub failures: FailurePolicy,
    /// Where records go when they are given up; `None` drops them.
    pub destination: Option<DestinationTarget>,
    /// The number of members of the consumer group; never more than the topic has partitions.
    pub pollers: usize,
    /// How much the pollers tell of themselves; `None` for nothing.
    pub system_log_level: Option<SystemLogLevel>,
    /// The mapping's UUID, which AWS gives it; here the function and the topic do.
    pub uuid: String,
    /// How brokers and function are reached on this machine.
    pub local: LocalSettings,
    /// One sentence for each setting that has no effect here, or that AWS would reject.
    pub warnings: Vec<String>,
}

impl Mapping {
    /// The mapping with its secrets read, as its clients need it. Blocks.
    ///
    /// # Errors
    /// [`SourceAccessError`] if a secret cannot be used.
    pub fn with_credentials(mut self) -> Result<Self, SourceAccessError> {
        self.credentials = self.access.credentials(&self.local.kafka_options)?;
        if let Some(registry) = &self.schema_registry {
            self.registry_credentials = registry.credentials()?;
        }
        Ok(self)
    }
}

/// The cluster as the events name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventSource {
    /// Amazon MSK.
    Msk { arn: String },
    /// Any other Kafka, by the addresses in its mapping, `host:port,...`.
    SelfManaged { bootstrap_servers: String },
}

impl EventSource {
    /// The cluster's ARN; only Amazon MSK has one.
    pub(super) fn arn(&self) -> Option<&str> {
        match self {
            Self::Msk { arn } => Some(arn),
            Self::SelfManaged { .. } => None,
        }
    }

    /// The brokers, if the mapping itself says them.
    pub(super) fn bootstrap_servers(&self) -> Option<String> {
        match self {
            Self::Msk { .. } => None,
            Self::SelfManaged { bootstrap_servers } => Some(bootstrap_servers.clone()),
        }
    }
}

/// Where to start without a committed offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartingPosition {
    /// At the oldest record.
    TrimHorizon,
    /// After the newest record.
    Latest,
    /// At the first record with this time or a later one, in milliseconds since 1970.
    AtTimestamp(i64),
}

/// When a batch is closed: at whichever limit is reached first. The third limit is the size of the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batching {
    /// The maximum number of records in a batch.
    pub size: usize,
    /// Longest wait after the first record of a batch.
    pub window: Duration,
    /// Whether an event contains records of only one partition.
    pub single_partition: bool,
}

/// What happens when an invocation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailurePolicy {
    /// Retries after the first invocation; `None` means no limit.
    pub max_retries: Option<u32>,
    /// Records older than this are given up.
    pub max_record_age: Option<Duration>,
    /// Whether a failed batch is split in two.
    pub bisect: bool,
    /// What is redelivered if the function's response names failed records; `None` ignores the response.
    pub report_batch_item_failures: Option<PartialBatch>,
    /// First pause before a retry.
    pub backoff: Duration,
    /// Longest pause before a retry.
    pub max_backoff: Duration,
}

/// What is redelivered if a response names failed records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartialBatch {
    /// Only the named records, as AWS documents for Kafka.
    Items,
    /// Everything from the first named record of a partition on.
    Checkpoint,
}

/// Where records go when they are given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DestinationTarget {
    /// `kafka://<topic>`: a topic of the same cluster.
    Kafka(TopicName),
    /// An ARN of SQS, SNS or S3: each message becomes a JSON file.
    Files {
        /// The folder for the files, created if it does not exist.
        folder: PathBuf,
        /// Whether the document contains the event, as it does for S3.
        with_payload: bool,
    },
}

/// `LoggingConfig.SystemLogLevel`: each level has what those before it have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SystemLogLevel {
    /// What may lead to unexpected behaviour.
    Warn,
    /// Normal operation, too.
    Info,
    /// Where each partition stands, too.
    Debug,
}

impl SystemLogLevel {
    /// AWS's names.
    pub const NAMES: &[&str] = &["DEBUG", "INFO", "WARN"];

    /// The level with this name.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "WARN" => Some(Self::Warn),
            "INFO" => Some(Self::Info),
            "DEBUG" => Some(Self::Debug),
            _ => None,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Warn => "WARN",
            Self::Info => "INFO",
            Self::Debug => "DEBUG",
        }
    }
}

/// Where the system log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SystemLogTarget {
    /// With the logs.
    StandardError,
    /// With the results.
    StandardOutput,
    /// To the end of a file.
    File(PathBuf),
}

/// How brokers and function are reached on this machine.
#[derive(Debug, Clone)]
pub struct LocalSettings {
    /// The addresses of the brokers, as `host:port,...`; running the mapping requires them.
    pub bootstrap_servers: Option<String>,
    /// librdkafka properties beyond the emulator's own.
    pub kafka_options: BTreeMap<String, String>,
    /// The Invoke endpoint.
    pub invoke_url: String,
    /// File with the authorities that an endpoint with `https://` must have a certificate of, as PEM text; `None`: the system's.
    pub ca_file: Option<PathBuf>,
    /// The largest number of requests in flight; `None` leaves the five of each poller.
    pub max_concurrency: Option<usize>,
    /// How long an invocation may take.
    pub function_timeout: Duration,
    /// How long an invocation may take until the endpoint has answered once.
    pub first_invocation_timeout: Duration,
    /// How long the endpoint may be unreachable before its first answer.
    pub startup_grace: Duration,
    /// The port of loopback with metrics for Prometheus; `None` serves none.
    pub metrics_port: Option<u16>,
    /// Where the system log goes, if there is one.
    pub system_log: SystemLogTarget,
    /// Faults on request.
    pub chaos: Option<ChaosSettings>,
}

impl LocalSettings {
    /// The Invoke endpoint as it may be logged.
    pub fn shown_url(&self) -> String {
        endpoint_url::without_credentials(&self.invoke_url)
    }
}
