//! The command line of `cargo xtask up`.

use anyhow::{Result, ensure};

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
    /// How the functions show the brokers of `--kafka real` who they are.
    #[arg(long, value_enum, default_value = "none", conflicts_with = "bootstrap_servers")]
    pub(super) auth: Auth,
    /// Use this cluster, `host:port,...`, and start no brokers. `KAFKA_*` and `DEAD_LETTER` are passed on to the
    /// functions; `KAFKA_AUTH` is `none` by default. The topics must exist.
    #[arg(long, value_name = "HOST:PORT,...")]
    pub(super) bootstrap_servers: Option<String>,
    /// Topics to serve, `NAME` or `NAME:PARTITIONS`; the first is the default one. `:compact` behind one makes it compacted
    /// (embedded brokers keep everything), and its records need a key.
    #[arg(long, value_name = "TOPIC,...", value_delimiter = ',', default_value = "orders,payments,audit",
        value_parser = topics::parse)]
    pub(super) topics: Vec<String>,
    /// Consumers to run, each with every topic and a consumer group of its own. `cargo xtask new-consumer` makes further ones.
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', default_value = "consumer")]
    pub(super) consumers: Vec<String>,
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Auth {
    /// They do not; there is no TLS.
    None,
    /// As on AWS: over TLS, with signed MSK IAM tokens, and a policy says what the brokers let them do.
    Iam,
}

impl Options {
    /// # Errors
    /// When the brokers cannot do what is asked of them.
    pub(super) fn check(&self) -> Result<()> {
        ensure!(
            self.auth == Auth::None || self.kafka == ClusterKind::Real,
            "--auth iam needs --kafka real: the embedded brokers verify no tokens"
        );
        Ok(())
    }

    /// Each consumer once, and only those that the workspace has.
    ///
    /// # Errors
    /// When a consumer does not exist; the text names those that do.
    pub(super) fn distinct_consumers(&self, existing: &[String]) -> Result<Vec<String>> {
        let mut distinct = Vec::new();
        for name in &self.consumers {
            ensure!(
                existing.contains(name),
                "there is no consumer `{name}` in functions/: use {}, or make it with `cargo xtask new-consumer {name}`",
                existing.join(", ")
            );
            if !distinct.contains(name) {
                distinct.push(name.clone());
            }
        }
        Ok(distinct)
    }

    pub(super) fn topic_names(&self) -> Vec<&str> {
        self.topics.iter().map(|topic| topics::name(topic)).collect()
    }

    /// What the machine must have.
    pub(super) fn needs(&self) -> impl Iterator<Item = needs::Need> {
        let real = [needs::JAVA, needs::MAVEN].into_iter().filter(|_| self.kafka == ClusterKind::Real);
        [needs::NATIVE_BUILD, needs::PYTHON_VENV].into_iter().chain(real)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct CommandLine {
        #[command(flatten)]
        options: Options,
    }

    #[test]
    fn tokens_need_brokers_that_verify_them() {
        let checked = |arguments: &[&str]| {
            CommandLine::parse_from([&["up"], arguments].concat()).options.check().map_err(|error| error.to_string())
        };
        assert_eq!(checked(&[]), Ok(()));
        assert_eq!(checked(&["--kafka", "real", "--auth", "iam"]), Ok(()));
        assert!(checked(&["--auth", "iam"]).unwrap_err().contains("needs --kafka real"));
        assert!(CommandLine::try_parse_from(["up", "--auth", "iam", "--bootstrap-servers", "127.0.0.1:1"]).is_err());
    }

    #[test]
    fn consumers_are_those_that_exist_each_once() {
        let existing = ["consumer", "payments"].map(str::to_owned);
        let chosen = |arguments: &[&str]| {
            let options = CommandLine::parse_from([&["up"], arguments].concat()).options;
            options.distinct_consumers(&existing).map_err(|error| error.to_string())
        };
        assert_eq!(chosen(&[]).unwrap(), ["consumer"]);
        assert_eq!(chosen(&["--consumers", "payments,consumer,payments"]).unwrap(), ["payments", "consumer"]);
        for unknown in ["producer", "audit", ""] {
            let error = chosen(&["--consumers", &format!("consumer,{unknown}")]).unwrap_err();
            assert!(
                error.contains(&format!("no consumer `{unknown}` in functions/: use consumer, payments,")),
                "{error}"
            );
        }
    }
}
