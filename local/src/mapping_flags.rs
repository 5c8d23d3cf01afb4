//! The flags of a mapping, and the document that a file and flags make together.

#![expect(clippy::doc_markdown, reason = "these comments are the help text, which shows every word as written")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use msk_local::esm::config_file::Wanted;
use msk_local::esm::document::{MappingDocument, ProvisionedPollerConfig};
use msk_local::esm::iam;
use msk_local::esm::moment::Moment;
use serde_json::{Map, Value};

use crate::chaos_flags::ChaosFlags;
use crate::{aws_value, input};

/// The members of the mapping that have a flag, named as in the AWS command line.
#[derive(Debug, Args)]
pub(crate) struct MappingFlags {
    /// Name of the function, or its ARN; not needed with an invoke URL of its own.
    #[arg(long, visible_alias = "function", value_name = "NAME")]
    function_name: Option<String>,
    /// Invoke endpoint; `{FunctionName}` stands for the function's name
    /// [default: http://127.0.0.1:9000/2015-03-31/functions/{FunctionName}/invocations, as served by `cargo lambda watch`].
    #[arg(long, value_name = "URL")]
    pub(crate) invoke_url: Option<String>,
    /// File with the certificates of the authorities to trust, in PEM, for an invoke URL with https:// [default: the system's].
    #[arg(long = "ca", value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Requests in flight at once, as AWS's reserved concurrency bounds them; one that timed out counts until the function has ended
    /// [default: 1 for AWS's runtime interface emulator (.../functions/function/invocations), else 5 for each poller].
    #[arg(long, value_name = "N")]
    max_concurrency: Option<i64>,
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
    /// Where AT_TIMESTAMP starts: seconds since 1970, or an ISO 8601 date.
    #[arg(long, value_name = "TIME")]
    starting_position_timestamp: Option<Moment>,
    /// Consumer group [default: msk-local.FUNCTION.TOPIC].
    #[arg(long, value_name = "GROUP")]
    consumer_group_id: Option<String>,
    /// Brokers that are not Amazon MSK, as in AWS's command line: Endpoints={KAFKA_BOOTSTRAP_SERVERS=["HOST:PORT"]}.
    #[arg(long, value_name = "JSON|SHORTHAND", value_parser = aws_value::block)]
    self_managed_event_source: Option<Value>,
    /// How the mapping signs in, as in AWS's command line: Type=SASL_SCRAM_512_AUTH,URI=ARN, or a list in JSON; repeatable.
    #[arg(long, value_name = "JSON|SHORTHAND", value_parser = aws_value::list)]
    source_access_configurations: Vec<Value>,
    /// File with the secret of one of them or of the schema registry's AccessConfigs, as AWS Secrets Manager holds it, by its type or
    /// URI; repeatable.
    #[arg(long = "secret", value_name = "TYPE=FILE", value_parser = name_and_value)]
    secrets: Vec<(String, String)>,
    /// ARN of the cluster, as the events name it.
    #[arg(long, value_name = "ARN")]
    event_source_arn: Option<String>,
    /// Which records the function gets, as in AWS's command line: {"Filters":[{"Pattern":"..."}]}, or Filters=[{Pattern='...'}].
    #[arg(long, value_name = "JSON|SHORTHAND", value_parser = aws_value::block)]
    filter_criteria: Option<Value>,
    /// `ReportBatchItemFailures`: the function's response names the failed records.
    #[arg(long, value_name = "TYPE", value_delimiter = ',')]
    function_response_types: Option<Vec<String>>,
    /// Short for `--function-response-types ReportBatchItemFailures`.
    #[arg(long)]
    report_batch_item_failures: bool,
    /// As in AWS's command line: ConsumerGroupId=GROUP, SchemaRegistryConfig={...}.
    #[arg(long, value_name = "JSON|SHORTHAND", value_parser = aws_value::block)]
    amazon_managed_kafka_event_source_config: Option<Value>,
    /// The same for brokers that are not Amazon MSK.
    #[arg(long, value_name = "JSON|SHORTHAND", value_parser = aws_value::block)]
    self_managed_kafka_event_source_config: Option<Value>,
    /// Schema registry of this machine, in place of the mapping's: http://127.0.0.1:8081.
    #[arg(long, value_name = "URL")]
    schema_registry_url: Option<String>,
    /// Retries after the first invocation, -1 to 10000 [default: -1, no limit].
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    maximum_retry_attempts: Option<i64>,
    /// Give up records older than this many seconds, -1 or 60 to 604800 [default: -1, never].
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    maximum_record_age_in_seconds: Option<i64>,
    /// Split a failed batch in two.
    #[arg(long, overrides_with = "no_bisect_batch_on_function_error")]
    bisect_batch_on_function_error: bool,
    /// Do not, whatever the file says.
    #[arg(long)]
    no_bisect_batch_on_function_error: bool,
    /// As in AWS's command line: OnFailure={Destination=kafka://TOPIC}.
    #[arg(long, value_name = "JSON|SHORTHAND", value_parser = aws_value::block)]
    destination_config: Option<Value>,
    /// Where records go when they are given up: kafka://TOPIC, or the ARN of a queue, topic or bucket (files, see --destination-folder).
    #[arg(long, value_name = "DESTINATION")]
    on_failure_destination: Option<String>,
    /// Folder for what AWS would send to an ARN.
    #[arg(long, value_name = "FOLDER")]
    destination_folder: Option<PathBuf>,
    /// As in AWS's command line: MinimumPollers=1,MaximumPollers=2.
    #[arg(long, value_name = "JSON|SHORTHAND", value_parser = aws_value::block)]
    provisioned_poller_config: Option<Value>,
    /// Provisioned mode with this many pollers.
    #[arg(long, value_name = "N")]
    minimum_pollers: Option<i64>,
    /// Longest invocation in seconds, up to 840 (more with --lenient), from the first one on [default: 60].
    #[arg(long, value_name = "SECONDS")]
    function_timeout: Option<f64>,
    /// Longest invocation until the endpoint has answered once, in seconds: `cargo lambda watch` builds the function on the
    /// first one [default: --function-timeout].
    #[arg(long, value_name = "SECONDS")]
    first_invocation_timeout: Option<f64>,
    /// Seconds the endpoint may be unreachable before its first response; then `drain` gives up [default: 60].
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
    /// Sign in with MSK IAM, as AWS's mapping does: with the region and the credentials in AWS_REGION, AWS_ACCESS_KEY_ID,
    /// AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or those of AWS_CONTAINER_CREDENTIALS_FULL_URI.
    #[arg(long, value_name = "MECHANISM")]
    auth: Option<Auth>,
    /// A librdkafka property, for clusters that need more than an address; repeatable.
    #[arg(long = "kafka-option", value_name = "NAME=VALUE", value_parser = name_and_value)]
    kafka_options: Vec<(String, String)>,
    /// Serve the metrics for Prometheus on this port of 127.0.0.1, at /metrics; 0 is any free port, which is then printed.
    #[arg(long, value_name = "PORT")]
    metrics_port: Option<i64>,
    /// Write AWS's system log of the mapping to the end of this file, or to standard output (-): JSON lines at the level of its
    /// LoggingConfig, without one at DEBUG [default: to standard error if the mapping has a LoggingConfig].
    #[arg(long, value_name = "FILE|-")]
    system_log: Option<PathBuf>,
    /// Print a line for every record that needs no further delivery.
    #[arg(long)]
    pub(crate) records: bool,
    #[command(flatten)]
    chaos: ChaosFlags,
}

