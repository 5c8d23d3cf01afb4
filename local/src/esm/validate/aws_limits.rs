//! AWS's limits of a mapping for Kafka, in one place, each with where it was read and when: AWS changes them.
//!
//! | Limit | Read | Source |
//! |---|---|---|
//! | all ranges of members | 2026-08 | [API], with botocore's model of it; [parameters] says which of them hold for Kafka |
//! | a schema registry's address, 2 ways of access | 2026-11 | [registry]; CloudFormation's `SchemaRegistryConfig` has the second |
//! | `PATTERN`, 5 filters, 10 with a raised quota | 2026-08 | [filtering] |
//! | 840 s for a function with a Kafka mapping | 2026-11 | [MSK]: "must be less than or equal to 14 minutes", beside a usual maximum of 15 minutes |
//! | 5,400 s for an invocation by a mapping, on Lambda Managed Instances | 2026-11 | botocore's `CreateFunctionRequest.Timeout`, which has also raised the usual maximum to 1,800 s; whether a Kafka mapping takes more than 840 s since then is not documented |
//!
//! [API]: https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html
//! [registry]: https://docs.aws.amazon.com/lambda/latest/api/API_KafkaSchemaRegistryConfig.html
//! [parameters]: https://docs.aws.amazon.com/lambda/latest/dg/services-msk-parameters.html
//! [filtering]: https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html
//! [MSK]: https://docs.aws.amazon.com/lambda/latest/dg/with-msk-configure.html

use std::ops::RangeInclusive;

pub(crate) const BATCH_SIZE: RangeInclusive<i64> = 1..=10_000;
pub(crate) const BATCHING_WINDOW_SECONDS: RangeInclusive<i64> = 0..=300;
/// -1 is no limit.
pub(crate) const RETRY_ATTEMPTS: RangeInclusive<i64> = -1..=10_000;
/// Besides -1, which is no limit.
pub(crate) const RECORD_AGE_SECONDS: RangeInclusive<i64> = 60..=604_800;
pub(crate) const MINIMUM_POLLERS: RangeInclusive<i64> = 1..=200;
pub(crate) const MAXIMUM_POLLERS: RangeInclusive<i64> = 1..=2000;
/// In characters.
pub(crate) const POLLER_GROUP_NAME: RangeInclusive<usize> = 0..=128;
/// In characters.
pub(crate) const CONSUMER_GROUP_ID: RangeInclusive<usize> = 1..=200;
/// Brokers of a self-managed cluster.
pub(crate) const BOOTSTRAP_SERVERS: RangeInclusive<usize> = 1..=10;
/// In characters.
pub(crate) const SCHEMA_REGISTRY_URI: RangeInclusive<usize> = 1..=10_000;
/// `AccessConfigs` of a schema registry.
pub(crate) const REGISTRY_ACCESS_CONFIGS: RangeInclusive<usize> = 0..=2;
/// More filters need a raised quota.
pub(crate) const FILTERS: usize = 5;
/// More filters than these cannot be had.
pub(crate) const FILTERS_WITH_QUOTA: usize = 10;
/// The function's timeout: AWS takes no more for Kafka.
pub(crate) const FUNCTION_TIMEOUT_SECONDS: f64 = 840.0;
/// No invocation lasts longer.
pub(crate) const LONGEST_INVOCATION_SECONDS: f64 = 5400.0;
/// With a destination, endless retries end.
pub(crate) const RETRIES_WITH_DESTINATION: u32 = 10;
