//! What a publisher promises, whatever is behind it.

use std::future::Future;
use std::sync::Arc;

use super::failure::PublishFailure;
use super::partition::Partition;
use super::record::{Delivery, OutboundRecord};
use crate::deadline::Deadline;
use crate::names::TopicName;

/// What became of one record.
///
/// ```
/// use msk_shared::kafka::{Persisted, PublishResult};
///
/// fn tell(result: PublishResult) -> String {
///     match result {
///         Ok(delivery) => format!("written at offset {}", delivery.offset),
///         Err(failure) if failure.persisted == Persisted::No => format!("not written: {}", failure.cause.name()),
///         Err(failure) => format!("possibly written: {}", failure.cause.name()),
///     }
/// }
/// # use msk_shared::kafka::{FailureCause, PublishFailure};
/// # assert_eq!(tell(Err(PublishFailure::not_sent(FailureCause::NoTimeLeft))), "not written: no_time_left");
/// ```
pub type PublishResult = Result<Delivery, PublishFailure>;

/// Writes records to Kafka and reports truthfully what became of each.
///
/// ```
/// use std::time::Duration;
///
/// use msk_shared::deadline::Deadline;
/// use msk_shared::kafka::{OutboundRecord, PublishResult, Publisher};
///
/// /// Takes any publisher: that of a cluster, or one of a test's own.
/// async fn announce<P: Publisher>(publisher: &P, record: OutboundRecord) -> Option<PublishResult> {
///     let deadline = Deadline::after(Duration::from_secs(10));
///     publisher.readiness(deadline).await.is_ready().then_some(())?;
///     publisher.publish(vec![record], deadline).await.pop()
/// }
/// ```
pub trait Publisher: Clone + Send + Sync + 'static {
    /// Answers before `deadline` with one result per record, in the same order. Records of one call with the same key or
    /// partition keep their order, and a record's result is its own: none is refused for what is wrong with another.
    fn publish(
        &self,
        records: Vec<OutboundRecord>,
        deadline: Deadline,
    ) -> impl Future<Output = Vec<PublishResult>> + Send;

    /// A topic's partitions, from metadata at most a minute old.
    ///
    /// # Errors
    /// [`TopicMissing`](super::FailureCause::TopicMissing) if the cluster does not have the topic, otherwise why the cluster
    /// could not be asked.
    fn partitions(
        &self,
        topic: &TopicName,
        deadline: Deadline,
    ) -> impl Future<Output = Result<Arc<[Partition]>, PublishFailure>> + Send;

    /// As [`Self::partitions`], but asked of the cluster after the call began: what a caller is told of a partition that is
    /// not there must hold now. A publisher that remembers nothing has no need to tell the two apart.
    ///
    /// # Errors
    /// As [`Self::partitions`].
    fn partitions_now(
        &self,
        topic: &TopicName,
        deadline: Deadline,
    ) -> impl Future<Output = Result<Arc<[Partition]>, PublishFailure>> + Send {
        self.partitions(topic, deadline)
    }

    /// A topic's `max.message.bytes`, which limits a batch as it is stored; `None` when the cluster does not tell it, for
    /// example for want of `kafka-cluster:DescribeTopicDynamicConfiguration`.
    fn max_message_bytes(&self, topic: &TopicName, deadline: Deadline) -> impl Future<Output = Option<usize>> + Send;

    /// Whether a record could be written now, as one result per check.
    fn readiness(&self, deadline: Deadline) -> impl Future<Output = Readiness> + Send;
}

/// What a record needs to be written.
///
/// ```
/// use msk_shared::kafka::{NotReady, Readiness};
///
/// let readiness = Readiness { brokers: Ok(()), producer_id: Err(NotReady::NoProducerId), token: Ok(()) };
/// let failed: Vec<_> = readiness.checks().into_iter().filter(|(_, check)| check.is_err()).collect();
/// assert_eq!(failed, [("producer_id", Err(NotReady::NoProducerId))]);
/// assert!(!readiness.is_ready());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Readiness {
    /// A broker answers now.
    pub brokers: Result<(), NotReady>,
    /// The idempotent producer has its id.
    pub producer_id: Result<(), NotReady>,
    /// The MSK IAM token is valid, if the client needs one.
    pub token: Result<(), NotReady>,
}

/// Why a check fails. Does not name any host.
///
/// ```
/// use msk_shared::kafka::NotReady;
///
/// assert_eq!(NotReady::NoBroker.to_string(), "no broker answers");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    /// No broker answered in time.
    #[error("no broker answers")]
    NoBroker,
    /// The brokers refused to authenticate the client.
    #[error("the cluster refuses the function's credentials")]
    CredentialsRefused,
    /// The idempotent producer is waiting for its id.
    #[error("no producer id acquired yet")]
    NoProducerId,
    /// The token has expired, or could not be signed.
    #[error("no valid MSK IAM token")]
    NoToken,
}

impl Readiness {
    /// Whether every check passes.
    pub fn is_ready(&self) -> bool {
        self.checks().iter().all(|(_, check)| check.is_ok())
    }

    /// The checks by name.
    pub fn checks(&self) -> [(&'static str, Result<(), NotReady>); 3] {
        [("brokers", self.brokers), ("producer_id", self.producer_id), ("token", self.token)]
    }
}
