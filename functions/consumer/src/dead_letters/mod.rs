//! Where records that will never succeed go: their original bytes, with headers that give the reason and the origin.

mod dead_letter;
#[cfg(feature = "dead-letter-kafka")]
mod kafka_sink;
mod topic_pattern;

use std::future::Future;
use std::sync::Arc;

use msk_shared::deadline::Deadline;
use msk_shared::names::TopicNameError;

pub use dead_letter::{DeadLetter, PoisonReason};
#[cfg(feature = "dead-letter-kafka")]
pub use kafka_sink::KafkaSink;
pub use topic_pattern::{TargetError, TopicPattern};

/// Keeps records that will never succeed.
///
/// ```
/// use msk_consumer::dead_letters::{DeadLetter, DeadLetterError, DeadLetterSink};
/// use msk_shared::deadline::Deadline;
///
/// /// Dead letters in the log, for a consumer that can do without their content.
/// struct Noted;
///
/// impl DeadLetterSink for Noted {
///     async fn send(&self, letter: &DeadLetter, _deadline: Deadline) -> Result<(), DeadLetterError> {
///         tracing::error!(topic = letter.topic.as_deref(), offset = letter.offset, error = letter.error, "dead letter");
///         Ok(())
///     }
/// }
/// ```
pub trait DeadLetterSink: Send + Sync + 'static {
    /// Called with each topic of a batch before the batch is handled, so that a sink can check in the background that it could
    /// take that topic's records. Returns at once.
    fn note_source(&self, _topic: &str) {}

    /// Sends a dead letter and returns once it is stored safely.
    ///
    /// # Errors
    /// [`DeadLetterError`]: the record counts as failed and is redelivered.
    fn send(&self, letter: &DeadLetter, deadline: Deadline)
    -> impl Future<Output = Result<(), DeadLetterError>> + Send;
}

/// Why a dead letter was not stored.
///
/// ```
/// use msk_consumer::dead_letters::DeadLetterError;
///
/// // What a sink of your own says of its store.
/// let error = DeadLetterError::NotAcknowledged("the bucket does not exist; create it");
/// assert_eq!(error.to_string(), "the dead letter was not acknowledged: the bucket does not exist; create it");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeadLetterError {
    /// There is no sink.
    #[error(
        "no dead-letter topic is configured, so the record blocks its lane; set DEAD_LETTER, for example to `kafka:{{topic}}.dlq`"
    )]
    NotConfigured,
    /// It would be written to the topic it came from, and be delivered again.
    #[error("the dead-letter topic is the record's own topic; set DEAD_LETTER to a different topic")]
    SameTopic,
    /// The topic name made from the pattern is invalid.
    #[error("the name of the dead-letter topic is invalid: {0}")]
    TopicName(#[from] TopicNameError),
    /// It was not acknowledged.
    #[error("the dead letter was not acknowledged: {0}")]
    NotAcknowledged(&'static str),
}

/// No sink is configured: a poison record counts as failed.
///
/// ```
/// use std::time::Duration;
///
/// use msk_consumer::dead_letters::{DeadLetter, DeadLetterError, DeadLetterSink, NoSink, PoisonReason};
/// use msk_shared::deadline::Deadline;
/// use msk_shared::event::Record;
///
/// # msk_shared::executor::with_threads(1)?.block_on(async {
/// let letter = DeadLetter::new(Ok(&Record::new("orders", 0, 7)), PoisonReason::Panic, String::new(), 1);
/// let sent = NoSink.send(&letter, Deadline::after(Duration::from_secs(1))).await;
/// assert_eq!(sent, Err(DeadLetterError::NotConfigured));
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSink;

impl DeadLetterSink for NoSink {
    async fn send(&self, _: &DeadLetter, _: Deadline) -> Result<(), DeadLetterError> {
        Err(DeadLetterError::NotConfigured)
    }
}

/// A shared sink.
impl<D: DeadLetterSink> DeadLetterSink for Arc<D> {
    fn note_source(&self, topic: &str) {
        D::note_source(self, topic);
    }

    fn send(
        &self,
        letter: &DeadLetter,
        deadline: Deadline,
    ) -> impl Future<Output = Result<(), DeadLetterError>> + Send {
        D::send(self, letter, deadline)
    }
}

/// An optional sink: `None` behaves like [`NoSink`].
impl<D: DeadLetterSink> DeadLetterSink for Option<D> {
    fn note_source(&self, topic: &str) {
        if let Some(sink) = self {
            sink.note_source(topic);
        }
    }

    async fn send(&self, letter: &DeadLetter, deadline: Deadline) -> Result<(), DeadLetterError> {
        match self {
            Some(sink) => sink.send(letter, deadline).await,
            None => NoSink.send(letter, deadline).await,
        }
    }
}
