//! The command line, and its conversion to a mapping.

#![expect(clippy::doc_markdown, reason = "these comments are the help text, which shows every word as written")]

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use msk_local::esm::document::{MappingDocument, OnFailure, ProvisionedPollerConfig};
use msk_local::output::Format;
use msk_shared::topic_spec::TopicSpec;

const EXIT_CODES: &str = "Exit codes: 0 done (or stopped with Ctrl-C while running), 1 error, 2 wrong usage, \
3 `drain` reached its deadline, 4 `drain` gave up records (dropped, or sent to the destination), 5 `drain` never reached the function, 130 `drain` was interrupted.";

/// A laptop-sized MSK: embedded brokers and AWS's event source mapping.
#[derive(Debug, Parser)]
#[command(name = "msk-local", version, after_help = EXIT_CODES, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// How results are printed on standard output: text, or one JSON object per line.
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    /// Log to standard error what the emulator does; RUST_LOG selects more.
    #[arg(long, short, global = true)]
    pub(crate) verbose: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run three embedded brokers until Ctrl-C.
    Brokers(BrokersArgs),
    /// Run brokers and one event source mapping per topic, in one process, until Ctrl-C.
    Up(Box<UpArgs>),
    /// The event source mapping of one topic.
    #[command(subcommand)]
    Esm(EsmCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum EsmCommand {
    /// Poll the topic and invoke the function until Ctrl-C.
    Run(Box<MappingArgs>),
    /// Deliver all records of the topic, then stop; the exit code tells the result.
    Drain(Box<DrainArgs>),
    /// Check a configuration against AWS's ranges and mode rules.
    Validate(Box<MappingArgs>),
    /// Check a function's response to an event against AWS's rules.
    CheckResponse(CheckResponseArgs),
}

#[derive(Debug, Args)]
pub(crate) struct BrokersArgs {
    /// Topics to create, `NAME` or `NAME:PARTITIONS`, comma separated; `:compact` behind one that is compacted.
    #[arg(long, value_delimiter = ',', value_name = "TOPICS")]
    pub(crate) topics: Vec<TopicSpec>,
}

#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// Topics to create and deliver, `NAME` or `NAME:PARTITIONS`, comma separated; `:compact` behind one that is compacted.
    #[arg(long, value_delimiter = ',', value_name = "TOPICS", required = true)]
    pub(crate) topics: Vec<TopicSpec>,
    /// Topics to create only, for example for dead letters.
    #[arg(long, value_delimiter = ',', value_name = "TOPICS")]
    pub(crate) other_topics: Vec<TopicSpec>,
    #[command(flatten)]
    pub(crate) mapping: MappingFlags,
}

#[derive(Debug, Args)]
pub(crate) struct MappingArgs {
    /// The mapping as JSON: the members of AWS's CreateEventSourceMapping, or the output of
    /// `aws lambda get-event-source-mapping`, plus a block `Local`. The flags below override it.
    pub(crate) config: Option<PathBuf>,
    /// The topic to poll.
    #[arg(long)]
    pub(crate) topic: Option<String>,
    /// Only warn about settings that AWS would reject.
    #[arg(long)]
    pub(crate) lenient: bool,
    #[command(flatten)]
    pub(crate) flags: MappingFlags,
}

#[derive(Debug, Args)]
pub(crate) struct DrainArgs {
    #[command(flatten)]
    pub(crate) mapping: MappingArgs,
    /// Stop once this many records are committed.
    #[arg(long, value_name = "N")]
    pub(crate) max_records: Option<u64>,
    /// Stop after this many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 300.0)]
    pub(crate) deadline: f64,
}

#[derive(Debug, Args)]
pub(crate) struct CheckResponseArgs {
    /// File with the function's response; `-` reads standard input.
    pub(crate) response: PathBuf,
    /// File with the event that the function was sent.
    #[arg(long)]
    pub(crate) event: PathBuf,
}

