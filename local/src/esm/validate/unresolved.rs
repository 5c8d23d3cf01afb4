//! Members that only a deployment gives their values: told with the flag that sets them.

use super::super::document::MappingDocument;
use super::super::setting_flags::setting;
use super::Validator;

/// What a mapping on a laptop does without.
const WITHOUT: &[&str] = &[
    "AmazonManagedKafkaEventSourceConfig.SchemaRegistryConfig.AccessConfigs.URI",
    "Enabled",
    "EventSourceArn",
    "KMSKeyArn",
    "Local.reservedConcurrentExecutions",
    "LoggingConfig",
    "MetricsConfig",
    "ProvisionedPollerConfig.MaximumPollers",
    "ProvisionedPollerConfig.PollerGroupName",
    "SelfManagedKafkaEventSourceConfig.SchemaRegistryConfig.AccessConfigs.URI",
    "SourceAccessConfigurations.URI",
    "Tags",
];

impl Validator<'_> {
    pub(super) fn unresolved(&mut self) {
        for unresolved in &self.document.unresolved {
            let (member, reason) = (unresolved.member.as_str(), &unresolved.reason);
            if self.document.has(member) {
                continue;
            }
            if WITHOUT.iter().any(|name| unresolved.is_in(name)) {
                self.warnings.push(format!("{}: {reason}; it is left out here", setting(member)));
                continue;
            }
            // What follows from its absence is not said besides.
            let top = member.split('.').next().unwrap_or(member);
            for name in [top, member] {
                self.errors.retain(|error| !error.starts_with(&format!("{}:", setting(name))));
            }
            self.error(member, format_args!("{reason}; set it with the flag, or write its value"));
        }
    }
}

impl MappingDocument {
    /// Whether a flag has given the member a value.
    fn has(&self, member: &str) -> bool {
        match member {
            "FunctionName" => self.function_name.is_some(),
            "Topics" => self.topics.as_ref().is_some_and(|topics| !topics.is_empty()),
            "EventSourceArn" => self.event_source_arn.is_some(),
            "BatchSize" => self.batch_size.is_some(),
            "MaximumBatchingWindowInSeconds" => self.maximum_batching_window_in_seconds.is_some(),
            "StartingPosition" => self.starting_position.is_some(),
            "StartingPositionTimestamp" => self.starting_position_timestamp.is_some(),
            "MaximumRetryAttempts" => self.maximum_retry_attempts.is_some(),
            "MaximumRecordAgeInSeconds" => self.maximum_record_age_in_seconds.is_some(),
            "BisectBatchOnFunctionError" => self.bisect_batch_on_function_error.is_some(),
            "FunctionResponseTypes" => self.function_response_types.as_ref().is_some_and(|types| !types.is_empty()),
            "Local.functionTimeoutSeconds" => self.local.function_timeout_seconds.is_some(),
            "SourceAccessConfigurations" => !self.source_access_configurations.is_empty(),
            "ProvisionedPollerConfig" | "ProvisionedPollerConfig.MinimumPollers" => {
                self.provisioned_poller_config.as_ref().is_some_and(|config| config.minimum_pollers.is_some())
            }
            "DestinationConfig" | "DestinationConfig.OnFailure" | "DestinationConfig.OnFailure.Destination" => {
                super::destination(self).is_some()
            }
            _ if member.ends_with(".ConsumerGroupId") => {
                self.kafka_source().is_some_and(|source| source.consumer_group_id.is_some())
            }
            _ if member.ends_with(".SchemaRegistryURI") => self.local.schema_registry_url.is_some(),
            _ => false,
        }
    }
}
