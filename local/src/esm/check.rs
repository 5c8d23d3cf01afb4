//! AWS's ranges and mode rules, one method a member; every problem is kept, so that all are reported together.

use std::time::Duration;

use msk_shared::names::TopicName;

use super::document::{LocalBlock, MappingDocument};
use super::mapping::{
    Batching, DestinationTarget, FailurePolicy, InvalidMapping, LocalSettings, PartialBatch, StartingPosition,
    Strictness,
};

const DEFAULT_INVOKE_URL: &str = "http://127.0.0.1:9000/2015-03-31/functions/{FunctionName}/invocations";
/// AWS wants the function's timeout to be at most 14 minutes for Kafka.
const MAX_FUNCTION_TIMEOUT_SECONDS: f64 = 840.0;
const ONE_DAY_SECONDS: f64 = 86_400.0;

/// Collects what is wrong and what is only worth a warning.
pub(super) struct Problems {
    strictness: Strictness,
    errors: Vec<String>,
    warnings: Vec<String>,
}

impl Problems {
    pub(super) fn new(strictness: Strictness) -> Self {
        Self { strictness, errors: Vec::new(), warnings: Vec::new() }
    }

    pub(super) fn finish(self) -> Result<Vec<String>, InvalidMapping> {
        if self.errors.is_empty() { Ok(self.warnings) } else { Err(InvalidMapping(self.errors)) }
    }

    fn error(&mut self, text: impl Into<String>) {
        self.errors.push(text.into());
    }

    /// What AWS refuses: an error, or with [`Strictness::Lenient`] a warning.
    fn aws_refuses(&mut self, text: String) {
        match self.strictness {
            Strictness::Strict => self.errors.push(format!("{text} (--lenient makes this a warning)")),
            Strictness::Lenient => self.warnings.push(text),
        }
    }

    fn range(&mut self, member: &str, value: Option<i64>, default: i64, min: i64, max: i64) -> i64 {
        let value = value.unwrap_or(default);
        if (min..=max).contains(&value) {
            return value;
        }
        self.error(format!("{member}: {value} is out of range; it must be from {min} to {max}"));
        default
    }

    fn seconds(&mut self, member: &str, value: Option<f64>, default: f64, min: f64, max: f64) -> Duration {
        let value = value.unwrap_or(default);
        if (min..=max).contains(&value) {
            return Duration::from_secs_f64(value);
        }
        self.error(format!("{member}: {value} is out of range; it must be from {min} to {max} seconds"));
        Duration::from_secs_f64(default)
    }

