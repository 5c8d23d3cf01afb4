//! AWS's ranges and mode rules, one method for each member; all problems are collected and reported together.
//!
//! Ranges: <https://docs.aws.amazon.com/lambda/latest/dg/services-msk-parameters.html>; what requires provisioned mode:
//! <https://docs.aws.amazon.com/lambda/latest/dg/kafka-retry-configurations.html>.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use msk_shared::names::TopicName;

use super::document::MappingDocument;
use super::mapping::{
    Batching, DestinationTarget, FailurePolicy, LocalSettings, Mapping, PartialBatch, RESERVED_KAFKA_OPTIONS,
    StartingPosition,
};

const DEFAULT_ARN: &str =
    "arn:aws:kafka:us-east-1:123456789012:cluster/msk-local/00000000-0000-0000-0000-000000000000-1";
const DEFAULT_INVOKE_URL: &str = "http://127.0.0.1:9000/2015-03-31/functions/{FunctionName}/invocations";
/// AWS waits this long for a batch to fill when no window is set.
const DEFAULT_WINDOW: Duration = Duration::from_millis(500);
/// With a destination, AWS caps endless retries at ten.
const RETRIES_WITH_DESTINATION: u32 = 10;
/// For Kafka, AWS limits the function's timeout to 14 minutes.
const MAX_FUNCTION_TIMEOUT_SECONDS: f64 = 840.0;
const ONE_DAY_SECONDS: f64 = 86_400.0;

/// All problems of a mapping.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct InvalidMapping(Vec<String>);

/// Whether AWS's mode rules are errors or warnings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// What AWS would reject is an error.
    Strict,
    /// What AWS would reject is a warning.
    Lenient,
}

/// Checks a document against AWS's rules and reports every problem together.
///
/// # Errors
/// [`InvalidMapping`] with one line for each problem.
pub fn validate(document: &MappingDocument, strictness: Strictness) -> Result<Mapping, InvalidMapping> {
    let mut found = Validator { document, strictness, errors: Vec::new(), warnings: Vec::new() };
    found.foreign_members();
    found.provisioned_only();
    let function = found.function();
    let topic = found.topic();
    let starting_position = found.starting_position();
    let batching = found.batching();
    let failures = found.failures();
    let destination = found.destination(topic.as_ref());
    let pollers = found.pollers();
    let consumer_group = found.consumer_group(&function, topic.as_ref());
    let local = found.local(&function);
    match topic {
        Some(topic) if found.errors.is_empty() => Ok(Mapping {
            function,
            topic,
            consumer_group,
            event_source_arn: document.event_source_arn.clone().unwrap_or_else(|| DEFAULT_ARN.to_owned()),
            starting_position,
            batching,
            failures,
            destination,
            pollers,
            local,
            warnings: found.warnings,
        }),
        _ => Err(InvalidMapping(found.errors)),
    }
}

struct Validator<'a> {
    document: &'a MappingDocument,
    strictness: Strictness,
    errors: Vec<String>,
    warnings: Vec<String>,
}

