//! The command line of `cargo xtask up`.

use std::time::UNIX_EPOCH;

use anyhow::{Result, bail, ensure};

use super::mapping_file::{FileMapping, MappingFile};
use super::topics;
use crate::needs;

const DEFAULT_TOPICS: [&str; 3] = ["orders", "payments", "audit"];
const DEFAULT_CONSUMER: &str = "consumer";
/// `cargo lambda watch` starts all functions with one environment. A function that names failures to a mapping that does not listen
/// would lose records.
const ONE_SETTING: &str =
    ": all functions share one REPORT_BATCH_ITEM_FAILURES here, so make the files alike, or run the consumer alone";

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
    /// From the first record on, the embedded brokers make faults: one crashes and comes back, leaders move, answers are lost after
    /// the records were written, answers come late. A line tells of each.
    #[arg(long, conflicts_with = "bootstrap_servers")]
    pub(super) chaos: bool,
    /// Makes the faults of the run that printed this number, as far as they do not depend on time.
    #[arg(long, value_name = "N", requires = "chaos")]
    pub(super) seed: Option<u64>,
    /// Topics to serve, `NAME` or `NAME:PARTITIONS`; the first is the default one. `:compact` behind one makes it compacted
    /// (embedded brokers do not compact), and its records need a key [default: orders,payments,audit, or what --config reads].
    #[arg(long, value_name = "TOPIC,...", value_delimiter = ',', value_parser = topics::parse)]
    pub(super) topics: Vec<String>,
    /// Consumers to run, each with every topic and a consumer group of its own. `cargo xtask new-consumer` makes further ones
    /// [default: consumer, or those of --config].
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub(super) consumers: Vec<String>,
    /// File with the event source mapping of a consumer, in any form that `msk-local esm run` reads; the consumer gets the topic of
    /// the file, and only that. The file's function is the consumer, or the one that is written before it; repeatable.
    #[arg(long, value_name = "[CONSUMER=]FILE", value_parser = MappingFile::parse)]
    pub(super) config: Vec<MappingFile>,
    /// What the files say, once `msk-local` has read them.
    #[arg(skip)]
    pub(super) mappings: Vec<FileMapping>,
    /// With `--bootstrap-servers`: a librdkafka property for the event source mapping, if your cluster needs more
    /// than an address; repeatable.
    #[arg(long, value_name = "NAME=VALUE", requires = "bootstrap_servers")]
    pub(super) kafka_option: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ClusterKind {
    /// Three brokers in one process: in memory, which keeps the newest 64 MiB of records; ready within a second.
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
    /// When the brokers cannot do what is asked of them, or a file is not there.
    pub(super) fn check(&self) -> Result<()> {
        ensure!(
            self.auth == Auth::None || self.kafka == ClusterKind::Real,
            "--auth iam needs --kafka real: the embedded brokers verify no tokens"
        );
        ensure!(
            !self.chaos || self.kafka == ClusterKind::Embedded,
            "--chaos makes faults of the embedded brokers: leave --kafka real out, or kill those brokers by their process ids"
        );
        self.config.iter().try_for_each(MappingFile::check)
    }

    /// With the topics and consumers to run, each once; `mappings` is what the files of `--config` say.
    ///
    /// # Errors
    /// When a consumer does not exist, or a file contradicts another one or the command line.
    pub(super) fn resolved(&self, existing: &[String], mappings: Vec<FileMapping>) -> Result<Self> {
        self.check_files(existing, &mappings)?;
        let or_else = |given: &[String], other: Vec<String>| if given.is_empty() { other } else { given.to_vec() };
        let mut consumers: Vec<_> = mappings.iter().map(|mapping| mapping.consumer.clone()).collect();
        if consumers.is_empty() {
            consumers.push(DEFAULT_CONSUMER.to_owned());
        }
        let consumers = distinct_consumers(&or_else(&self.consumers, consumers), existing)?;
        let resolved = Self { consumers, mappings, ..self.clone() };
        let others = resolved.consumers_of_all_topics();
        let silent = resolved.mappings.iter().find(|mapping| !mapping.reports);
        if let (Some(silent), Some(other)) = (silent, others.first()) {
            let path = silent.path.display();
            bail!("{path} has no ReportBatchItemFailures, and the mappings of `{other}` have{ONE_SETTING}");
        }
        let defaults = DEFAULT_TOPICS.into_iter().filter(|_| !others.is_empty()).map(str::to_owned);
        let topics = defaults.chain(resolved.mappings.iter().map(|mapping| mapping.topic.clone())).collect();
        Ok(Self { topics: topics::distinct(&or_else(&self.topics, topics))?, ..resolved })
    }

    fn check_files(&self, existing: &[String], mappings: &[FileMapping]) -> Result<()> {
        for (index, FileMapping { path, consumer, topic, reports, .. }) in mappings.iter().enumerate() {
            let path = path.display();
            ensure!(
                existing.contains(consumer),
                "{path} invokes `{consumer}`, and functions/ has no such consumer, but {}: say whose mapping it is with \
                 --config CONSUMER={path}",
                existing.join(", ")
            );
            ensure!(
                self.consumers.is_empty() || self.consumers.contains(consumer),
                "{path} is a mapping of `{consumer}`, which --consumers leaves out: add it there, or leave --consumers out"
            );
            ensure!(
                self.topics.is_empty() || self.topics.iter().any(|other| topics::name(other) == topic),
                "{path} reads the topic `{topic}`, which --topics leaves out: add it there, or leave --topics out"
            );
            for other in &mappings[..index] {
                let its_path = other.path.display();
                ensure!(
                    (&other.consumer, &other.topic) != (consumer, topic),
                    "{path} and {its_path} both are the mapping of `{topic}` to `{consumer}`: leave one out"
                );
                ensure!(
                    other.reports == *reports,
                    "{path} and {its_path} differ in ReportBatchItemFailures{ONE_SETTING}"
                );
            }
        }
        Ok(())
    }

    /// The consumers without a file, whose mappings are those that `infra/` configures.
    pub(super) fn consumers_of_all_topics(&self) -> Vec<&str> {
        let has_file = |name: &str| self.mappings.iter().any(|mapping| mapping.consumer == name);
        self.consumers.iter().map(String::as_str).filter(|name| !has_file(name)).collect()
    }

    /// Whether the mappings listen to the failures that a function's response names.
    pub(super) fn reports_batch_item_failures(&self) -> bool {
        self.mappings.first().is_none_or(|mapping| mapping.reports)
    }

    /// Topics that are created, and not served: of dead letters, and where the mappings of files send what they give up.
    pub(super) fn other_topics(&self) -> String {
        let mut other = topics::dead_letters(&self.topics);
        for topic in self.mappings.iter().filter_map(|mapping| mapping.destination.as_deref()) {
            let created = self.topics.iter().map(String::as_str).chain(other.split(',')).map(topics::name);
            if created.into_iter().all(|other| other != topic) {
                other = [other, format!("{topic}:1")].join(",");
            }
        }
        other
    }

    /// What the faults depend on, if there shall be any.
    pub(super) fn chaos_seed(&self) -> Option<u64> {
        // Few digits, to be typed.
        let any = || UNIX_EPOCH.elapsed().map_or(1, |elapsed| elapsed.subsec_micros().into());
        self.chaos.then(|| self.seed.unwrap_or_else(any))
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

/// Each consumer once, and only those that the workspace has.
///
/// # Errors
/// When a consumer does not exist; the text names those that do.
fn distinct_consumers(consumers: &[String], existing: &[String]) -> Result<Vec<String>> {
    let mut distinct = Vec::new();
    for name in consumers {
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

    fn resolved(arguments: &[&str], mappings: &[(&str, &str, bool)]) -> Result<Options, String> {
        let existing = ["consumer", "payments"].map(str::to_owned);
        let mapping = |(consumer, topic, reports): &(&str, &str, bool)| FileMapping {
            path: format!("{consumer}.json").into(),
            consumer: (*consumer).to_owned(),
            topic: (*topic).to_owned(),
            reports: *reports,
            destination: Some("dead".to_owned()),
        };
        let options = CommandLine::parse_from([&["up"], arguments].concat()).options;
        options.resolved(&existing, mappings.iter().map(mapping).collect()).map_err(|error| error.to_string())
    }

    #[test]
    fn chaos_has_a_seed_and_is_the_embedded_brokers_own() {
        let options =
            |arguments: &[&str]| CommandLine::try_parse_from([&["up"], arguments].concat()).map(|line| line.options);
        assert_eq!(options(&[]).unwrap().chaos_seed(), None);
        assert!(options(&["--chaos"]).unwrap().chaos_seed().is_some());
        assert_eq!(options(&["--chaos", "--seed", "7"]).unwrap().chaos_seed(), Some(7));
        assert!(
            options(&["--seed", "7"]).is_err() && options(&["--chaos", "--bootstrap-servers", "127.0.0.1:1"]).is_err()
        );
        let error = options(&["--chaos", "--kafka", "real"]).unwrap().check().unwrap_err().to_string();
        assert!(error.contains("leave --kafka real out"), "{error}");
    }

    #[test]
    fn consumers_are_those_that_exist_each_once() {
        assert_eq!(resolved(&[], &[]).unwrap().consumers, ["consumer"]);
        let chosen = resolved(&["--consumers", "payments,consumer,payments"], &[]).unwrap();
        assert_eq!(chosen.consumers, ["payments", "consumer"]);
        assert_eq!(chosen.topics, DEFAULT_TOPICS);
        for unknown in ["producer", "audit", ""] {
            let error = resolved(&["--consumers", &format!("consumer,{unknown}")], &[]).unwrap_err();
            assert!(
                error.contains(&format!("no consumer `{unknown}` in functions/: use consumer, payments,")),
                "{error}"
            );
        }
    }

    #[test]
    fn a_file_says_which_topic_its_consumer_reads() {
        let alone = resolved(&[], &[("payments", "paid", false)]).unwrap();
        assert_eq!(
            (alone.topics.clone(), alone.consumers.clone()),
            (vec!["paid".to_owned()], vec!["payments".to_owned()])
        );
        assert!(alone.consumers_of_all_topics().is_empty() && !alone.reports_batch_item_failures());
        let beside = resolved(&["--consumers", "consumer,payments"], &[("payments", "paid", true)]).unwrap();
        assert_eq!(beside.topics, ["orders", "payments", "audit", "paid"]);
        assert_eq!((beside.consumers_of_all_topics(), beside.reports_batch_item_failures()), (vec!["consumer"], true));
        let two = resolved(&["--topics", "paid:6,b"], &[("payments", "paid", true), ("payments", "b", true)]).unwrap();
        assert_eq!((two.topics.len(), two.consumers.len()), (2, 1));
        assert_eq!(two.other_topics(), "paid.dlq:1,b.dlq:1,dead:1");
    }

    #[test]
    fn a_file_that_contradicts_the_rest_is_refused() {
        let refused = |arguments: &[&str], mappings: &[(&str, &str, bool)]| resolved(arguments, mappings).unwrap_err();
        let unknown = refused(&[], &[("shop-consumer", "orders", true)]);
        assert!(
            unknown.contains("`shop-consumer`, and functions/ has no such consumer, but consumer, payments"),
            "{unknown}"
        );
        let file = ("payments", "paid", true);
        assert!(refused(&["--consumers", "consumer"], &[file]).contains("`payments`, which --consumers leaves out"));
        assert!(refused(&["--topics", "orders"], &[file]).contains("`paid`, which --topics leaves out"));
        assert!(refused(&[], &[file, file]).contains("both are the mapping of `paid` to `payments`"));
        assert!(refused(&[], &[file, ("consumer", "paid", false)]).contains("differ in ReportBatchItemFailures"));
        let beside = refused(&["--consumers", "consumer,payments"], &[("payments", "paid", false)]);
        assert!(
            beside.contains("payments.json has no ReportBatchItemFailures, and the mappings of `consumer`"),
            "{beside}"
        );
    }

    #[test]
    fn a_file_may_be_given_to_a_consumer() {
        let file = std::env::temp_dir().join("no=such.json");
        let path = file.display().to_string();
        assert_eq!(MappingFile::parse(&path).unwrap(), MappingFile { consumer: None, path: file.clone() });
        let given = MappingFile::parse(&format!("payments={path}")).unwrap();
        assert_eq!(given, MappingFile { consumer: Some("payments".to_owned()), path: file });
        assert!(MappingFile::parse("payments=").is_err());
        let options = CommandLine::parse_from(["up", "--config", &path]).options;
        assert!(options.check().unwrap_err().to_string().contains("there is no file"));
    }
}
