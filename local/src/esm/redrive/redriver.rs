//! Sends a record back to its topic, with a count of how often that was done.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use msk_shared::event::Header;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header as KafkaHeader, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use rdkafka::types::RDKafkaErrorCode as Code;

use super::super::error::MappingError;
use super::super::kafka_client::{DELIVERY_TIMEOUT, QuietContext, producer_settings};
use super::failure_document::DeadLetter;
use super::letter_source::{Cluster, partitions_of};

/// How often a record was sent back: the loop counter. Whatever makes a dead letter of it keeps its headers.
const COUNT_HEADER: &str = "x-redrive-count";
/// How long they may take to tell a topic's partitions.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) struct Redriver {
    producer: FutureProducer<QuietContext>,
    max_redrives: u32,
    dry_run: bool,
    /// How many partitions topics have, as far as they were asked for.
    partitions: HashMap<String, i32>,
}

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sent {
    To {
        place: String,
        redrives: u32,
    },
    TooOften {
        redrives: u32,
    },
    /// This record or its topic is the cause: others may go.
    Refused {
        reason: String,
    },
}

impl Redriver {
    pub(super) fn new(cluster: &Cluster, max_redrives: u32, dry_run: bool) -> Result<Self, MappingError> {
        let producer = producer_settings(&cluster.client_settings())
            .create()
            .map_err(|error| MappingError::Client(error.to_string()))?;
        Ok(Self { producer, max_redrives, dry_run, partitions: HashMap::new() })
    }

    /// Sends a record and waits for its acknowledgement.
    ///
    /// # Errors
    /// What would meet the next record, too.
    pub(super) async fn send(&mut self, letter: DeadLetter) -> Result<Sent, MappingError> {
        let redrives = count(&letter.headers);
        if redrives >= self.max_redrives {
            return Ok(Sent::TooOften { redrives });
        }
        let redrives = redrives + 1;
        let partition = match self.partition(&letter).await {
            Err(error) if is_of_one_topic(&error) => return Ok(Sent::Refused { reason: error.to_string() }),
            partition => partition?,
        };
        if self.dry_run {
            let place = partition.map_or_else(|| letter.topic.clone(), |number| format!("{}-{number}", letter.topic));
            return Ok(Sent::To { place, redrives });
        }
        let mut record = FutureRecord::<[u8], [u8]>::to(&letter.topic).headers(headers(&letter, redrives));
        record.partition = partition;
        record.key = letter.key.as_deref();
        record.payload = letter.value.as_deref();
        let delivered = match self.producer.send(record, DELIVERY_TIMEOUT).await {
            Ok(delivered) => delivered,
            Err((source, _)) if is_of_one_record(&source) => {
                return Ok(Sent::Refused { reason: format!("its topic does not take it: {source}") });
            }
            Err((source, _)) => return Err(MappingError::Redrive { topic: letter.topic, source }),
        };
        let place = format!("{}-{}@{}", letter.topic, delivered.partition, delivered.offset);
        Ok(Sent::To { place, redrives })
    }

    /// The partition that the record was in, where the other records of its key are; if the topic has it no more, the key decides.
    async fn partition(&mut self, letter: &DeadLetter) -> Result<Option<i32>, MappingError> {
        let count = match self.partitions.get(&letter.topic) {
            Some(count) => *count,
            None => {
                let count = self.partition_count(letter.topic.clone()).await?;
                self.partitions.insert(letter.topic.clone(), count);
                count
            }
        };
        Ok(letter.partition.filter(|partition| (0..count).contains(partition)))
    }

    async fn partition_count(&self, topic: String) -> Result<i32, MappingError> {
        let producer = self.producer.clone();
        let asked = tokio::task::spawn_blocking(move || {
            let failed = |source| MappingError::Redrive { topic: topic.clone(), source };
            let metadata = producer.client().fetch_metadata(Some(&topic), ANSWER_TIMEOUT).map_err(failed)?;
            partitions_of(&topic, &metadata)
        });
        asked.await.map_err(|_| MappingError::Poller)?
    }
}

/// Whether a topic is the cause, and records of others may be sent.
pub(super) fn is_of_one_topic(error: &MappingError) -> bool {
    match error {
        MappingError::NoRedriveTopic { .. } => true,
        MappingError::Redrive { source, .. } => is_of_one_record(source),
        _ => false,
    }
}

/// Whether the record or its topic is the cause, and the next record may be taken. A right that is missing can be given, and the letters
/// wait for it.
fn is_of_one_record(error: &KafkaError) -> bool {
    use Code::{
        InvalidRecord, InvalidTopic, MessageSizeTooLarge, PolicyViolation, UnknownPartition, UnknownTopic,
        UnknownTopicOrPartition,
    };
    matches!(
        error.rdkafka_error_code(),
        Some(
            InvalidRecord
                | InvalidTopic
                | MessageSizeTooLarge
                | PolicyViolation
                | UnknownPartition
                | UnknownTopic
                | UnknownTopicOrPartition
        )
    )
}

/// How often the record was sent back; a header that is no number does not count.
fn count(headers: &[Header]) -> u32 {
    let found = headers.iter().rev().find(|header| header.name == COUNT_HEADER);
    let text = found.and_then(|header| std::str::from_utf8(header.value.as_deref()?).ok());
    text.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// The record's own headers, and the new count in place of an old one.
fn headers(letter: &DeadLetter, redrives: u32) -> OwnedHeaders {
    let own = letter.headers.iter().filter(|header| header.name != COUNT_HEADER);
    let owned = own.fold(OwnedHeaders::new(), |owned, header| {
        owned.insert(KafkaHeader { key: &header.name, value: header.value.as_ref().map(Bytes::as_ref) })
    });
    owned.insert(KafkaHeader { key: COUNT_HEADER, value: Some(&redrives.to_string()) })
}
