//! The consumer's configuration, read once from the environment. All problems are reported together.

use std::time::Duration;

use msk_shared::env::{EnvError, EnvReader};
#[cfg(feature = "dead-letter-kafka")]
use msk_shared::kafka::KafkaSettings;
use msk_shared::limits::Bounded;
use msk_shared::telemetry::{LogLevel, MetricsNamespace};

use crate::dead_letters::TopicPattern;

/// How many lanes are processed at once.
pub type Concurrency = Bounded<1, 1000>;

/// Which records keep their order (`ORDERING`).
///
/// ```
/// use msk_consumer::Config;
/// use msk_consumer::lanes::Ordering;
/// use msk_shared::env::EnvReader;
///
/// let config = Config::from_env(EnvReader::new([("ORDERING", "key")])).unwrap();
/// assert_eq!((config.batch.ordering, Ordering::default()), (Ordering::Key, Ordering::Partition));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ordering {
    /// All records of a partition.
    #[default]
    Partition,
    /// The records of a partition that have the same key; a record without a key is not ordered.
    Key,
    /// None.
    Unordered,
}

/// How a batch is processed.
///
/// ```
/// use msk_consumer::BatchSettings;
///
/// // For a mapping with `ReportBatchItemFailures`.
/// let settings = BatchSettings { report_batch_item_failures: true, ..BatchSettings::default() };
/// assert_eq!(settings.concurrency.get(), 16);
/// ```
#[derive(Debug, Clone)]
pub struct BatchSettings {
    /// Whether the mapping has `ReportBatchItemFailures` (`REPORT_BATCH_ITEM_FAILURES`). Without it AWS treats every response as success,
    /// so a failure must fail the invocation.
    pub report_batch_item_failures: bool,
    /// Which records keep their order (`ORDERING`).
    pub ordering: Ordering,
    /// How many lanes are processed at once (`CONCURRENCY`).
    pub concurrency: Concurrency,
    /// No record is started with less time left than this, or than three times the batch's slowest record so far.
    pub min_time_to_start: Duration,
    /// CloudWatch namespace (`METRICS_NAMESPACE`).
    pub metrics_namespace: MetricsNamespace,
}

impl Default for BatchSettings {
    fn default() -> Self {
        Self {
            report_batch_item_failures: false,
            ordering: Ordering::default(),
            concurrency: Concurrency::literal::<16>(),
            min_time_to_start: Duration::from_secs(2),
            metrics_namespace: MetricsNamespace::default(),
        }
    }
}

/// Where dead letters go (`DEAD_LETTER`), and how to get there (`KAFKA_*`).
///
/// ```
/// use msk_consumer::Config;
/// use msk_shared::env::EnvReader;
///
/// let variables =
///     [("DEAD_LETTER", "kafka:{topic}.dlq"), ("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092"), ("KAFKA_AUTH", "none")];
/// let config = Config::from_env(EnvReader::new(variables));
/// # #[cfg(feature = "dead-letter-kafka")]
/// assert_eq!(config.unwrap().dead_letter.unwrap().topic.topic_for("orders").unwrap().as_str(), "orders.dlq");
/// ```
#[derive(Debug, Clone)]
pub struct DeadLetterSettings {
    /// The dead-letter topic, which may depend on the record's topic.
    pub topic: TopicPattern,
    /// The cluster that has it.
    #[cfg(feature = "dead-letter-kafka")]
    pub kafka: KafkaSettings,
}

/// Everything the consumer reads from its environment.
///
/// ```
/// use msk_consumer::Config;
/// use msk_shared::env::EnvReader;
///
/// let config = Config::from_env(EnvReader::new([("CONCURRENCY", "4")])).unwrap();
/// assert_eq!(config.batch.concurrency.get(), 4);
/// let error = Config::from_env(EnvReader::new([("ORDERING", "random"), ("CONCURRENCY", "0")])).unwrap_err();
/// assert_eq!(error.problems.len(), 2, "all of them together");
/// ```
#[derive(Debug, Clone)]
pub struct Config {
    /// How a batch is processed.
    pub batch: BatchSettings,
    /// Where dead letters go; `None` if `DEAD_LETTER` is not set.
    pub dead_letter: Option<DeadLetterSettings>,
    /// The least severe level that is logged (`LOG_LEVEL`).
    pub log_level: LogLevel,
}

