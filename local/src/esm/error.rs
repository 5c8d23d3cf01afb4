//! Why a mapping cannot run.

use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;

use super::destination::DestinationError;
use super::invoke_client::InvokerError;
use super::schema_registry::registry_client::RegistryError;
use super::schema_registry::registry_tls::RegistryTlsError;
use super::source_access::SourceAccessError;

/// Why a mapping cannot start, or cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum MappingError {
    /// No brokers were named.
    #[error("no brokers are configured: set --bootstrap-servers HOST:PORT,... or Local.bootstrapServers")]
    NoBrokers,
    /// The brokers have no such topic.
    #[error(
        "topic `{topic}` does not exist on {brokers}: create it (embedded brokers do with `--other-topics {topic}`), or correct \
         Topics (--topics) or the destination (--on-failure-destination)"
    )]
    NoTopic {
        /// The missing topic.
        topic: String,
        /// The addresses of the brokers, as `host:port,...`.
        brokers: String,
    },
    /// No broker answered in time.
    #[error(
        "the brokers {brokers} do not answer: {cause}; check --bootstrap-servers and --kafka-option (Local.bootstrapServers, Local.kafkaOptions)"
    )]
    Brokers {
        /// The addresses of the brokers, as `host:port,...`.
        brokers: String,
        /// The last connection error, if there was one.
        cause: String,
    },
    /// librdkafka rejects the settings.
    #[error("the Kafka client cannot be created: {0}; check --kafka-option (Local.kafkaOptions)")]
    Client(String),
    /// The consumer group cannot be used.
    #[error("the consumer group `{group}` cannot be read: {source}{}", what_to_change(source))]
    Group {
        /// The consumer group.
        group: String,
        /// The client's error.
        source: KafkaError,
    },
    /// A record could not be sent back.
    #[error("a record could not be sent back to topic `{topic}`: {source}")]
    Redrive {
        /// The topic it came from.
        topic: String,
        /// The client's error.
        source: KafkaError,
    },
    /// A dead-letter topic, or a topic that a dead letter came from, does not exist.
    #[error(
        "topic `{topic}` does not exist on these brokers: create it, or correct --from-topic or --bootstrap-servers"
    )]
    NoRedriveTopic {
        /// The missing topic.
        topic: String,
    },
    /// A secret cannot be used.
    #[error(transparent)]
    SourceAccess(#[from] SourceAccessError),
    /// The schema registry cannot be asked.
    #[error("SchemaRegistryConfig: {0}")]
    RegistryTls(#[from] RegistryTlsError),
    /// A schema cannot be used, or is not to be had.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// No thread can wait for the registry.
    #[error("the schema registry cannot be asked: {0}")]
    Runtime(std::io::Error),
    /// The HTTP client cannot be created.
    #[error(transparent)]
    Invoker(#[from] InvokerError),
    /// The on-failure destination cannot be used.
    #[error("the on-failure destination cannot be used: {0}")]
    Destination(#[from] DestinationError),
    /// A poller's task was cancelled or panicked.
    #[error("a poller ended unexpectedly")]
    Poller,
}

/// What the client's error leaves open.
fn what_to_change(source: &KafkaError) -> &'static str {
    match source.rdkafka_error_code() {
        Some(RDKafkaErrorCode::InvalidSessionTimeout) => {
            "; --kafka-option session.timeout.ms=MS (Local.kafkaOptions) must lie between the brokers' \
             group.min.session.timeout.ms and group.max.session.timeout.ms, by default 6000 and 1800000"
        }
        _ => "",
    }
}