impl Validator<'_> {
    fn error(&mut self, text: impl Into<String>) {
        self.errors.push(text.into());
    }

    /// Notes what AWS rejects: an error, or with [`Strictness::Lenient`] a warning.
    fn aws_rejects(&mut self, text: String) {
        match self.strictness {
            Strictness::Strict => self.errors.push(format!("{text} (--lenient makes this a warning)")),
            Strictness::Lenient => self.warnings.push(text),
        }
    }

    fn range(&mut self, member: &str, value: Option<i64>, default: i64, range: RangeInclusive<i64>) -> i64 {
        self.in_range(member, value, default, &range, "")
    }

    fn seconds(&mut self, member: &str, value: Option<f64>, default: f64, range: RangeInclusive<f64>) -> Duration {
        Duration::from_secs_f64(self.in_range(member, value, default, &range, " seconds"))
    }

    fn in_range<T: Copy + Display + PartialOrd>(
        &mut self,
        member: &str,
        value: Option<T>,
        default: T,
        range: &RangeInclusive<T>,
        unit: &str,
    ) -> T {
        let value = value.unwrap_or(default);
        if range.contains(&value) {
            return value;
        }
        let (min, max) = (range.start(), range.end());
        self.error(format!("{member}: {value} is out of range; it must be from {min} to {max}{unit}"));
        default
    }

    /// Members for other event sources, and those that are not emulated.
    fn foreign_members(&mut self) {
        let document = self.document;
        let foreign = [
            ("ParallelizationFactor", &document.parallelization_factor),
            ("TumblingWindowInSeconds", &document.tumbling_window_in_seconds),
            ("ScalingConfig", &document.scaling_config),
            ("Queues", &document.queues),
            ("DocumentDBEventSourceConfig", &document.document_db_event_source_config),
        ];
        for (member, value) in foreign {
            if value.as_ref().is_some_and(is_set) {
                self.error(format!("{member}: not supported for Amazon MSK event sources; remove it"));
            }
        }
        if document.self_managed_event_source.is_some() || document.self_managed_kafka_event_source_config.is_some() {
            self.error("SelfManagedEventSource: only Amazon MSK is emulated; use EventSourceArn");
        }
        if document.filter_criteria.as_ref().is_some_and(|criteria| !criteria.filters.is_empty()) {
            self.error("FilterCriteria: filters are not emulated; remove them (every record is delivered)");
        }
        let schema_registry =
            document.amazon_managed_kafka_event_source_config.as_ref().and_then(|c| c.schema_registry_config.as_ref());
        if schema_registry.is_some_and(is_set) {
            self.error("SchemaRegistryConfig: schema registries are not emulated; remove it");
        }
        if document.destination_config.as_ref().is_some_and(|c| c.on_success.as_ref().is_some_and(is_set)) {
            self.error("DestinationConfig.OnSuccess: not supported for event source mappings; remove it");
        }
        let without_effect = [
            ("MetricsConfig", &document.metrics_config),
            ("LoggingConfig", &document.logging_config),
            ("KMSKeyArn", &document.kms_key_arn),
            ("SourceAccessConfigurations", &document.source_access_configurations),
        ];
        for (member, value) in without_effect {
            if value.as_ref().is_some_and(is_set) {
                self.warnings.push(format!("{member} has no effect on this machine"));
            }
        }
        if document.enabled == Some(false) {
            self.warnings.push("Enabled is false: AWS would not poll, the emulator does".to_owned());
        }
    }

    /// AWS accepts these only with `ProvisionedPollerConfig`.
    fn provisioned_only(&mut self) {
        let document = self.document;
        if document.provisioned_poller_config.is_some() {
            return;
        }
        let kafka_destination = destination(document).is_some_and(|name| name.starts_with("kafka://"));
        let used = [
            ("MaximumRetryAttempts", document.maximum_retry_attempts.is_some_and(|n| n != -1)),
            ("MaximumRecordAgeInSeconds", document.maximum_record_age_in_seconds.is_some_and(|n| n != -1)),
            ("BisectBatchOnFunctionError", document.bisect_batch_on_function_error == Some(true)),
            ("FunctionResponseTypes", document.function_response_types.as_ref().is_some_and(|t| !t.is_empty())),
            ("DestinationConfig.OnFailure to a Kafka topic", kafka_destination),
            ("LoggingConfig", document.logging_config.as_ref().is_some_and(is_set)),
        ];
        let members: Vec<_> = used.iter().filter(|(_, used)| *used).map(|(member, _)| *member).collect();
        if !members.is_empty() {
            self.aws_rejects(format!(
                "{}: needs provisioned mode; add ProvisionedPollerConfig, for example {{\"MinimumPollers\":1}}",
                members.join(", ")
            ));
        }
    }

    fn function(&mut self) -> String {
        let named =
            self.document.function_name.as_deref().or(self.document.function_arn.as_deref()).unwrap_or_default();
        // `arn:aws:lambda:region:account:function:name[:qualifier]`
        let name = match named.split_once(":function:") {
            Some((_, rest)) => rest.split(':').next().unwrap_or_default(),
            None => named,
        };
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if name.is_empty() || name.len() > 64 || !name.chars().all(allowed) {
            self.error("FunctionName: must be the function's name (1 to 64 letters, digits, `-`, `_`) or its ARN");
        }
        name.to_owned()
    }

    fn topic(&mut self) -> Option<TopicName> {
        match self.document.topics.as_deref() {
            Some([name]) => TopicName::parse(name).map_err(|problem| self.error(format!("Topics: {problem}"))).ok(),
            _ => {
                self.error("Topics: exactly one topic is required; create one mapping per topic");
                None
            }
        }
    }

    fn starting_position(&mut self) -> StartingPosition {
        let timestamp = self.document.starting_position_timestamp;
        match (self.document.starting_position.as_deref(), timestamp) {
            (None | Some("TRIM_HORIZON"), None) => StartingPosition::TrimHorizon,
            (Some("LATEST"), None) => StartingPosition::Latest,
            (Some("AT_TIMESTAMP"), Some(seconds)) if (0.0..1e11).contains(&seconds) =>
            {
                #[expect(clippy::cast_possible_truncation, reason = "the range above fits")]
                StartingPosition::AtTimestamp((seconds * 1000.0) as i64)
            }
            (Some("AT_TIMESTAMP"), _) => {
                self.error("StartingPositionTimestamp: required with AT_TIMESTAMP, in seconds since 1970");
                StartingPosition::TrimHorizon
            }
            (_, Some(_)) => {
                self.error("StartingPositionTimestamp: only allowed with StartingPosition AT_TIMESTAMP");
                StartingPosition::TrimHorizon
            }
            (Some(_), None) => {
                self.error("StartingPosition: must be TRIM_HORIZON, LATEST or AT_TIMESTAMP");
                StartingPosition::TrimHorizon
            }
        }
    }

    fn batching(&mut self) -> Batching {
        let document = self.document;
        let size = self.range("BatchSize", document.batch_size, 100, 1..=10_000);
        let window = match document.maximum_batching_window_in_seconds {
            None => DEFAULT_WINDOW,
            given => {
                let seconds = self.range("MaximumBatchingWindowInSeconds", given, 0, 0..=300);
                Duration::from_secs(seconds.unsigned_abs())
            }
        };
        Batching {
            size: usize::try_from(size).unwrap_or(1),
            window,
            single_partition: document.local.single_partition_batches.unwrap_or(false),
        }
    }

    fn failures(&mut self) -> FailurePolicy {
        let document = self.document;
        let retries = self.range("MaximumRetryAttempts", document.maximum_retry_attempts, -1, -1..=10_000);
        let age = document.maximum_record_age_in_seconds.unwrap_or(-1);
        if age != -1 && !(60..=604_800).contains(&age) {
            self.error(format!(
                "MaximumRecordAgeInSeconds: {age} is out of range; it must be -1 (no limit) or from 60 to 604800"
            ));
        }
        let without_limit = destination(document).map(|_| RETRIES_WITH_DESTINATION);
        let (first, longest) = (document.local.retry_backoff_seconds, document.local.max_retry_backoff_seconds);
        FailurePolicy {
            max_retries: u32::try_from(retries).ok().or(without_limit),
            max_record_age: u64::try_from(age).ok().map(Duration::from_secs),
            bisect: document.bisect_batch_on_function_error.unwrap_or(false),
            report_batch_item_failures: self.report_batch_item_failures(),
            backoff: self.seconds("Local.retryBackoffSeconds", first, 1.0, 0.001..=300.0),
            max_backoff: self.seconds("Local.maxRetryBackoffSeconds", longest, 30.0, 0.001..=3600.0),
        }
    }

    fn destination(&mut self, source: Option<&TopicName>) -> Option<DestinationTarget> {
        let destination = destination(self.document)?;
        if let Some(topic) = destination.strip_prefix("kafka://") {
            let parsed = TopicName::parse(topic);
            if let Err(problem) = &parsed {
                self.error(format!("DestinationConfig.OnFailure.Destination: {problem}"));
            }
            let topic = parsed.ok()?;
            if source == Some(&topic) {
                self.error(
                    "DestinationConfig.OnFailure.Destination: must not be the mapping's own topic, because failed records would be \
                     delivered again endlessly; use a different topic",
                );
            }
            return Some(DestinationTarget::Kafka(topic));
        }
        let service = destination.strip_prefix("arn:").and_then(|arn| arn.split(':').nth(1));
        if !matches!(service, Some("sqs" | "sns" | "s3")) {
            self.error("DestinationConfig.OnFailure.Destination: must be kafka://<topic> or the ARN of a queue, topic or bucket (sqs, sns, s3)");
            return None;
        }
        let Some(folder) = self.document.local.destination_folder.clone() else {
            self.error(
                "Local.destinationFolder: required with an ARN; set it to a folder for what AWS would send to the ARN",
            );
            return None;
        };
        Some(DestinationTarget::Files { folder, with_payload: service == Some("s3") })
    }

    fn report_batch_item_failures(&mut self) -> Option<PartialBatch> {
        let semantics = match self.document.local.partial_batch_semantics.as_deref() {
            None | Some("items") => PartialBatch::Items,
            Some("checkpoint") => PartialBatch::Checkpoint,
            Some(_) => {
                self.error("Local.partialBatchSemantics: must be `items` or `checkpoint`");
                PartialBatch::Items
            }
        };
        match self.document.function_response_types.as_deref() {
            None | Some([]) => None,
            Some([one]) if one == "ReportBatchItemFailures" => Some(semantics),
            Some(_) => {
                self.error("FunctionResponseTypes: the only allowed value is [\"ReportBatchItemFailures\"]");
                None
            }
        }
    }

    fn pollers(&mut self) -> usize {
        let Some(config) = &self.document.provisioned_poller_config else { return 1 };
        let minimum = self.range("ProvisionedPollerConfig.MinimumPollers", config.minimum_pollers, 1, 1..=200);
        let maximum = self.range("ProvisionedPollerConfig.MaximumPollers", config.maximum_pollers, 200, 1..=2000);
        if minimum > maximum {
            self.error(format!(
                "ProvisionedPollerConfig: MinimumPollers ({minimum}) must not be above MaximumPollers ({maximum})"
            ));
        }
        let name = config.poller_group_name.as_deref().unwrap_or_default();
        if name.len() > 128 || !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')) {
            self.error("ProvisionedPollerConfig.PollerGroupName: must be at most 128 letters, digits, `-` and `_`");
        }
        usize::try_from(minimum).unwrap_or(1)
    }

    /// AWS generates a unique group; a stable name lets a second run continue where the first one stopped.
    fn consumer_group(&mut self, function: &str, topic: Option<&TopicName>) -> String {
        let config = self.document.amazon_managed_kafka_event_source_config.as_ref();
        let Some(group) = config.and_then(|config| config.consumer_group_id.clone()) else {
            return format!("msk-local.{function}.{}", topic.map(TopicName::as_str).unwrap_or_default());
        };
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-/*:_+=.@ ".contains(c);
        if group.is_empty() || group.len() > 200 || !group.chars().all(allowed) {
            self.error("ConsumerGroupId: must be 1 to 200 characters of [a-zA-Z0-9-/*:_+=.@ ]");
        }
        group
    }

    fn local(&mut self, function: &str) -> LocalSettings {
        let block = &self.document.local;
        let invoke_url = block.invoke_url.as_deref().unwrap_or(DEFAULT_INVOKE_URL).replace("{FunctionName}", function);
        if !invoke_url.starts_with("http://") {
            self.error("Local.invokeUrl: must start with http:// (endpoints with TLS are not supported)");
        }
        for reserved in RESERVED_KAFKA_OPTIONS.iter().filter(|name| block.kafka_options.contains_key(**name)) {
            self.error(format!("Local.kafkaOptions: `{reserved}` is set by the emulator itself; remove it"));
        }
        let (timeout, grace) = (block.function_timeout_seconds, block.startup_grace_seconds);
        let longest = MAX_FUNCTION_TIMEOUT_SECONDS;
        LocalSettings {
            bootstrap_servers: block.bootstrap_servers.clone(),
            kafka_options: block.kafka_options.clone(),
            invoke_url,
            function_timeout: self.seconds("Local.functionTimeoutSeconds", timeout, 60.0, 0.001..=longest),
            startup_grace: self.seconds("Local.startupGraceSeconds", grace, 300.0, 0.0..=ONE_DAY_SECONDS),
        }
    }
}

fn destination(document: &MappingDocument) -> Option<&str> {
    document.destination_config.as_ref()?.on_failure.as_ref()?.destination.as_deref()
}

/// `get-event-source-mapping` prints `null` or an empty list for a member that is not set.
fn is_set(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Null => false,
        serde_json::Value::Array(items) => !items.is_empty(),
        serde_json::Value::Object(members) => members.values().any(is_set),
        _ => true,
    }
}
