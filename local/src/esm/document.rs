//! The configuration as it is written: AWS's own member names (`CreateEventSourceMapping`), so that a file, the output
//! of `aws lambda get-event-source-mapping` and this tool describe the same mapping.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Map, Value};

use super::chaos_settings::ChaosBlock;
use super::listed::Unresolved;
use super::members::{Faults, FromMember, Members};
use super::moment::Moment;
use super::schema_registry::registry_block::SchemaRegistryBlock;

/// The members of `CreateEventSourceMapping` that concern Kafka, the read-only ones that AWS returns with them, and
/// one additional block, `Local`. AWS documents its members; [`super::mapping`] says what each does here.
#[derive(Debug, Clone, Default)]
pub struct MappingDocument {
    pub function_name: Option<String>,
    pub function_arn: Option<String>,
    pub event_source_arn: Option<String>,
    /// The brokers of a cluster that is not Amazon MSK.
    pub self_managed_event_source: Option<Vec<String>>,
    pub topics: Option<Vec<String>>,
    pub batch_size: Option<i64>,
    pub maximum_batching_window_in_seconds: Option<i64>,
    pub starting_position: Option<String>,
    pub starting_position_timestamp: Option<Moment>,
    pub amazon_managed_kafka_event_source_config: Option<KafkaSourceConfig>,
    pub self_managed_kafka_event_source_config: Option<KafkaSourceConfig>,
    pub maximum_retry_attempts: Option<i64>,
    pub maximum_record_age_in_seconds: Option<i64>,
    pub bisect_batch_on_function_error: Option<bool>,
    pub function_response_types: Option<Vec<String>>,
    pub destination_config: Option<DestinationConfig>,
    pub filters: Vec<Value>,
    pub provisioned_poller_config: Option<ProvisionedPollerConfig>,
    pub enabled: Option<bool>,
    pub system_log_level: Option<String>,
    pub uuid: Option<String>,
    /// Settings that have no effect on a laptop.
    pub metrics: Option<Vec<String>>,
    pub kms_key_arn: Option<Value>,
    pub source_access_configurations: Vec<Value>,
    /// Members for other event sources that are set, which are read only to be rejected by name.
    pub foreign: BTreeMap<&'static str, Value>,
    /// Settings of this tool only.
    pub local: LocalBlock,
    /// Members that only a deployment gives their values.
    pub unresolved: Vec<Unresolved>,
    /// What is wrong with the text itself.
    pub faults: Faults,
}

/// `AmazonManagedKafkaEventSourceConfig` and `SelfManagedKafkaEventSourceConfig`.
#[derive(Debug, Clone, Default)]
pub struct KafkaSourceConfig {
    pub consumer_group_id: Option<String>,
    /// `Stream`, or `Queue`, which Kafka's share groups make.
    pub consumption_mode: Option<String>,
    pub schema_registry_config: Option<SchemaRegistryBlock>,
}

/// `DestinationConfig`.
#[derive(Debug, Clone, Default)]
pub struct DestinationConfig {
    pub on_failure: Option<String>,
    pub on_success: Option<Value>,
}

/// `ProvisionedPollerConfig`.
#[derive(Debug, Clone, Default)]
pub struct ProvisionedPollerConfig {
    pub minimum_pollers: Option<i64>,
    pub maximum_pollers: Option<i64>,
    pub poller_group_name: Option<String>,
}

/// The block `Local`: what a mapping needs only on a laptop.
#[derive(Debug, Clone, Default)]
pub struct LocalBlock {
    /// Where to invoke; `{FunctionName}` stands for the function's name.
    pub invoke_url: Option<String>,
    /// Requests in flight at the endpoint, as AWS's reserved concurrency bounds them.
    pub max_concurrency: Option<i64>,
    /// The addresses of the brokers, as `host:port,...`.
    pub bootstrap_servers: Option<String>,
    /// The schema registry of this machine, in place of the mapping's.
    pub schema_registry_url: Option<String>,
    /// librdkafka properties for clusters that need more than an address.
    pub kafka_options: BTreeMap<String, String>,
    /// Files with secrets, by type or URI of the `SourceAccessConfigurations` and of the registry's `AccessConfigs`.
    pub secrets: BTreeMap<String, String>,
    /// How long an invocation may take, in seconds; at most 840, as AWS has it for Kafka, if that is not to be only a warning.
    pub function_timeout_seconds: Option<f64>,
    /// How long an invocation may take until the endpoint has answered once, in seconds.
    pub first_invocation_timeout_seconds: Option<f64>,
    /// How long the endpoint may be unreachable before its first response, in seconds.
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
    /// The port of loopback with metrics for Prometheus.
    pub metrics_port: Option<i64>,
    /// Where the pollers tell of themselves as on AWS: a file, or `-` for standard output.
    pub system_log: Option<PathBuf>,
    /// File with the authorities to trust, for an endpoint with `https://`.
    pub ca_file: Option<PathBuf>,
    /// Faults on request.
    pub chaos: Option<ChaosBlock>,
}

