//! The command line of `cargo xtask up`.

use super::topics;
use crate::needs;

/// Options of `cargo xtask up`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// Port of the HTTP API, on 127.0.0.1.
    #[arg(long, default_value_t = 9000, value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) port: u16,
    /// Which brokers to start; their data is deleted at the end.
    #[arg(long, value_enum, default_value = "embedded", conflicts_with = "bootstrap_servers")]
    pub(super) kafka: ClusterKind,
    /// Use this cluster, `host:port,...`, and start no brokers. `KAFKA_*` and `DEAD_LETTER` are passed on to the
    /// functions; `KAFKA_AUTH` is `none` by default. The topics must exist.
    #[arg(long, value_name = "HOST:PORT,...")]
    pub(super) bootstrap_servers: Option<String>,
    /// Topics to serve, `NAME` or `NAME:PARTITIONS`; the first is the default one. `:compact` behind one makes it compacted
    /// (embedded brokers keep everything), and its records need a key.
    #[arg(long, value_name = "TOPIC,...", value_delimiter = ',', default_value = "orders,payments,audit",
        value_parser = topics::parse)]
    pub(super) topics: Vec<String>,
    /// With `--bootstrap-servers`: a librdkafka property for the event source mapping, if your cluster needs more
    /// than an address; repeatable.
    #[arg(long, value_name = "NAME=VALUE", requires = "bootstrap_servers")]
    pub(super) kafka_option: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ClusterKind {
    /// Three brokers in one process: in memory, ready within a second.
    Embedded,
    /// Three Apache Kafka brokers and a controller: with replication and leader elections. Needs Java 17, Maven and 2 GB of memory.
    Real,
}

impl Options {
    pub(super) fn topic_names(&self) -> Vec<&str> {
        self.topics.iter().map(|topic| topics::name(topic)).collect()
    }

    /// What the machine must have.
    pub(super) fn needs(&self) -> impl Iterator<Item = needs::Need> {
        let real = [needs::JAVA, needs::MAVEN].into_iter().filter(|_| self.kafka == ClusterKind::Real);
        [needs::NATIVE_BUILD, needs::PYTHON_VENV].into_iter().chain(real)
    }
}