/// How to sign in without a secret of one's own.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Auth {
    Iam,
}

impl Auth {
    /// Adds what this stands for, where the options say nothing else.
    pub(crate) fn add_options(auth: Option<Self>, options: &mut BTreeMap<String, String>) {
        if let Some(Self::Iam) = auth {
            for (name, value) in iam::OPTIONS {
                options.entry(name.to_owned()).or_insert_with(|| value.to_owned());
            }
        }
    }
}

/// `NAME=VALUE`.
pub(crate) fn name_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write it as NAME=VALUE, for example security.protocol=SSL".to_owned()),
    }
}

impl MappingFlags {
    /// The configuration file, if there is one, with the flags applied.
    pub(crate) fn document(&self, config: Option<&Path>, topic: Option<&str>) -> Result<MappingDocument> {
        let blocks = [
            ("AmazonManagedKafkaEventSourceConfig", &self.amazon_managed_kafka_event_source_config),
            ("DestinationConfig", &self.destination_config),
            ("FilterCriteria", &self.filter_criteria),
            ("ProvisionedPollerConfig", &self.provisioned_poller_config),
            ("SelfManagedEventSource", &self.self_managed_event_source),
            ("SelfManagedKafkaEventSourceConfig", &self.self_managed_kafka_event_source_config),
        ];
        let blocks = blocks.into_iter().filter_map(|(member, block)| Some((member.to_owned(), block.clone()?)));
        let blocks: Map<String, Value> = blocks.collect();
        let mut document = match config {
            Some(path) => {
                let wanted = Wanted { topic, function: self.function_name.as_deref() };
                let text = String::from_utf8(input::read(path)?).with_context(|| path.display().to_string())?;
                MappingDocument::read(&text, &path.display().to_string(), wanted, blocks)?
            }
            None => {
                let mut document = MappingDocument::from_object(blocks);
                // AWS has no default; flags alone are for trying things out, and that starts with what is there.
                document.starting_position = Some("TRIM_HORIZON".to_owned());
                document
            }
        };
        if let Some(topic) = topic {
            document.topics = Some(vec![topic.to_owned()]);
        }
        self.override_in(&mut document);
        Ok(document)
    }