impl MappingDocument {
    /// Reads the members of an object.
    pub fn from_object(object: Map<String, Value>) -> Self {
        let mut faults = Faults::default();
        let mut members = Members::new("", object, &mut faults);
        let mut document = Self {
            function_name: members.take("FunctionName"),
            function_arn: members.take("FunctionArn"),
            event_source_arn: members.take("EventSourceArn"),
            topics: members.take("Topics"),
            batch_size: members.take("BatchSize"),
            maximum_batching_window_in_seconds: members.take("MaximumBatchingWindowInSeconds"),
            starting_position: members.take("StartingPosition"),
            starting_position_timestamp: members.take("StartingPositionTimestamp"),
            self_managed_event_source: self_managed(&mut members),
            amazon_managed_kafka_event_source_config: kafka_source(
                &mut members,
                "AmazonManagedKafkaEventSourceConfig",
                "AmazonManagedKafkaEventSourceConfig.",
                "AmazonManagedKafkaEventSourceConfig.SchemaRegistryConfig.",
            ),
            self_managed_kafka_event_source_config: kafka_source(
                &mut members,
                "SelfManagedKafkaEventSourceConfig",
                "SelfManagedKafkaEventSourceConfig.",
                "SelfManagedKafkaEventSourceConfig.SchemaRegistryConfig.",
            ),
            maximum_retry_attempts: members.take("MaximumRetryAttempts"),
            maximum_record_age_in_seconds: members.take("MaximumRecordAgeInSeconds"),
            bisect_batch_on_function_error: members.take("BisectBatchOnFunctionError"),
            function_response_types: members.take("FunctionResponseTypes"),
            destination_config: destination(&mut members),
            provisioned_poller_config: pollers(&mut members),
            enabled: members.take("Enabled"),
            uuid: members.take("UUID"),
            kms_key_arn: members.any("KMSKeyArn"),
            source_access_configurations: members.take("SourceAccessConfigurations").unwrap_or_default(),
            local: local(&mut members),
            ..Self::default()
        };
        document.read_blocks(&mut members);
        for name in READ_ONLY {
            members.any(name);
        }
        for name in FOREIGN {
            document.foreign.extend(members.any(name).map(|value| (*name, value)));
        }
        members.end();
        document.faults = faults;
        document
    }

    /// The block about the consumer group: that of the mapping's kind of cluster.
    pub fn kafka_source(&self) -> Option<&KafkaSourceConfig> {
        self.self_managed_kafka_event_source_config.as_ref().or(self.amazon_managed_kafka_event_source_config.as_ref())
    }

    /// The same block, made if there is none.
    pub fn kafka_source_mut(&mut self) -> &mut KafkaSourceConfig {
        match self.self_managed_event_source {
            Some(_) => self.self_managed_kafka_event_source_config.get_or_insert_default(),
            None => self.amazon_managed_kafka_event_source_config.get_or_insert_default(),
        }
    }

    /// The registry with the schemas of keys and values.
    pub fn schema_registry(&self) -> Option<&SchemaRegistryBlock> {
        self.kafka_source()?.schema_registry_config.as_ref()
    }

    /// Other ways to sign in at the brokers, or none. The secrets of those before go with them, but for the registry's.
    pub fn replace_source_access(&mut self, given: Vec<Value>) {
        let replaced = std::mem::replace(&mut self.source_access_configurations, given);
        let names = |config: &Value| ["Type", "URI"].map(|member| config[member].as_str().map(str::to_owned));
        let replaced: Vec<String> = replaced.iter().flat_map(names).flatten().collect();
        let registry = self.schema_registry().map(|block| block.access_configs.as_slice()).unwrap_or_default();
        let of_registry = registry.iter().filter_map(|config| config["URI"].as_str().map(str::to_owned));
        let used: Vec<String> =
            self.source_access_configurations.iter().flat_map(names).flatten().chain(of_registry).collect();
        self.local.secrets.retain(|name, _| !replaced.contains(name) || used.contains(name));
    }

    fn read_blocks(&mut self, members: &mut Members<'_>) {
        if let Some(mut block) = members.object("FilterCriteria", "FilterCriteria.") {
            self.filters = block.take("Filters").unwrap_or_default();
            block.end();
        }
        if let Some(mut block) = members.object("MetricsConfig", "MetricsConfig.") {
            self.metrics = block.take("Metrics");
            block.end();
        }
        if let Some(mut block) = members.object("LoggingConfig", "LoggingConfig.") {
            self.system_log_level = block.take("SystemLogLevel");
            block.end();
        }
    }
}

/// Members that AWS and its SDKs only return, and tags.
const READ_ONLY: &[&str] = &[
    "Tags",
    "EventSourceMappingArn",
    "LastModified",
    "LastProcessingResult",
    "State",
    "StateTransitionReason",
    "FilterCriteriaError",
    "ResponseMetadata",
];

