//! Dead letters in a Kafka topic.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use msk_shared::deadline::Deadline;
use msk_shared::kafka::{FailureCause, Header, OutboundRecord, Publisher};
use msk_shared::names::TopicName;

use super::{DeadLetter, DeadLetterError, DeadLetterSink, TopicPattern};

/// What a letter's headers take at most, besides its record's own: names, place and an error of 1 KiB.
const HEAD_ROOM: usize = 16 * 1024;
/// The limits are asked for beside the first batch; one that comes later helps as much.
const LIMITS_WITHIN: Duration = Duration::from_secs(5);

/// Writes dead letters to a topic, acknowledged by all in-sync replicas.
///
/// ```no_run
/// use msk_consumer::dead_letters::KafkaSink;
/// use msk_shared::kafka::{KafkaPublisher, KafkaSettings, PublisherSettings};
///
/// # fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let publisher = KafkaPublisher::start(PublisherSettings::new(KafkaSettings::plain("127.0.0.1:9092"), "shop"))?;
/// let sink = KafkaSink::new(publisher, "kafka:{topic}.dlq".parse()?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct KafkaSink<P> {
    publisher: P,
    topic: TopicPattern,
    /// Topics whose limits were compared.
    compared: Arc<Mutex<BTreeSet<String>>>,
}

impl<P: Publisher> KafkaSink<P> {
    /// Writes to the topic of `topic` through `publisher`.
    pub fn new(publisher: P, topic: TopicPattern) -> Self {
        Self { publisher, topic, compared: Arc::default() }
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
            // By key, as in the source topic: dead letters with the same key stay in order.
            partition: None,
            key: letter.key.clone(),
            value: letter.value.clone(),
            // The current time: with the original timestamp, retention could delete an old record before anyone looks at it.
            timestamp_ms: None,
            headers: headers.collect(),
        })
    }
}

impl<P: Publisher> DeadLetterSink for KafkaSink<P> {
    /// Compares the limits of the two topics once, beside the batch: a letter that does not fit would be noticed only when a
    /// large record is poison, and hold up its partition then.
    fn note_source(&self, topic: &str) {
        let mut compared = self.compared.lock().unwrap_or_else(PoisonError::into_inner);
        if compared.contains(topic) {
            return;
        }
        compared.insert(topic.to_owned());
        let (Ok(source), Ok(dead_letters)) = (TopicName::parse(topic), self.topic.topic_for(topic)) else { return };
        let publisher = self.publisher.clone();
        tokio::spawn(async move {
            let deadline = Deadline::after(LIMITS_WITHIN);
            let source_limit = publisher.max_message_bytes(&source, deadline).await;
            let limit = publisher.max_message_bytes(&dead_letters, deadline).await;
            warn_if_letters_do_not_fit(&source, source_limit, &dead_letters, limit);
        });
    }

    async fn send(&self, letter: &DeadLetter, deadline: Deadline) -> Result<(), DeadLetterError> {
        let record = self.record(letter)?;
        match self.publisher.publish(vec![record], deadline).await.pop() {
            Some(Ok(_)) => Ok(()),
            Some(Err(failure)) => Err(DeadLetterError::NotAcknowledged(advice(failure.cause))),
            None => Err(DeadLetterError::NotAcknowledged("its delivery result is unknown")),
        }
    }
}

/// Says what the dead-letter topic must take if it takes less.
fn warn_if_letters_do_not_fit(
    source: &TopicName,
    source_limit: Option<usize>,
    dead_letters: &TopicName,
    limit: Option<usize>,
) {
    let (Some(max_message_bytes), Some(dead_letter_max_message_bytes)) = (source_limit, limit) else {
        tracing::debug!(topic = %source, "the limits of the topic and its dead-letter topic are not known");
        return;
    };
    let needs = max_message_bytes.saturating_add(HEAD_ROOM);
    if dead_letter_max_message_bytes < needs {
        tracing::warn!(
            topic = %source,
            dead_letter_topic = %dead_letters,
            max_message_bytes,
            dead_letter_max_message_bytes,
            needs,
            "a large dead letter does not fit: raise max.message.bytes of the dead-letter topic to `needs`, or such a \
             record holds up its partition"
        );
    }
}

/// What to do about it, if anything can be done.
fn advice(cause: FailureCause) -> &'static str {
    match cause {
        FailureCause::TopicMissing => "the dead-letter topic does not exist; create it",
        FailureCause::RecordTooLarge => {
            "it is too large for the dead-letter topic; raise the topic's max.message.bytes"
        }
        FailureCause::KeyMissing => "it has no key; the dead-letter topic must not be compacted",
        FailureCause::TimestampOutOfRange => {
            "its timestamp is too old; raise message.timestamp.before.max.ms of the topic"
        }
        FailureCause::TopicAuthorization => {
            "the function is not allowed to write to the dead-letter topic; grant it kafka-cluster:WriteData on the topic"
        }
        FailureCause::ClusterAuthorization => {
            "the function is not allowed to write to the cluster; grant it kafka-cluster:WriteDataIdempotently"
        }
        other => other.name(),
    }
}
