//! The Kafka client: settings from the environment, MSK IAM tokens, and a publisher that says truthfully
//! what became of each record, also across freezes, fatal errors and dead clusters.
//!
//! The way of a record: [`OutboundRecord`] -> [`Publisher::publish`] -> [`Delivery`] or [`PublishFailure`].

mod admission;
mod client;
mod client_config;
mod context;
mod failure;
mod guard;
mod partitions;
mod publisher;
mod record;
mod sabotage;
mod sending;
mod settings;
mod token;

use std::collections::BTreeMap;
use std::future::Future;

use crate::deadline::Deadline;
use crate::names::TopicName;

pub use failure::{FailureCause, Persisted, PublishFailure};
pub use publisher::{
    DeliveryTimeout, KafkaPublisher, Milestones, PublisherSettings, PublisherStats, StartError, WarmUp,
};
pub use record::{Delivery, Header, OutboundRecord};
pub use settings::{Auth, ClientCertificate, KafkaSettings, Secret};
pub use token::{CredentialsError, MskToken, TokenError, TokenSource};

/// What became of one record.
pub type PublishResult = Result<Delivery, PublishFailure>;

/// Writes records to Kafka and says truthfully what became of each.
pub trait Publisher: Clone + Send + Sync + 'static {
    /// Sends all records before it waits for any, and answers before `deadline` with one result per record, in the
    /// same order. Records of one call with the same key or partition keep their order.
    fn publish(
        &self,
        records: Vec<OutboundRecord>,
        deadline: Deadline,
    ) -> impl Future<Output = Vec<PublishResult>> + Send;

    /// How many partitions a topic has, from metadata at most a minute old.
    ///
    /// # Errors
    /// [`FailureCause::TopicMissing`] when the cluster does not have it, otherwise why the cluster could not be asked.
    fn partition_count(
        &self,
        topic: &TopicName,
        deadline: Deadline,
    ) -> impl Future<Output = Result<u32, PublishFailure>> + Send;

    /// Whether a record could be written now, check by check.
    fn readiness(&self, deadline: Deadline) -> impl Future<Output = Readiness> + Send;
}

/// Named checks (`brokers`, `producer_id`, `token`) and their outcome: `ok`, or a short reason without host names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    /// Check name to outcome.
    pub checks: BTreeMap<&'static str, String>,
}

impl Readiness {
    /// Whether every check says `ok`.
    pub fn is_ready(&self) -> bool {
        self.checks.values().all(|outcome| outcome == "ok")
    }
}
