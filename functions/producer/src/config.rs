//! The producer's configuration, read once from the environment. All problems are reported together.

use std::io::Read;
use std::path::Path;

use msk_shared::env::{EnvError, EnvReader};
use msk_shared::kafka::{DeliveryTimeout, KafkaSettings, PublisherSettings};
use msk_shared::limits::{RecordBytes, RecordCount, RequestBytes};
use msk_shared::names::TopicName;
use msk_shared::telemetry::{LogLevel, MetricsNamespace};

use crate::schema::{DEFAULT_FOLDER, SchemaFolder};
use crate::topics::Topics;

/// The largest file of policies: thousands of topics fit, and a wrong file is not read to its end.
const MAX_POLICIES_BYTES: u64 = 1_048_576;

/// Which existing clients the API is compatible with: this decides the status of failures, and how leniently input is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compatibility {
    /// Failures have status 207, 4xx or 5xx; unknown fields and parameters, and values in unusual forms, are rejected.
    #[default]
    Strict,
    /// Failed records are reported in the body of a 200, and input is taken as leniently as by Confluent's REST Proxy: unknown
    /// fields and parameters are ignored, a value left out is null, numbers may be text, and -1 means none.
    Confluent,
}

/// Sizes and counts of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest request body (`MAX_REQUEST_BYTES`).
    pub request_bytes: RequestBytes,
    /// Most records in a request (`MAX_RECORDS`).
    pub records: RecordCount,
    /// Largest record: key, value and headers (`MAX_RECORD_BYTES`).
    pub record_bytes: RecordBytes,
}

/// The producer's configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Topics that may be written to (`TOPICS`).
    pub topics: Topics,
    /// The topic of `POST /messages` (`DEFAULT_TOPIC`); one of `topics`.
    pub default_topic: TopicName,
    pub limits: Limits,
    /// Which clients' conventions the API follows (`COMPATIBILITY`).
    pub compatibility: Compatibility,
    /// How long a record may wait for its acknowledgement (`DELIVERY_TIMEOUT_MS`).
    pub delivery_timeout: DeliveryTimeout,
    /// CloudWatch namespace (`METRICS_NAMESPACE`).
    pub metrics_namespace: MetricsNamespace,
    /// The least severe level that is logged (`LOG_LEVEL`).
    pub log_level: LogLevel,
    /// The cluster (`KAFKA_*`).
    pub kafka: KafkaSettings,
}

impl Config {
    /// Reads the environment.
    ///
    /// # Errors
    /// [`EnvError`] lists everything that is missing or wrong, by name.
    pub fn from_env(mut env: EnvReader) -> Result<Self, EnvError> {
        let config = Self::read(&mut env);
        env.finish(config)
    }

    /// The settings of the publisher.
    pub fn publisher_settings(&self) -> PublisherSettings {
        PublisherSettings {
            delivery_timeout: self.delivery_timeout,
            topics: self.topics.iter().map(|topic| topic.name.clone()).collect(),
            ..PublisherSettings::new(self.kafka.clone(), "msk-producer")
        }
    }

    fn read(env: &mut EnvReader) -> Option<Self> {
        let topics = topics(env);
        let default_topic = default_topic(env, topics.as_ref());
        let limits = Limits {
            request_bytes: env.parsed("MAX_REQUEST_BYTES").unwrap_or(RequestBytes::literal::<4_194_304>()),
            records: env.parsed("MAX_RECORDS").unwrap_or(RecordCount::literal::<500>()),
            record_bytes: env.parsed("MAX_RECORD_BYTES").unwrap_or(RecordBytes::literal::<1_000_000>()),
        };
        let words = [("strict", Compatibility::Strict), ("confluent", Compatibility::Confluent)];
        let compatibility = env.choice("COMPATIBILITY", &words).unwrap_or_default();
        let delivery_timeout = env.parsed("DELIVERY_TIMEOUT_MS").unwrap_or(DeliveryTimeout::literal::<22_000>());
        let metrics_namespace = env.parsed("METRICS_NAMESPACE").unwrap_or_default();
        let log_level = env.parsed("LOG_LEVEL").unwrap_or_default();
        if env.optional("IDEMPOTENCY_TABLE").is_some() {
            env.problem(
                "IDEMPOTENCY_TABLE is not supported yet: remove it; Idempotency-Key still becomes a record header",
            );
        }
        // Last, but before any `?`, so that its problems are in the same report.
        let kafka = KafkaSettings::from_env(env);
        Some(Self {
            topics: topics?,
            default_topic: default_topic?,
            limits,
            compatibility,
            delivery_timeout,
            metrics_namespace,
            log_level,
            kafka: kafka?,
        })
    }
}

fn topics(env: &mut EnvReader) -> Option<Topics> {
    let text = env.required("TOPICS", "list the topics that may be written to, such as `orders,payments`");
    let folder = env.optional("SCHEMAS").unwrap_or_else(|| DEFAULT_FOLDER.to_owned());
    let text = text?;
    let policies = match text.trim().strip_prefix("file:") {
        Some(path) => match policies(Path::new(path)) {
            Ok(policies) => policies,
            Err(problem) => {
                env.problem(problem);
                return None;
            }
        },
        None => text,
    };
    match Topics::parse(&policies, &mut SchemaFolder::new(folder)) {
        Ok(topics) => Some(topics),
        Err(problems) => {
            problems.into_iter().for_each(|problem| env.problem(problem));
            None
        }
    }
}

