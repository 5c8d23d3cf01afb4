//! Where records go that will never succeed: their original bytes, with headers that say why and where from.

#[cfg(feature = "dead-letter-kafka")]
mod kafka;
mod letter;
mod target;

use std::future::Future;
use std::sync::Arc;

use msk_shared::deadline::Deadline;
use msk_shared::names::TopicNameError;

#[cfg(feature = "dead-letter-kafka")]
pub use kafka::KafkaDeadLetter;
pub use letter::{Letter, PoisonReason};
pub use target::{TargetError, TopicPattern};

/// Keeps records that will never succeed.
pub trait DeadLetter: Send + Sync + 'static {
    /// Sends a record and returns when it is surely kept.
    ///
    /// # Errors
    /// [`DeadLetterError`]: the record counts as failed and comes again.
    fn send(&self, letter: &Letter<'_>, deadline: Deadline)
    -> impl Future<Output = Result<(), DeadLetterError>> + Send;
}

/// Why a record is not in the dead letter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeadLetterError {
    /// There is none.
    #[error(
        "no dead letter is configured, so the record blocks its lane; set DEAD_LETTER, such as `kafka:{{topic}}.dlq`"
    )]
    NotConfigured,
    /// It would be written to where it came from, and come back.
    #[error("the dead-letter topic is the record's own topic; set DEAD_LETTER to another one")]
    SameTopic,
    /// The topic made from the pattern has no valid name.
    #[error("the dead-letter topic's name is not valid: {0}")]
    TopicName(#[from] TopicNameError),
    /// It was not acknowledged.
    #[error("the dead letter was not acknowledged: {0}")]
    NotAcknowledged(&'static str),
}

/// No dead letter: a poison record is a failed one.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoDeadLetter;

impl DeadLetter for NoDeadLetter {
    async fn send(&self, _: &Letter<'_>, _: Deadline) -> Result<(), DeadLetterError> {
        Err(DeadLetterError::NotConfigured)
    }
}

/// A dead letter that is shared with others.
impl<D: DeadLetter> DeadLetter for Arc<D> {
    fn send(
        &self,
        letter: &Letter<'_>,
        deadline: Deadline,
    ) -> impl Future<Output = Result<(), DeadLetterError>> + Send {
        D::send(self, letter, deadline)
    }
}

/// A dead letter, or none.
impl<D: DeadLetter> DeadLetter for Option<D> {
    async fn send(&self, letter: &Letter<'_>, deadline: Deadline) -> Result<(), DeadLetterError> {
        match self {
            Some(dead_letter) => dead_letter.send(letter, deadline).await,
            None => NoDeadLetter.send(letter, deadline).await,
        }
    }
}