    /// Applies the flags that were given to the document.
    fn override_in(&self, document: &mut MappingDocument) {
        replace(&mut document.function_name, &self.function_name);
        replace(&mut document.event_source_arn, &self.event_source_arn);
        replace(&mut document.function_response_types, &self.function_response_types);
        replace(&mut document.batch_size, &self.batch_size);
        replace(&mut document.maximum_batching_window_in_seconds, &self.maximum_batching_window_in_seconds);
        replace(&mut document.starting_position, &self.starting_position);
        replace(&mut document.starting_position_timestamp, &self.starting_position_timestamp);
        replace(&mut document.maximum_retry_attempts, &self.maximum_retry_attempts);
        replace(&mut document.maximum_record_age_in_seconds, &self.maximum_record_age_in_seconds);
        if !self.source_access_configurations.is_empty() {
            let lists = self.source_access_configurations.iter().filter_map(Value::as_array);
            document.replace_source_access(lists.flatten().cloned().collect());
        }
        if self.report_batch_item_failures {
            document.function_response_types = Some(vec!["ReportBatchItemFailures".to_owned()]);
        }
        if self.bisect_batch_on_function_error || self.no_bisect_batch_on_function_error {
            document.bisect_batch_on_function_error = Some(self.bisect_batch_on_function_error);
        }
        if let Some(group) = &self.consumer_group_id {
            document.kafka_source_mut().consumer_group_id = Some(group.clone());
        }
        if let Some(destination) = &self.on_failure_destination {
            document.destination_config.get_or_insert_default().on_failure = Some(destination.clone());
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
        replace(&mut local.ca_file, &self.ca_file);
        replace(&mut local.bootstrap_servers, &self.bootstrap_servers);
        replace(&mut local.schema_registry_url, &self.schema_registry_url);
        replace(&mut local.max_concurrency, &self.max_concurrency);
        replace(&mut local.function_timeout_seconds, &self.function_timeout);
        replace(&mut local.first_invocation_timeout_seconds, &self.first_invocation_timeout);
        replace(&mut local.startup_grace_seconds, &self.startup_grace);
        replace(&mut local.retry_backoff_seconds, &self.retry_backoff);
        replace(&mut local.max_retry_backoff_seconds, &self.max_retry_backoff);
        replace(&mut local.destination_folder, &self.destination_folder);
        replace(&mut local.partial_batch_semantics, &self.partial_batch_semantics);
        replace(&mut local.metrics_port, &self.metrics_port);
        replace(&mut local.system_log, &self.system_log);
        self.chaos.override_in(&mut local.chaos);
        if self.single_partition_batches {
            local.single_partition_batches = Some(true);
        }
        Auth::add_options(self.auth, &mut local.kafka_options);
        local.kafka_options.extend(self.kafka_options.iter().cloned());
        local.secrets.extend(self.secrets.iter().cloned());
    }
}

fn replace<T: Clone>(member: &mut Option<T>, flag: &Option<T>) {
    if flag.is_some() {
        member.clone_from(flag);
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use msk_local::esm::setting_flags::FLAGS;

    use crate::cli::Cli;

    #[test]
    fn every_flag_that_an_error_names_is_one() {
        let mut cli = Cli::command();
        let run = cli.find_subcommand_mut("esm").unwrap().find_subcommand_mut("run").unwrap();
        let known: Vec<String> = run.get_arguments().filter_map(|arg| Some(format!("--{}", arg.get_long()?))).collect();
        for (member, flag) in FLAGS {
            assert!(known.iter().any(|known| known == flag), "{member}: {flag} is none of {known:?}");
        }
    }
}