/// The members of the mapping that have a flag, named as in the AWS command line.
#[derive(Debug, Args)]
pub(crate) struct MappingFlags {
    /// Name of the function, or its ARN.
    #[arg(long, alias = "function-name")]
    function: Option<String>,
    /// Invoke endpoint; `{FunctionName}` stands for the function's name
    /// [default: http://127.0.0.1:9000/2015-03-31/functions/{FunctionName}/invocations, as served by `cargo lambda watch`].
    #[arg(long, value_name = "URL")]
    invoke_url: Option<String>,
    /// Brokers, `HOST:PORT,...`.
    #[arg(long)]
    pub(crate) bootstrap_servers: Option<String>,
    /// Maximum number of records in a batch, 1 to 10000 [default: 100].
    #[arg(long, value_name = "N")]
    batch_size: Option<i64>,
    /// Seconds to wait for a batch to fill, 0 to 300 [default: half a second].
    #[arg(long, value_name = "SECONDS")]
    maximum_batching_window_in_seconds: Option<i64>,
    /// Where to start without a committed offset: TRIM_HORIZON (default), LATEST or AT_TIMESTAMP.
    #[arg(long, value_name = "POSITION")]
    starting_position: Option<String>,
    /// Seconds since 1970, for AT_TIMESTAMP.
    #[arg(long, value_name = "SECONDS")]
    starting_position_timestamp: Option<f64>,
    /// Consumer group [default: msk-local.FUNCTION.TOPIC].
    #[arg(long, value_name = "GROUP")]
    consumer_group_id: Option<String>,
    /// The function's response names the failed records (FunctionResponseTypes).
    #[arg(long)]
    report_batch_item_failures: bool,
    /// Retries after the first invocation, -1 to 10000 [default: -1, no limit].
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    maximum_retry_attempts: Option<i64>,
    /// Give up records older than this many seconds, -1 or 60 to 604800 [default: -1, never].
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    maximum_record_age_in_seconds: Option<i64>,
    /// Split a failed batch in two.
    #[arg(long)]
    bisect_batch_on_function_error: bool,
    /// Where records go when they are given up: kafka://TOPIC, or the ARN of a queue, topic or bucket (files, see --destination-folder).
    #[arg(long, value_name = "DESTINATION")]
    on_failure_destination: Option<String>,
    /// Folder for what AWS would send to an ARN.
    #[arg(long, value_name = "FOLDER")]
    destination_folder: Option<PathBuf>,
    /// Provisioned mode with this many pollers.
    #[arg(long, value_name = "N")]
    minimum_pollers: Option<i64>,
    /// Longest invocation in seconds, up to 840 [default: 60].
    #[arg(long, value_name = "SECONDS")]
    function_timeout: Option<f64>,
    /// Seconds the function may take to build, start and give its first response [default: 300].
    #[arg(long, value_name = "SECONDS")]
    startup_grace: Option<f64>,
    /// Seconds before the first retry; the pause doubles with each further one [default: 1].
    #[arg(long, value_name = "SECONDS")]
    retry_backoff: Option<f64>,
    /// Longest pause before a retry, in seconds [default: 30].
    #[arg(long, value_name = "SECONDS")]
    max_retry_backoff: Option<f64>,
    /// `items` redelivers the named records (as AWS documents for Kafka), `checkpoint` everything from the first of them on.
    #[arg(long, value_name = "SEMANTICS")]
    partial_batch_semantics: Option<String>,
    /// Never put records of different partitions into one event.
    #[arg(long)]
    single_partition_batches: bool,
    /// A librdkafka property, for clusters that need more than an address; repeatable.
    #[arg(long = "kafka-option", value_name = "NAME=VALUE", value_parser = name_and_value)]
    kafka_options: Vec<(String, String)>,
    /// Print a line for every record that needs no further delivery.
    #[arg(long)]
    pub(crate) records: bool,
}

fn name_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write it as NAME=VALUE, for example security.protocol=SSL".to_owned()),
    }
}

impl MappingArgs {
    /// The configuration file, with the flags applied.
    pub(crate) fn document(&self) -> Result<MappingDocument> {
        let mut document = MappingDocument::default();
        if let Some(path) = &self.config {
            let origin = path.display().to_string();
            let text = std::fs::read_to_string(path).with_context(|| origin.clone())?;
            document = MappingDocument::from_json(&text, &origin)?;
        }
        if let Some(topic) = &self.topic {
            document.topics = Some(vec![topic.clone()]);
        }
        self.flags.override_in(&mut document);
        Ok(document)
    }
}

impl MappingFlags {
    /// Applies the flags that were given to the document.
    pub(crate) fn override_in(&self, document: &mut MappingDocument) {
        replace(&mut document.function_name, &self.function);
        replace(&mut document.batch_size, &self.batch_size);
        replace(&mut document.maximum_batching_window_in_seconds, &self.maximum_batching_window_in_seconds);
        replace(&mut document.starting_position, &self.starting_position);
        replace(&mut document.starting_position_timestamp, &self.starting_position_timestamp);
        replace(&mut document.maximum_retry_attempts, &self.maximum_retry_attempts);
        replace(&mut document.maximum_record_age_in_seconds, &self.maximum_record_age_in_seconds);
        if self.report_batch_item_failures {
            document.function_response_types = Some(vec!["ReportBatchItemFailures".to_owned()]);
        }
        if self.bisect_batch_on_function_error {
            document.bisect_batch_on_function_error = Some(true);
        }
        if let Some(group) = &self.consumer_group_id {
            let source = document.amazon_managed_kafka_event_source_config.get_or_insert_default();
            source.consumer_group_id = Some(group.clone());
        }
        if let Some(destination) = &self.on_failure_destination {
            document.destination_config.get_or_insert_default().on_failure =
                Some(OnFailure { destination: Some(destination.clone()) });
        }
        if let Some(pollers) = self.minimum_pollers {
            let config = document.provisioned_poller_config.get_or_insert_with(ProvisionedPollerConfig::default);
            config.minimum_pollers = Some(pollers);
        }
        self.override_in_local(document);
    }

    fn override_in_local(&self, document: &mut MappingDocument) {
        let local = &mut document.local;
        replace(&mut local.invoke_url, &self.invoke_url);
        replace(&mut local.bootstrap_servers, &self.bootstrap_servers);
        replace(&mut local.function_timeout_seconds, &self.function_timeout);
        replace(&mut local.startup_grace_seconds, &self.startup_grace);
        replace(&mut local.retry_backoff_seconds, &self.retry_backoff);
        replace(&mut local.max_retry_backoff_seconds, &self.max_retry_backoff);
        replace(&mut local.destination_folder, &self.destination_folder);
        replace(&mut local.partial_batch_semantics, &self.partial_batch_semantics);
        if self.single_partition_batches {
            local.single_partition_batches = Some(true);
        }
        local.kafka_options.extend(self.kafka_options.iter().cloned());
    }
}

fn replace<T: Clone>(member: &mut Option<T>, flag: &Option<T>) {
    if flag.is_some() {
        member.clone_from(flag);
    }
}
