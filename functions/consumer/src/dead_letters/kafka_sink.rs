//! Dead letters in a Kafka topic.

use msk_shared::deadline::Deadline;
use msk_shared::kafka::{FailureCause, Header, OutboundRecord, Publisher};

use super::{DeadLetter, DeadLetterError, DeadLetterSink, TopicPattern};

/// Writes dead letters to a topic, acknowledged by all in-sync replicas.
#[derive(Debug, Clone)]
pub struct KafkaSink<P> {
    publisher: P,
    topic: TopicPattern,
}

impl<P: Publisher> KafkaSink<P> {
    /// Writes to the topic of `topic` through `publisher`.
    pub fn new(publisher: P, topic: TopicPattern) -> Self {
        Self { publisher, topic }
    }

    fn record(&self, letter: &DeadLetter) -> Result<OutboundRecord, DeadLetterError> {
        let source = letter.topic.as_deref().unwrap_or_default();
        let topic = self.topic.topic_for(source)?;
        if topic.as_str() == source {
            return Err(DeadLetterError::SameTopic);
        }
        let headers = letter.headers().into_iter().map(|header| Header {
            // The client library takes names as C strings.
            name: header.name.replace('\0', "\u{fffd}"),
            value: header.value,
        });
        Ok(OutboundRecord {
            topic,
            // By key, as the source topic does: letters of one key stay in order.
            partition: None,
            key: letter.key.clone(),
            value: letter.value.clone(),
            // Now: with the original one an old record could be gone by retention before anyone looks.
            timestamp_ms: None,
            headers: headers.collect(),
        })
    }
}

impl<P: Publisher> DeadLetterSink for KafkaSink<P> {
    async fn send(&self, letter: &DeadLetter, deadline: Deadline) -> Result<(), DeadLetterError> {
        let record = self.record(letter)?;
        match self.publisher.publish(vec![record], deadline).await.pop() {
            Some(Ok(_)) => Ok(()),
            Some(Err(failure)) => Err(DeadLetterError::NotAcknowledged(advice(failure.cause))),
            None => Err(DeadLetterError::NotAcknowledged("its result is not known")),
        }
    }
}

/// What to do about it, where something can be done.
fn advice(cause: FailureCause) -> &'static str {
    match cause {
        FailureCause::TopicMissing => "the cluster does not have the dead-letter topic; create it",
        FailureCause::RecordTooLarge => "it is too large; raise max.message.bytes of the dead-letter topic",
        FailureCause::KeyMissing => "it has no key; the dead-letter topic must not be compacted",
        FailureCause::TimestampOutOfRange => {
            "its timestamp is too old; raise message.timestamp.before.max.ms of the topic"
        }
        FailureCause::TopicAuthorization => "the function may not write the topic; allow kafka-cluster:WriteData on it",
        FailureCause::ClusterAuthorization => "the function may not write; allow kafka-cluster:WriteDataIdempotently",
        other => other.name(),
    }
}
