//! The Kafka client: settings from the environment, MSK IAM tokens, and a publisher that reports truthfully what became of
//! each record, also across freezes, fatal errors and dead clusters.
//!
//! The path of a record: [`OutboundRecord`] -> [`Publisher::publish`] -> [`Delivery`] or [`PublishFailure`]. Each file stands
//! on those to its right only:
//! `publisher` -> `c_flags`, `topic_limit`, `isolation` -> `record_delivery`, `topic_refusals` -> `client_slot`, `partition_health` ->
//! `client` -> `callbacks` -> `properties` -> `settings` -> `iam` -> `reports` -> `publish`, `milestones` -> `refusal`,
//! `partitioner` -> `failure`, `record`, `partition`.

mod c_flags;
mod callbacks;
mod circuit_breaker;
mod client;
mod client_slot;
mod environment;
mod failure;
mod iam;
mod isolation;
mod milestones;
mod partition;
mod partition_health;
mod partitioner;
mod properties;
mod publish;
mod publisher;
mod record;
mod record_delivery;
mod refusal;
mod reports;
mod sabotage;
mod settings;
mod topic_limit;
mod topic_refusals;

pub use crate::aws::CredentialsError;
pub use crate::env::Secret;
pub use crate::header::Header;
pub use failure::{FailureCause, Persisted, PublishFailure};
pub use iam::{MskToken, TokenError, TokenSource};
pub use milestones::{Milestones, WarmUp};
pub use partition::{Partition, Replica};
pub use publish::{NotReady, PublishResult, Publisher, Readiness};
pub use publisher::{KafkaPublisher, PublisherStats, StartError};
pub use record::{Delivery, OutboundRecord};
pub use settings::{Auth, ClientCertificate, DeliveryTimeout, KafkaSettings, PublisherSettings};