/// What a file says of topics, which has room where Lambda's 4 KB for all variables have not.
fn policies(path: &Path) -> Result<String, String> {
    let named = |what: &str| format!("TOPICS names the file {}, which {what}", path.display());
    let unreadable = |error: std::io::Error| named(&format!("cannot be read ({})", error.kind()));
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(MAX_POLICIES_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_POLICIES_BYTES {
        return Err(named(&format!("is larger than {MAX_POLICIES_BYTES} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| named("is not UTF-8 text"))
}

fn default_topic(env: &mut EnvReader, topics: Option<&Topics>) -> Option<TopicName> {
    let Some(name) = env.optional("DEFAULT_TOPIC") else {
        return topics?.iter().next().map(|topic| topic.name.clone());
    };
    // Checked even if there are no topics to look it up in: all problems are reported.
    if let Err(error) = TopicName::parse(name.trim()) {
        env.problem(format!("DEFAULT_TOPIC: {error}"));
        return None;
    }
    let found = topics?.get(name.trim()).map(|topic| topic.name.clone());
    if found.is_none() {
        env.problem("DEFAULT_TOPIC must be one of TOPICS");
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Config, Vec<String>> {
        let required = [("KAFKA_BOOTSTRAP_SERVERS", "b:9092"), ("KAFKA_AUTH", "none")];
        Config::from_env(EnvReader::new(required.into_iter().chain(variables.iter().copied()))).map_err(|e| e.problems)
    }

    #[test]
    fn the_defaults_are_the_contracts() {
        let config = read(&[("TOPICS", "orders,payments")]).unwrap();
        assert_eq!(config.default_topic.as_str(), "orders");
        assert_eq!(config.limits.request_bytes.get(), 4_194_304);
        assert_eq!(config.limits.records.get(), 500);
        assert_eq!(config.limits.record_bytes.get(), 1_000_000);
        assert_eq!(config.compatibility, Compatibility::Strict);
        assert_eq!(config.delivery_timeout.get(), 22_000);
        assert_eq!(config.metrics_namespace.as_str(), "msk-ha-cluster");
        assert_eq!(config.log_level, LogLevel::Info);
    }

    #[test]
    fn every_variable_is_read() {
        let config = read(&[
            ("TOPICS", "orders,payments"),
            ("DEFAULT_TOPIC", "payments"),
            ("MAX_REQUEST_BYTES", "2048"),
            ("MAX_RECORDS", "7"),
            ("MAX_RECORD_BYTES", "99"),
            ("COMPATIBILITY", "confluent"),
            ("DELIVERY_TIMEOUT_MS", "3000"),
            ("METRICS_NAMESPACE", "shop/kafka"),
            ("LOG_LEVEL", "DEBUG"),
        ])
        .unwrap();
        assert_eq!(config.default_topic.as_str(), "payments");
        let limits = config.limits;
        assert_eq!((limits.request_bytes.get(), limits.records.get(), limits.record_bytes.get()), (2048, 7, 99));
        assert_eq!(config.compatibility, Compatibility::Confluent);
        assert_eq!(config.delivery_timeout.get(), 3_000);
        assert_eq!((config.metrics_namespace.as_str(), config.log_level), ("shop/kafka", LogLevel::Debug));
    }

    #[test]
    fn topics_may_come_from_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            format!("file:{}", path.display())
        };
        let topics = file("topics.json", br#"{"orders":{"key":"required"},"audit":{"schema":"any"}}"#);
        file("any.json", b"true");
        let schemas = folder.path().display().to_string();
        let config = read(&[("TOPICS", &topics), ("SCHEMAS", &schemas)]).unwrap();
        assert!(config.topics.get("orders").unwrap().policy.key_required);
        assert!(config.topics.get("audit").unwrap().policy.schema.is_some());
        let named = file("names", b"orders,payments\n");
        assert_eq!(read(&[("TOPICS", &named)]).unwrap().topics.iter().count(), 2);
        for (topics, says) in [
            (file("bytes", &[0xff]), "is not UTF-8"),
            (file("large", &vec![b' '; 1_048_577]), "larger than 1048576 bytes"),
            (format!("file:{schemas}/absent"), "/absent, which cannot be read (entity not found)"),
            (file("broken", b"{"), "TOPICS is not a JSON object of policies"),
        ] {
            let problems = read(&[("TOPICS", &topics)]).unwrap_err();
            assert!(problems.iter().any(|problem| problem.contains(says)), "{says}: {problems:?}");
        }
    }

    #[test]
    fn all_problems_come_together_by_name() {
        let env = EnvReader::new([
            ("DEFAULT_TOPIC", "x y"),
            ("MAX_REQUEST_BYTES", "0"),
            ("MAX_RECORDS", "many"),
            ("MAX_RECORD_BYTES", "-1"),
            ("COMPATIBILITY", "lax"),
            ("DELIVERY_TIMEOUT_MS", "22001"),
            ("METRICS_NAMESPACE", "AWS/Lambda"),
            ("LOG_LEVEL", "loud"),
            ("IDEMPOTENCY_TABLE", "t"),
            ("KAFKA_AUTH", "kerberos"),
        ]);
        let text = Config::from_env(env).unwrap_err().to_string();
        for name in [
            "TOPICS is",
            "DEFAULT_TOPIC",
            "MAX_REQUEST_BYTES",
            "MAX_RECORDS",
            "MAX_RECORD_BYTES",
            "COMPATIBILITY",
            "DELIVERY_TIMEOUT_MS",
            "METRICS_NAMESPACE",
            "LOG_LEVEL",
            "IDEMPOTENCY_TABLE",
            "KAFKA_AUTH",
            "KAFKA_BOOTSTRAP_SERVERS",
        ] {
            assert!(text.contains(name), "{name} is not in {text}");
        }
    }

    #[test]
    fn a_default_topic_that_may_not_be_written_is_refused() {
        assert_eq!(
            read(&[("TOPICS", "a"), ("DEFAULT_TOPIC", "b")]).unwrap_err(),
            ["DEFAULT_TOPIC must be one of TOPICS"]
        );
    }
}
