//! A mapping that obeys AWS's ranges and mode rules: a value that exists can be run.
//!
//! Ranges: <https://docs.aws.amazon.com/lambda/latest/dg/services-msk-parameters.html>; what needs provisioned mode:
//! <https://docs.aws.amazon.com/lambda/latest/dg/kafka-retry-configurations.html>.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use msk_shared::names::TopicName;

use super::check::Problems;
use super::document::MappingDocument;

/// AWS waits this long for a batch to fill when no window is set.
const DEFAULT_WINDOW: Duration = Duration::from_millis(500);
/// With a destination, AWS caps endless retries at ten.
const RETRIES_WITH_DESTINATION: u32 = 10;

/// A checked mapping.
#[derive(Debug, Clone)]
pub struct Mapping {
    /// The function to invoke.
    pub function: String,
    /// The one topic it is fed from.
    pub topic: TopicName,
    /// Kafka consumer group whose offsets say how far the function is.
    pub consumer_group: String,
    /// `eventSourceArn` of the events.
    pub event_source_arn: String,
    /// Where to start when the group has no offset for a partition.
    pub starting_position: StartingPosition,
    /// When a batch is full or due.
    pub batching: Batching,
    /// What happens when an invocation fails.
    pub failures: FailurePolicy,
    /// Where records go that are given up.
    pub destination: Option<DestinationTarget>,
    /// How many pollers read, at most one per partition.
    pub pollers: usize,
    /// Where and how this machine reaches brokers and function.
    pub local: LocalSettings,
    /// Settings that are valid and do nothing here, or that AWS would refuse; each one sentence.
    pub warnings: Vec<String>,
}

/// Where to start without a committed offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartingPosition {
    /// At the oldest record.
    TrimHorizon,
    /// Behind the newest record.
    Latest,
    /// At the first record with this time or a later one, in milliseconds since 1970.
    AtTimestamp(i64),
}

/// When a batch is closed: whichever limit is reached first. The third limit is the size of the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batching {
    /// Most records of a batch.
    pub size: usize,
    /// Longest wait after the first record of a batch.
    pub window: Duration,
    /// Whether an event holds records of one partition only.
    pub single_partition: bool,
}

/// What happens when an invocation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailurePolicy {
    /// Retries after the first invocation; `None` is without end.
    pub max_retries: Option<u32>,
    /// Records older than this are given up.
    pub max_record_age: Option<Duration>,
    /// Whether a failed batch is halved.
    pub bisect: bool,
    /// Whether the function's answer names failed records, and what is delivered again then.
    pub partial_batch: Option<PartialBatch>,
    /// First pause before a retry.
    pub backoff: Duration,
    /// Longest pause before a retry.
    pub max_backoff: Duration,
}

/// What is delivered again when an answer names failed records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartialBatch {
    /// Only the named records, as AWS documents for Kafka.
    Items,
    /// Everything from the first named record of a partition on.
    Checkpoint,
}

/// Where records go that are given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DestinationTarget {
    /// `kafka://<topic>`: really produced to, on the same cluster.
    Kafka(TopicName),
    /// An ARN of SQS, SNS or S3: a JSON file for each message, in this folder.
    Files {
        /// The folder; made when it does not exist.
        folder: PathBuf,
        /// Whether the document holds the event, as it does for S3.
        with_payload: bool,
    },
}

/// Where and how this machine reaches brokers and function.
#[derive(Debug, Clone)]
pub struct LocalSettings {
    /// `host:port,...`; checked to be present when the mapping is run.
    pub bootstrap_servers: Option<String>,
    /// Further librdkafka properties.
    pub kafka_options: BTreeMap<String, String>,
    /// The Invoke endpoint.
    pub invoke_url: String,
    /// How long an invocation may take.
    pub function_timeout: Duration,
    /// How long the endpoint may be missing before its first answer.
    pub startup_grace: Duration,
}

/// Everything that is wrong with a mapping.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct InvalidMapping(pub Vec<String>);

/// Whether AWS's mode rules are errors or warnings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strictness {
    /// What AWS would refuse is refused.
    #[default]
    Strict,
    /// What AWS would refuse is a warning.
    Lenient,
}

impl Mapping {
    /// Checks a document against AWS's rules and reports every problem together.
    ///
    /// # Errors
    /// [`InvalidMapping`] with one line a problem.
    pub fn check(document: &MappingDocument, strictness: Strictness) -> Result<Self, InvalidMapping> {
        let mut problems = Problems::new(strictness);
        problems.foreign_members(document);
        problems.provisioned_only(document);
        let function = problems.function(document);
        let topic = problems.topic(document);
        let starting_position = problems.starting_position(document);
        let batching = problems.batching(document, DEFAULT_WINDOW);
        let failures = problems.failures(document, RETRIES_WITH_DESTINATION);
        let destination = problems.destination(document, topic.as_ref());
        let pollers = problems.pollers(document);
        let consumer_group = problems.consumer_group(document, &function, topic.as_ref());
        let local = problems.local(document, &function);
        let warnings = problems.finish()?;
        // A missing topic is one of the problems that `finish` has returned.
        let Some(topic) = topic else { return Err(InvalidMapping(Vec::new())) };
        let event_source_arn = document.event_source_arn.clone().unwrap_or_else(|| {
            "arn:aws:kafka:us-east-1:123456789012:cluster/msk-local/00000000-0000-0000-0000-000000000000-1".to_owned()
        });
        Ok(Self {
            function,
            topic,
            consumer_group,
            event_source_arn,
            starting_position,
            batching,
            failures,
            destination,
            pollers,
            local,
            warnings,
        })
    }
}
