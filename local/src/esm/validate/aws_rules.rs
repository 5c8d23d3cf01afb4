//! What AWS refuses beyond single ranges: members of other event sources, values outside its enumerations, and what requires
//! provisioned mode (<https://docs.aws.amazon.com/lambda/latest/dg/kafka-retry-configurations.html>).

use serde_json::Value;

use super::super::mapping::SystemLogLevel;
use super::super::setting_flags::setting;
use super::{Validator, destination};

const METRICS: &[&str] = &["EventCount", "ErrorCount", "KafkaMetrics"];

impl Validator<'_> {
    pub(super) fn aws_rules(&mut self) {
        self.foreign_members();
        self.not_emulated();
        self.enumerations();
        self.without_effect();
        self.provisioned_only();
    }

    /// Members for other event sources. 0 and 1 are what AWS prints where nothing is set.
    fn foreign_members(&mut self) {
        for (member, value) in &self.document.foreign {
            let unset = match *member {
                "TumblingWindowInSeconds" => *value == 0,
                "ParallelizationFactor" => *value == 1,
                _ => !is_set(value),
            };
            if !unset {
                self.error(member, "not supported for Kafka event sources; remove it");
            }
        }
    }

    fn not_emulated(&mut self) {
        let document = self.document;
        let mode = document.kafka_source().and_then(|source| source.consumption_mode.as_ref());
        if let Some(mode) = mode.filter(|mode| *mode != "Stream") {
            let text =
                format!("ConsumptionMode: {mode:?} is not emulated; Stream is, which has the order of partitions");
            self.aws_rejects(text);
        }
        let config = document.destination_config.as_ref();
        if config.and_then(|config| config.on_success.as_ref()).is_some_and(is_set) {
            self.error("DestinationConfig.OnSuccess", "not supported for event source mappings; remove it");
        }
    }

    fn enumerations(&mut self) {
        let document = self.document;
        for metric in document.metrics.iter().flatten().filter(|metric| !METRICS.contains(&metric.as_str())) {
            self.error("MetricsConfig.Metrics", format!("{metric:?} is none of {}", METRICS.join(", ")));
        }
        for level in document.system_log_level.iter().filter(|level| SystemLogLevel::parse(level).is_none()) {
            let names = SystemLogLevel::NAMES.join(", ");
            self.error("LoggingConfig.SystemLogLevel", format!("{level:?} is none of {names}"));
        }
    }

    fn without_effect(&mut self) {
        let document = self.document;
        let used = [
            ("MetricsConfig", document.metrics.as_ref().is_some_and(|metrics| !metrics.is_empty())),
            ("KMSKeyArn", document.kms_key_arn.as_ref().is_some_and(is_set)),
        ];
        for (member, _) in used.iter().filter(|(_, used)| *used) {
            self.warnings.push(format!("{member} has no effect on this machine"));
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
            ("LoggingConfig", document.system_log_level.is_some()),
            ("SchemaRegistryConfig", document.schema_registry().is_some()),
        ];
        let members: Vec<_> = used.iter().filter(|(_, used)| *used).map(|(member, _)| *member).collect();
        if !members.is_empty() {
            self.aws_rejects(format!(
                "{}: needs provisioned mode; add {}, for example {{\"MinimumPollers\":1}}, or --minimum-pollers 1",
                members.join(", "),
                setting("ProvisionedPollerConfig")
            ));
        }
    }
}

/// `get-event-source-mapping` prints `null` or an empty list for a member that is not set.
fn is_set(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => members.values().any(is_set),
        _ => true,
    }
}