impl Config {
    /// Reads the environment.
    ///
    /// # Errors
    /// [`EnvError`] lists everything that is missing or wrong, by name.
    pub fn from_env(mut env: EnvReader) -> Result<Self, EnvError> {
        let config = Self::read(&mut env);
        env.finish(Some(config))
    }

    /// Notes in `env` what is missing or wrong.
    pub(crate) fn read(env: &mut EnvReader) -> Self {
        let defaults = BatchSettings::default();
        let flags = [("true", true), ("false", false)];
        let orders = [("partition", Ordering::Partition), ("key", Ordering::Key), ("none", Ordering::Unordered)];
        let batch = BatchSettings {
            report_batch_item_failures: env
                .choice("REPORT_BATCH_ITEM_FAILURES", &flags)
                .unwrap_or(defaults.report_batch_item_failures),
            ordering: env.choice("ORDERING", &orders).unwrap_or(defaults.ordering),
            concurrency: env.parsed("CONCURRENCY").unwrap_or(defaults.concurrency),
            metrics_namespace: env.parsed("METRICS_NAMESPACE").unwrap_or_default(),
            ..BatchSettings::default()
        };
        if env.optional("IDEMPOTENCY_TABLE").is_some() {
            env.problem("IDEMPOTENCY_TABLE is not supported yet: unset it; duplicates within one execution environment are detected without it");
        }
        let log_level = env.parsed("LOG_LEVEL").unwrap_or_default();
        Self { batch, dead_letter: dead_letter(env), log_level }
    }
}

fn dead_letter(env: &mut EnvReader) -> Option<DeadLetterSettings> {
    let is_wanted = env.optional("DEAD_LETTER").is_some();
    let topic = env.parsed("DEAD_LETTER");
    if !is_wanted {
        // Nothing reads `KAFKA_*` in this case, but a misspelt name still deserves a warning.
        env.warn_of_unknown_kafka_variables();
        return None;
    }
    reach(env, topic)
}

/// Reads `KAFKA_*` even if the topic is invalid, so that all problems are reported at once.
#[cfg(feature = "dead-letter-kafka")]
fn reach(env: &mut EnvReader, topic: Option<TopicPattern>) -> Option<DeadLetterSettings> {
    let kafka = KafkaSettings::from_env(env);
    Some(DeadLetterSettings { topic: topic?, kafka: kafka? })
}

