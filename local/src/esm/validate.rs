//! AWS's ranges and mode rules, one method for each member; all problems are collected and reported together.
//!
//! AWS's numbers stand in `aws_limits.rs`, with their sources.

pub(super) mod aws_limits;
mod aws_rules;
mod chaos_rules;
mod event_source;
mod filter_criteria;
mod function_name;
mod local_block;
#[cfg(test)]
mod range_tests;
mod schema_registry_rules;
mod unresolved;

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use msk_shared::names::TopicName;

use super::document::MappingDocument;
use super::mapping::{
    Batching, DestinationTarget, FailurePolicy, Mapping, PartialBatch, StartingPosition, SystemLogLevel,
};
use super::moment::Moment;
use super::schema_registry::registry_settings::RegistryCredentials;
use super::setting_flags::setting;
use super::source_access::Credentials;
use crate::stable_hash::stable_uuid;

/// The name of the only function of AWS's runtime interface emulator, which serves one request at a time and ends itself on a
/// second one (its issue 97).
const EMULATED_FUNCTION: &str = "function";
/// AWS waits this long for a batch to fill when no window is set.
const DEFAULT_WINDOW: Duration = Duration::from_millis(500);

/// All problems of a mapping.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct InvalidMapping(pub Vec<String>);

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
    found.faults();
    found.aws_rules();
    let function = found.function();
    let topic = found.topic();
    let event_source = found.event_source();
    let access = found.source_access(&event_source);
    let schema_registry = found.schema_registry();
    found.secrets();
    let starting_position = found.starting_position();
    let filters = found.filters();
    let batching = found.batching();
    let failures = found.failures();
    let destination = found.destination(topic.as_ref());
    let pollers = found.pollers();
    let consumer_group = found.consumer_group(&function, topic.as_ref());
    let local = found.local(&function, &event_source);
    let given_topic = topic.as_ref().map(TopicName::as_str).unwrap_or_default();
    let uuid = document.uuid.clone().unwrap_or_else(|| stable_uuid(&function, given_topic));
    found.unresolved();
    match topic {
        Some(topic) if found.errors.is_empty() => Ok(Mapping {
            function,
            topic,
            consumer_group,
            event_source,
            access,
            credentials: Credentials::default(),
            schema_registry,
            registry_credentials: RegistryCredentials::default(),
            starting_position,
            filters,
            batching,
            failures,
            destination,
            pollers,
            system_log_level: system_log_level(document),
            uuid,
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
    fn error(&mut self, member: &str, text: impl Display) {
        self.errors.push(format!("{}: {text}", setting(member)));
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
        self.error(member, format!("{value} is out of range; it must be from {min} to {max}{unit}"));
        default
    }

    /// What is wrong with the text itself: everything else is then told beside it.
    fn faults(&mut self) {
        self.errors.extend(self.document.faults.wrong_types.iter().cloned());
        for unknown in &self.document.faults.unknown {
            self.aws_rejects(unknown.clone());
        }
    }

    fn function(&mut self) -> String {
        let given = self.document.function_name.as_deref().or(self.document.function_arn.as_deref());
        let fixed_url = self.document.local.invoke_url.as_deref().is_some_and(|url| !url.contains(FUNCTION_NAME));
        match given {
            // The URL alone says which function is meant.
            None if fixed_url => EMULATED_FUNCTION.to_owned(),
            given => function_name::parse(given.unwrap_or_default()).map(str::to_owned).unwrap_or_else(|problem| {
                self.error("FunctionName", problem);
                String::new()
            }),
        }
    }

    fn topic(&mut self) -> Option<TopicName> {
        match self.document.topics.as_deref() {
            Some([name]) => TopicName::parse(name).map_err(|problem| self.error("Topics", problem)).ok(),
            _ => {
                self.error("Topics", "exactly one topic is required; create one mapping per topic");
                None
            }
        }
    }

    fn starting_position(&mut self) -> StartingPosition {
        let moment = self.document.starting_position_timestamp;
        let position = match self.document.starting_position.as_deref() {
            Some("AT_TIMESTAMP") => return self.at_timestamp(moment),
            Some("TRIM_HORIZON") => StartingPosition::TrimHorizon,
            Some("LATEST") => StartingPosition::Latest,
            None => {
                let member = setting("StartingPosition");
                self.aws_rejects(format!("{member}: required for Kafka; add TRIM_HORIZON, LATEST or AT_TIMESTAMP"));
                StartingPosition::TrimHorizon
            }
            Some(_) => {
                self.error("StartingPosition", "must be TRIM_HORIZON, LATEST or AT_TIMESTAMP");
                StartingPosition::TrimHorizon
            }
        };
        if moment.is_some() {
            self.error("StartingPositionTimestamp", "only allowed with StartingPosition AT_TIMESTAMP");
        }
        position
    }

    fn at_timestamp(&mut self, moment: Option<Moment>) -> StartingPosition {
        match moment {
            None => self.error(
                "StartingPositionTimestamp",
                "required with AT_TIMESTAMP: seconds since 1970, or an ISO 8601 date",
            ),
            Some(moment) if moment > Moment::now() => {
                self.error("StartingPositionTimestamp", "must not be in the future")
            }
            Some(_) => {}
        }
        StartingPosition::AtTimestamp(moment.map_or(0, |moment| moment.0))
    }

    fn batching(&mut self) -> Batching {
        let document = self.document;
        let size = self.range("BatchSize", document.batch_size, 100, aws_limits::BATCH_SIZE);
        let window = match document.maximum_batching_window_in_seconds {
            None => DEFAULT_WINDOW,
            given => {
                let seconds =
                    self.range("MaximumBatchingWindowInSeconds", given, 0, aws_limits::BATCHING_WINDOW_SECONDS);
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
        let retries =
            self.range("MaximumRetryAttempts", document.maximum_retry_attempts, -1, aws_limits::RETRY_ATTEMPTS);
        let age = document.maximum_record_age_in_seconds.unwrap_or(-1);
        let ages = aws_limits::RECORD_AGE_SECONDS;
        if age != -1 && !ages.contains(&age) {
            let (least, most) = (ages.start(), ages.end());
            let text = format!("{age} is out of range; it must be -1 (no limit) or from {least} to {most}");
            self.error("MaximumRecordAgeInSeconds", text);
        }
        let without_limit = destination(document).map(|_| aws_limits::RETRIES_WITH_DESTINATION);
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
        const MEMBER: &str = "DestinationConfig.OnFailure.Destination";
        let destination = destination(self.document)?;
        if let Some(topic) = destination.strip_prefix("kafka://") {
            let topic = TopicName::parse(topic).map_err(|problem| self.error(MEMBER, problem)).ok()?;
            if source == Some(&topic) {
                self.error(
                    MEMBER,
                    "must not be the mapping's own topic, because failed records would be delivered again endlessly; use a \
                     different topic",
                );
            }
            return Some(DestinationTarget::Kafka(topic));
        }
        let service = destination.strip_prefix("arn:").and_then(|arn| arn.split(':').nth(1));
        if !matches!(service, Some("sqs" | "sns" | "s3")) {
            self.error(MEMBER, "must be kafka://<topic> or the ARN of a queue, topic or bucket (sqs, sns, s3)");
            return None;
        }
        let Some(folder) = self.document.local.destination_folder.clone() else {
            self.error(
                "Local.destinationFolder",
                "required with an ARN; set it to a folder for what AWS would send to the ARN",
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
                self.error("Local.partialBatchSemantics", "must be `items` or `checkpoint`");
                PartialBatch::Items
            }
        };
        match self.document.function_response_types.as_deref() {
            None | Some([]) => None,
            Some([one]) if one == "ReportBatchItemFailures" => Some(semantics),
            Some(_) => {
                self.error("FunctionResponseTypes", "the only allowed value is [\"ReportBatchItemFailures\"]");
                None
            }
        }
    }

    fn pollers(&mut self) -> usize {
        let Some(config) = &self.document.provisioned_poller_config else { return 1 };
        let minimum = self.range(
            "ProvisionedPollerConfig.MinimumPollers",
            config.minimum_pollers,
            1,
            aws_limits::MINIMUM_POLLERS,
        );
        let maximum = self.range(
            "ProvisionedPollerConfig.MaximumPollers",
            config.maximum_pollers,
            200,
            aws_limits::MAXIMUM_POLLERS,
        );
        if minimum > maximum {
            let text = format!("MinimumPollers ({minimum}) must not be above MaximumPollers ({maximum})");
            self.error("ProvisionedPollerConfig", text);
        }
        let name = config.poller_group_name.as_deref().unwrap_or_default();
        if !aws_limits::POLLER_GROUP_NAME.contains(&name.len())
            || !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
        {
            self.error("ProvisionedPollerConfig.PollerGroupName", "must be at most 128 letters, digits, `-` and `_`");
        }
        usize::try_from(minimum).unwrap_or(1)
    }

    /// AWS generates a unique group; a stable name lets a second run continue where the first one stopped.
    fn consumer_group(&mut self, function: &str, topic: Option<&TopicName>) -> String {
        let Some(group) = self.document.kafka_source().and_then(|config| config.consumer_group_id.clone()) else {
            return format!("msk-local.{function}.{}", topic.map(TopicName::as_str).unwrap_or_default());
        };
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-/*:_+=.@ ".contains(c);
        if !aws_limits::CONSUMER_GROUP_ID.contains(&group.len()) || !group.chars().all(allowed) {
            self.error("ConsumerGroupId", "must be 1 to 200 characters of [a-zA-Z0-9-/*:_+=.@ ]");
        }
        group
    }
}

/// Stands for the function's name in an invoke URL.
const FUNCTION_NAME: &str = "{FunctionName}";

/// The mapping's level; whoever names a place for the log without a level wants to see everything.
fn system_log_level(document: &MappingDocument) -> Option<SystemLogLevel> {
    let asked = document.local.system_log.is_some().then_some(SystemLogLevel::Debug);
    document.system_log_level.as_deref().and_then(SystemLogLevel::parse).or(asked)
}

fn destination(document: &MappingDocument) -> Option<&str> {
    document.destination_config.as_ref()?.on_failure.as_deref()
}