    /// Members of other event sources, and what this tool does not do (yet).
    pub(super) fn foreign_members(&mut self, document: &MappingDocument) {
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
            self.error("FilterCriteria: filters are not emulated; remove them, or every record would be delivered");
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
            self.warnings.push("Enabled is false: AWS would not poll; it is polled here".to_owned());
        }
    }

    /// AWS takes these only with `ProvisionedPollerConfig`.
    pub(super) fn provisioned_only(&mut self, document: &MappingDocument) {
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
            self.aws_refuses(format!(
                "{}: needs provisioned mode; add ProvisionedPollerConfig, for example {{\"MinimumPollers\":1}}",
                members.join(", ")
            ));
        }
    }

    pub(super) fn function(&mut self, document: &MappingDocument) -> String {
        let named = document.function_name.as_deref().or(document.function_arn.as_deref()).unwrap_or_default();
        // `arn:aws:lambda:region:account:function:name[:qualifier]`
        let name = match named.split_once(":function:") {
            Some((_, rest)) => rest.split(':').next().unwrap_or_default(),
            None => named,
        };
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if name.is_empty() || name.len() > 64 || !name.chars().all(allowed) {
            self.error("FunctionName: give the function's name (1 to 64 letters, digits, `-`, `_`) or its ARN");
        }
        name.to_owned()
    }

    pub(super) fn topic(&mut self, document: &MappingDocument) -> Option<TopicName> {
        match document.topics.as_deref() {
            Some([name]) => TopicName::parse(name).map_err(|problem| self.error(format!("Topics: {problem}"))).ok(),
            _ => {
                self.error("Topics: exactly one topic is required; make one mapping per topic");
                None
            }
        }
    }

    pub(super) fn starting_position(&mut self, document: &MappingDocument) -> StartingPosition {
        let timestamp = document.starting_position_timestamp;
        match (document.starting_position.as_deref(), timestamp) {
            (None | Some("TRIM_HORIZON"), None) => StartingPosition::TrimHorizon,
            (Some("LATEST"), None) => StartingPosition::Latest,
            (Some("AT_TIMESTAMP"), Some(seconds)) if (0.0..1e11).contains(&seconds) =>
            {
                #[expect(clippy::cast_possible_truncation, reason = "the range above fits")]
                StartingPosition::AtTimestamp((seconds * 1000.0) as i64)
            }
            (Some("AT_TIMESTAMP"), _) => {
                self.error("StartingPositionTimestamp: AT_TIMESTAMP needs it, in seconds since 1970");
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

    pub(super) fn batching(&mut self, document: &MappingDocument, default_window: Duration) -> Batching {
        let size = self.range("BatchSize", document.batch_size, 100, 1, 10_000);
        let window = match document.maximum_batching_window_in_seconds {
            None => default_window,
            given => {
                let seconds = self.range("MaximumBatchingWindowInSeconds", given, 0, 0, 300);
                Duration::from_secs(seconds.unsigned_abs())
            }
        };
        Batching {
            size: usize::try_from(size).unwrap_or(1),
            window,
            single_partition: document.local.single_partition_batches.unwrap_or(false),
        }
    }

    pub(super) fn failures(&mut self, document: &MappingDocument, cap_with_destination: u32) -> FailurePolicy {
        let retries = self.range("MaximumRetryAttempts", document.maximum_retry_attempts, -1, -1, 10_000);
        let age = document.maximum_record_age_in_seconds.unwrap_or(-1);
        if age != -1 && !(60..=604_800).contains(&age) {
            self.error(format!(
                "MaximumRecordAgeInSeconds: {age} is out of range; it must be -1 (no limit) or from 60 to 604800"
            ));
        }
        let without_limit = destination(document).map(|_| cap_with_destination);
        let block = &document.local;
        FailurePolicy {
            max_retries: u32::try_from(retries).ok().or(without_limit),
            max_record_age: u64::try_from(age).ok().map(Duration::from_secs),
            bisect: document.bisect_batch_on_function_error.unwrap_or(false),
            partial_batch: self.partial_batch(document),
            backoff: self.seconds("Local.retryBackoffSeconds", block.retry_backoff_seconds, 1.0, 0.001, 300.0),
            max_backoff: self.seconds(
                "Local.maxRetryBackoffSeconds",
                block.max_retry_backoff_seconds,
                30.0,
                0.001,
                3600.0,
            ),
        }
    }

    pub(super) fn destination(
        &mut self,
        document: &MappingDocument,
        source: Option<&TopicName>,
    ) -> Option<DestinationTarget> {
        let destination = destination(document)?;
        if let Some(topic) = destination.strip_prefix("kafka://") {
            let parsed = TopicName::parse(topic);
            if let Err(problem) = &parsed {
                self.error(format!("DestinationConfig.OnFailure.Destination: {problem}"));
            }
            let topic = parsed.ok()?;
            if source == Some(&topic) {
                self.error(
                    "DestinationConfig.OnFailure.Destination: the topic is the mapping's own; it would never end",
                );
            }
            return Some(DestinationTarget::Kafka(topic));
        }
        let service = destination.strip_prefix("arn:").and_then(|arn| arn.split(':').nth(1));
        if !matches!(service, Some("sqs" | "sns" | "s3")) {
            self.error("DestinationConfig.OnFailure.Destination: must be kafka://<topic> or the ARN of a queue, topic or bucket (sqs, sns, s3)");
            return None;
        }
        let Some(folder) = document.local.destination_folder.clone() else {
            self.error("Local.destinationFolder: name a folder for what would go to the destination's ARN");
            return None;
        };
        Some(DestinationTarget::Files { folder, with_payload: service == Some("s3") })
    }

    fn partial_batch(&mut self, document: &MappingDocument) -> Option<PartialBatch> {
        let semantics = match document.local.partial_batch_semantics.as_deref() {
            None | Some("items") => PartialBatch::Items,
            Some("checkpoint") => PartialBatch::Checkpoint,
            Some(_) => {
                self.error("Local.partialBatchSemantics: must be `items` or `checkpoint`");
                PartialBatch::Items
            }
        };
        match document.function_response_types.as_deref() {
            None | Some([]) => None,
            Some([one]) if one == "ReportBatchItemFailures" => Some(semantics),
            Some(_) => {
                self.error("FunctionResponseTypes: the only allowed value is [\"ReportBatchItemFailures\"]");
                None
            }
        }
    }

    pub(super) fn pollers(&mut self, document: &MappingDocument) -> usize {
        let Some(config) = &document.provisioned_poller_config else { return 1 };
        let minimum = self.range("ProvisionedPollerConfig.MinimumPollers", config.minimum_pollers, 1, 1, 200);
        let maximum = self.range("ProvisionedPollerConfig.MaximumPollers", config.maximum_pollers, 200, 1, 2000);
        if minimum > maximum {
            self.error(format!(
                "ProvisionedPollerConfig: MinimumPollers ({minimum}) is above MaximumPollers ({maximum})"
            ));
        }
        let name = config.poller_group_name.as_deref().unwrap_or_default();
        if name.len() > 128 || !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')) {
            self.error("ProvisionedPollerConfig.PollerGroupName: at most 128 letters, digits, `-` and `_`");
        }
        usize::try_from(minimum).unwrap_or(1)
    }

    /// AWS invents a unique group; a stable name lets a second run go on where the first one stopped.
    pub(super) fn consumer_group(
        &mut self,
        document: &MappingDocument,
        function: &str,
        topic: Option<&TopicName>,
    ) -> String {
        let config = document.amazon_managed_kafka_event_source_config.as_ref();
        let Some(group) = config.and_then(|config| config.consumer_group_id.clone()) else {
            return format!("msk-local.{function}.{}", topic.map(TopicName::as_str).unwrap_or_default());
        };
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-/*:_+=.@ ".contains(c);
        if group.is_empty() || group.len() > 200 || !group.chars().all(allowed) {
            self.error("ConsumerGroupId: must be 1 to 200 characters of [a-zA-Z0-9-/*:_+=.@ ]");
        }
        group
    }

    pub(super) fn local(&mut self, document: &MappingDocument, function: &str) -> LocalSettings {
        let LocalBlock { function_timeout_seconds, startup_grace_seconds, kafka_options, .. } = &document.local;
        let url = document.local.invoke_url.as_deref().unwrap_or(DEFAULT_INVOKE_URL);
        let invoke_url = url.replace("{FunctionName}", function);
        if !invoke_url.starts_with("http://") {
            self.error("Local.invokeUrl: must start with http:// (a local endpoint needs no TLS)");
        }
        for owned in super::kafka::OWNED_OPTIONS {
            if kafka_options.contains_key(*owned) {
                self.error(format!("Local.kafkaOptions: `{owned}` is set by the emulator itself; remove it"));
            }
        }
        let timeout = *function_timeout_seconds;
        LocalSettings {
            bootstrap_servers: document.local.bootstrap_servers.clone(),
            kafka_options: kafka_options.clone(),
            invoke_url,
            function_timeout: self.seconds(
                "Local.functionTimeoutSeconds",
                timeout,
                60.0,
                0.001,
                MAX_FUNCTION_TIMEOUT_SECONDS,
            ),
            startup_grace: self.seconds(
                "Local.startupGraceSeconds",
                *startup_grace_seconds,
                300.0,
                0.0,
                ONE_DAY_SECONDS,
            ),
        }
    }
}

fn destination(document: &MappingDocument) -> Option<&str> {
    document.destination_config.as_ref()?.on_failure.as_ref()?.destination.as_deref()
}

/// `get-event-source-mapping` prints `null` and empty lists for what is not set.
fn is_set(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Null => false,
        serde_json::Value::Array(items) => !items.is_empty(),
        serde_json::Value::Object(members) => members.values().any(is_set),
        _ => true,
    }
}