#[cfg(not(feature = "dead-letter-kafka"))]
fn reach(env: &mut EnvReader, topic: Option<TopicPattern>) -> Option<DeadLetterSettings> {
    if topic.is_some() {
        env.problem("DEAD_LETTER: this build does not support `kafka:`; build the consumer with the feature `dead-letter-kafka`, or unset DEAD_LETTER");
    }
    env.warn_of_unknown_kafka_variables();
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Config, Vec<String>> {
        Config::from_env(EnvReader::new(variables.iter().copied())).map_err(|error| error.problems)
    }

    #[test]
    fn the_defaults_are_the_contracts_and_nothing_is_required() {
        let config = read(&[]).unwrap();
        assert!(!config.batch.report_batch_item_failures);
        assert_eq!(config.batch.ordering, Ordering::Partition);
        assert_eq!(config.batch.concurrency.get(), 16);
        assert_eq!(config.batch.min_time_to_start, Duration::from_secs(2));
        assert_eq!(config.batch.metrics_namespace.as_str(), "msk-ha-cluster");
        assert_eq!(config.log_level, LogLevel::Info);
        assert!(config.dead_letter.is_none());
    }

    #[test]
    fn every_variable_is_read() {
        let config = read(&[
            ("REPORT_BATCH_ITEM_FAILURES", "true"),
            ("ORDERING", "key"),
            ("CONCURRENCY", "3"),
            ("METRICS_NAMESPACE", "shop"),
            ("LOG_LEVEL", "debug"),
        ])
        .unwrap();
        assert!(config.batch.report_batch_item_failures);
        assert_eq!(config.batch.ordering, Ordering::Key);
        assert_eq!(config.batch.concurrency.get(), 3);
        assert_eq!(config.batch.metrics_namespace.as_str(), "shop");
        assert_eq!(config.log_level, LogLevel::Debug);
        assert_eq!(read(&[("ORDERING", "none")]).unwrap().batch.ordering, Ordering::Unordered);
    }

    #[test]
    fn all_problems_come_together_by_name_and_without_values() {
        let problems = read(&[
            ("REPORT_BATCH_ITEM_FAILURES", "yes"),
            ("ORDERING", "random"),
            ("CONCURRENCY", "0"),
            ("METRICS_NAMESPACE", "AWS/Lambda"),
            ("IDEMPOTENCY_TABLE", "table-7"),
            ("LOG_LEVEL", "loud"),
            ("DEAD_LETTER", "sqs:https://queue-7"),
            ("KAFKA_AUTH", "none"),
            ("KAFKA_BOOTSTRAP_SERVERS", "b-1:9092"),
        ])
        .unwrap_err();
        assert_eq!(problems.len(), 7, "{problems:?}");
        for (problem, name) in problems.iter().zip([
            "REPORT_BATCH_ITEM_FAILURES",
            "ORDERING",
            "CONCURRENCY",
            "METRICS_NAMESPACE",
            "IDEMPOTENCY_TABLE",
            "LOG_LEVEL",
            "DEAD_LETTER",
        ]) {
            assert!(problem.starts_with(name), "{name}: {problem}");
            assert!(!["yes", "random", "table-7", "loud", "queue-7"].iter().any(|v| problem.contains(v)), "{problem}");
        }
    }

    #[cfg(feature = "dead-letter-kafka")]
    #[test]
    fn a_kafka_dead_letter_needs_the_brokers_and_nothing_else_does() {
        let problems = read(&[("DEAD_LETTER", "kafka:{topic}.dlq"), ("KAFKA_AUTH", "none")]).unwrap_err();
        assert!(problems.iter().any(|problem| problem.starts_with("KAFKA_BOOTSTRAP_SERVERS")), "{problems:?}");
        // A wrong topic hides none of them.
        let problems = read(&[("DEAD_LETTER", "dlq"), ("KAFKA_AUTH", "maybe")]).unwrap_err();
        for name in ["DEAD_LETTER", "KAFKA_AUTH", "KAFKA_BOOTSTRAP_SERVERS"] {
            assert!(problems.iter().any(|problem| problem.starts_with(name)), "{name}: {problems:?}");
        }
        let config = read(&[
            ("DEAD_LETTER", "kafka:{topic}.dlq"),
            ("KAFKA_AUTH", "none"),
            ("KAFKA_BOOTSTRAP_SERVERS", "b-1:9092"),
        ])
        .unwrap();
        let dead_letter = config.dead_letter.unwrap();
        assert_eq!(dead_letter.topic.topic_for("orders").unwrap().as_str(), "orders.dlq");
        assert_eq!(dead_letter.kafka.bootstrap_servers, "b-1:9092");
    }

    #[cfg(not(feature = "dead-letter-kafka"))]
    #[test]
    fn a_build_without_it_refuses_a_kafka_dead_letter() {
        let problems = read(&[("DEAD_LETTER", "kafka:dead")]).unwrap_err();
        assert!(problems[0].contains("dead-letter-kafka"), "{problems:?}");
    }
}