/// Members for other event sources.
const FOREIGN: &[&str] =
    &["ParallelizationFactor", "TumblingWindowInSeconds", "ScalingConfig", "Queues", "DocumentDBEventSourceConfig"];

/// A list of brokers, or, as Terraform has it, a text with commas.
struct Servers(Vec<String>);

impl FromMember for Servers {
    const WANTED: &'static str = "a list of brokers, each HOST:PORT";

    fn from_member(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Some(Self(text.split(',').map(|server| server.trim().to_owned()).collect())),
            other => Vec::from_member(other).map(Self),
        }
    }
}

fn self_managed(members: &mut Members<'_>) -> Option<Vec<String>> {
    let mut block = members.object("SelfManagedEventSource", "SelfManagedEventSource.")?;
    let mut servers = None;
    if let Some(mut endpoints) = block.object("Endpoints", "SelfManagedEventSource.Endpoints.") {
        // The API's name, and CloudFormation's.
        servers = endpoints.take("KAFKA_BOOTSTRAP_SERVERS").or(endpoints.take("KafkaBootstrapServers"));
        endpoints.end();
    }
    block.end();
    Some(servers.map(|Servers(servers)| servers).unwrap_or_default())
}

/// `path` and `registry_path` are what problems call the members of the two blocks.
fn kafka_source(
    members: &mut Members<'_>,
    name: &'static str,
    path: &'static str,
    registry_path: &'static str,
) -> Option<KafkaSourceConfig> {
    let mut block = members.object(name, path)?;
    let mut read = KafkaSourceConfig {
        consumer_group_id: block.take("ConsumerGroupId"),
        schema_registry_config: None,
        consumption_mode: block.take("ConsumptionMode"),
    };
    if let Some(mut registry) = block.object("SchemaRegistryConfig", registry_path) {
        read.schema_registry_config = SchemaRegistryBlock::read(&mut registry);
        registry.end();
    }
    block.end();
    Some(read)
}

fn destination(members: &mut Members<'_>) -> Option<DestinationConfig> {
    let mut block = members.object("DestinationConfig", "DestinationConfig.")?;
    let mut read = DestinationConfig { on_failure: None, on_success: block.any("OnSuccess") };
    if let Some(mut inner) = block.object("OnFailure", "DestinationConfig.OnFailure.") {
        read.on_failure = inner.take("Destination");
        inner.end();
    }
    block.end();
    Some(read)
}

fn pollers(members: &mut Members<'_>) -> Option<ProvisionedPollerConfig> {
    let mut block = members.object("ProvisionedPollerConfig", "ProvisionedPollerConfig.")?;
    let read = ProvisionedPollerConfig {
        minimum_pollers: block.take("MinimumPollers"),
        maximum_pollers: block.take("MaximumPollers"),
        poller_group_name: block.take("PollerGroupName"),
    };
    block.end();
    Some(read)
}

fn local(members: &mut Members<'_>) -> LocalBlock {
    let Some(mut block) = members.object("Local", "Local.") else { return LocalBlock::default() };
    let read = LocalBlock {
        invoke_url: block.take("invokeUrl"),
        // AWS's name for what bounds it there is taken, too.
        max_concurrency: block.take("maxConcurrency").or(block.take("reservedConcurrentExecutions")),
        bootstrap_servers: block.take("bootstrapServers"),
        schema_registry_url: block.take("schemaRegistryUrl"),
        kafka_options: block.take("kafkaOptions").unwrap_or_default(),
        secrets: block.take("secrets").unwrap_or_default(),
        function_timeout_seconds: block.take("functionTimeoutSeconds"),
        first_invocation_timeout_seconds: block.take("firstInvocationTimeoutSeconds"),
        startup_grace_seconds: block.take("startupGraceSeconds"),
        retry_backoff_seconds: block.take("retryBackoffSeconds"),
        max_retry_backoff_seconds: block.take("maxRetryBackoffSeconds"),
        partial_batch_semantics: block.take("partialBatchSemantics"),
        single_partition_batches: block.take("singlePartitionBatches"),
        destination_folder: block.take::<String>("destinationFolder").map(PathBuf::from),
        metrics_port: block.take("metricsPort"),
        system_log: block.take::<String>("systemLog").map(PathBuf::from),
        ca_file: block.take::<String>("caFile").map(PathBuf::from),
        chaos: chaos(&mut block),
    };
    block.end();
    read
}

fn chaos(local: &mut Members<'_>) -> Option<ChaosBlock> {
    let mut block = local.object("chaos", "Local.chaos.")?;
    let read = ChaosBlock::read(&mut block);
    block.end();
    Some(read)
}

impl FromMember for BTreeMap<String, String> {
    const WANTED: &'static str = "an object of texts, numbers, true and false";

    fn from_member(value: &Value) -> Option<Self> {
        let option = |value: &Value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
            _ => None,
        };
        value.as_object()?.iter().map(|(name, value)| Some((name.clone(), option(value)?))).collect()
    }
}
