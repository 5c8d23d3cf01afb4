//! The configuration as it is written: AWS's own member names (`CreateEventSourceMapping`), so that a file, the output
//! of `aws lambda get-event-source-mapping` and this tool describe the same mapping.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;

/// The members of `CreateEventSourceMapping` that concern Kafka, the read-only ones that AWS returns with them, and
/// one additional block, `Local`. AWS documents its members; [`super::mapping`] says what each does here. An unknown
/// member is an error: otherwise it would be a setting that silently does nothing.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub struct MappingDocument {
    pub function_name: Option<String>,
    pub function_arn: Option<String>,
    pub event_source_arn: Option<String>,
    pub topics: Option<Vec<String>>,
    pub batch_size: Option<i64>,
    pub maximum_batching_window_in_seconds: Option<i64>,
    pub starting_position: Option<String>,
    pub starting_position_timestamp: Option<f64>,
    pub amazon_managed_kafka_event_source_config: Option<KafkaSourceConfig>,
    pub maximum_retry_attempts: Option<i64>,
    pub maximum_record_age_in_seconds: Option<i64>,
    pub bisect_batch_on_function_error: Option<bool>,
    pub function_response_types: Option<Vec<String>>,
    pub destination_config: Option<DestinationConfig>,
    pub filter_criteria: Option<FilterCriteria>,
    pub provisioned_poller_config: Option<ProvisionedPollerConfig>,
    pub enabled: Option<bool>,
    /// Settings that have no effect on a laptop, and members that AWS only returns.
    pub metrics_config: Option<Value>,
    pub logging_config: Option<Value>,
    #[serde(rename = "KMSKeyArn")]
    pub kms_key_arn: Option<Value>,
    pub source_access_configurations: Option<Value>,
    pub tags: Option<Value>,
    #[serde(rename = "UUID")]
    pub uuid: Option<Value>,
    pub event_source_mapping_arn: Option<Value>,
    pub last_modified: Option<Value>,
    pub last_processing_result: Option<Value>,
    pub state: Option<Value>,
    pub state_transition_reason: Option<Value>,
    pub filter_criteria_error: Option<Value>,
    /// Members for other event sources, which are read only to be rejected by name.
    pub parallelization_factor: Option<Value>,
    pub tumbling_window_in_seconds: Option<Value>,
    pub scaling_config: Option<Value>,
    pub queues: Option<Value>,
    pub self_managed_event_source: Option<Value>,
    pub self_managed_kafka_event_source_config: Option<Value>,
    #[serde(rename = "DocumentDBEventSourceConfig")]
    pub document_db_event_source_config: Option<Value>,
    /// Settings of this tool only.
    pub local: LocalBlock,
}

/// `AmazonManagedKafkaEventSourceConfig`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub struct KafkaSourceConfig {
    pub consumer_group_id: Option<String>,
    pub schema_registry_config: Option<Value>,
}

/// `DestinationConfig`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub struct DestinationConfig {
    pub on_failure: Option<OnFailure>,
    pub on_success: Option<Value>,
}

/// `DestinationConfig.OnFailure`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub struct OnFailure {
    pub destination: Option<String>,
}

/// `FilterCriteria`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub struct FilterCriteria {
    pub filters: Vec<Value>,
}

/// `ProvisionedPollerConfig`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub struct ProvisionedPollerConfig {
    pub minimum_pollers: Option<i64>,
    pub maximum_pollers: Option<i64>,
    pub poller_group_name: Option<String>,
}

/// The block `Local`: what a mapping needs only on a laptop.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LocalBlock {
    /// Where to invoke; `{FunctionName}` stands for the function's name.
    pub invoke_url: Option<String>,
    /// The addresses of the brokers, as `host:port,...`.
    pub bootstrap_servers: Option<String>,
    /// librdkafka properties for clusters that need more than an address.
    pub kafka_options: BTreeMap<String, String>,
    /// How long an invocation may take, in seconds; at most 840.
    pub function_timeout_seconds: Option<f64>,
    /// How long the endpoint may take to give its first response, in seconds; until then it may be missing or compiling.
    pub startup_grace_seconds: Option<f64>,
    /// Pause before the first retry, in seconds; it doubles with each further one.
    pub retry_backoff_seconds: Option<f64>,
    /// Longest pause before a retry, in seconds.
    pub max_retry_backoff_seconds: Option<f64>,
    /// `items` (as AWS documents for Kafka) or `checkpoint`.
    pub partial_batch_semantics: Option<String>,
    /// Never put records of different partitions into one event.
    pub single_partition_batches: Option<bool>,
    /// Folder for what AWS would send to SQS, SNS or S3.
    pub destination_folder: Option<PathBuf>,
}

/// The text is not a valid mapping document.
#[derive(Debug, thiserror::Error)]
#[error("{origin}: {source}; use the members of AWS's CreateEventSourceMapping, plus `Local`")]
pub struct DocumentError {
    origin: String,
    source: serde_json::Error,
}

impl MappingDocument {
    /// Reads a JSON document; `origin` names it in an error.
    ///
    /// # Errors
    /// [`DocumentError`] gives the line and column of the problem.
    pub fn from_json(text: &str, origin: &str) -> Result<Self, DocumentError> {
        serde_json::from_str(text).map_err(|source| DocumentError { origin: origin.to_owned(), source })
    }
}
