//! Events as the mapping would send them, read outside the consumer group: no member is disturbed and nothing is committed.

use std::collections::BTreeMap;
use std::time::Instant;

use msk_shared::event::Record;
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::batcher::{BatchDue, Batcher, NextBatch};
use super::broker_queries::{self, ANSWER_TIMEOUT, QueryClient};
use super::commit::CommitTracker;
use super::consumer;
use super::error::MappingError;
use super::mapping::Mapping;
use super::msk_event::{Envelope, MAX_EVENT_BYTES, PolledRecord, TOMBSTONES, ranges};
use super::schema_registry::blocking::BlockingRegistry;

/// An event that the mapping would send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedEvent {
    /// The JSON text.
    pub json: Vec<u8>,
    /// How many records it has.
    pub records: usize,
    /// The first of them, as `orders-0@5`.
    pub first: String,
    /// Their partitions and offsets, as `orders-0@5..9`.
    pub offsets: String,
}

/// Reads from where the group stands (or would start) to the ends of the partitions as they are now, at most `most` records, and
/// gives each event to `sink`, in batches as full as they can be. Records that no filter keeps, or that their schemas refuse, are left
/// out. Blocks.
///
/// # Errors
/// [`MappingError`] if the brokers do not answer, or an error of `sink`.
pub fn read_events<E: From<MappingError>>(
    mapping: &Mapping,
    most: Option<u64>,
    mut sink: impl FnMut(RenderedEvent) -> Result<(), E>,
) -> Result<u64, E> {
    let mapping = mapping.clone().with_credentials().map_err(MappingError::from)?;
    let mut reader = Reader::start(&mapping)?;
    let mut read = 0;
    while most.is_none_or(|most| read < most)
        && let Some(record) = reader.next()?
    {
        read += 1;
        reader.batcher.push(record);
        while reader.batcher.due(Instant::now()) == BatchDue::Now
            && let Some(event) = reader.take()
        {
            sink(event)?;
        }
    }
    while !reader.batcher.is_empty() {
        if let Some(event) = reader.take() {
            sink(event)?;
        }
    }
    Ok(read)
}

/// An event of these records, as the mapping would send it.
///
/// # Errors
/// A sentence with both sizes if it is larger than the largest event.
pub fn sample_event(mapping: &Mapping, records: Vec<Record>) -> Result<Vec<u8>, String> {
    let brokers = mapping.local.bootstrap_servers.as_deref().unwrap_or(SAMPLE_BROKERS);
    let json = Envelope::new(&mapping.event_source, brokers).event_with(records).to_json(TOMBSTONES);
    if json.len() > MAX_EVENT_BYTES {
        return Err(format!(
            "the event has {} bytes, and Lambda takes {MAX_EVENT_BYTES}: make its records fewer or smaller",
            json.len()
        ));
    }
    Ok(json)
}

/// What a sample event names as its brokers.
const SAMPLE_BROKERS: &str = "127.0.0.1:9092";

struct Reader<'a> {
    mapping: &'a Mapping,
    brokers: String,
    client: QueryClient,
    envelope: Envelope,
    batcher: Batcher,
    registry: Option<BlockingRegistry>,
    /// The partitions that are not read to their end, and these ends.
    ends: BTreeMap<i32, i64>,
    trackers: BTreeMap<i32, CommitTracker>,
}

impl<'a> Reader<'a> {
    fn start(mapping: &'a Mapping) -> Result<Self, MappingError> {
        let brokers = mapping.local.bootstrap_servers.clone().ok_or(MappingError::NoBrokers)?;
        let (client, spans) = broker_queries::unread(mapping, &brokers)?;
        let topic = mapping.topic.as_str();
        let group = |source: KafkaError| MappingError::Group { group: mapping.consumer_group.clone(), source };
        let mut list = TopicPartitionList::new();
        for span in &spans {
            list.add_partition_offset(topic, span.partition, Offset::Offset(span.first)).map_err(group)?;
        }
        client.assign(&list).map_err(group)?;
        let envelope = Envelope::new(&mapping.event_source, &brokers);
        // Nothing more is waited for: what is there fills the batches.
        let batcher = Batcher::new(mapping.batching, envelope.clone());
        let ends = spans.iter().map(|span| (span.partition, span.end)).collect();
        let trackers = spans.iter().map(|span| (span.partition, CommitTracker::new(span.partition, 1))).collect();
        let registry = mapping.schema_registry.as_ref();
        let registry =
            registry.map(|settings| BlockingRegistry::new(settings, &mapping.registry_credentials)).transpose()?;
        Ok(Self { mapping, brokers, client, envelope, batcher, registry, ends, trackers })
    }

    /// The next record; `None` once every partition is read to its end.
    fn next(&mut self) -> Result<Option<PolledRecord>, MappingError> {
        while !self.ends.is_empty() {
            let silent = || MappingError::Brokers {
                brokers: self.brokers.clone(),
                cause: "a fetch was not answered".to_owned(),
            };
            let message = match self.client.poll(ANSWER_TIMEOUT).ok_or_else(silent)? {
                // Compaction and transaction markers may take the last offsets.
                Err(KafkaError::PartitionEOF(partition)) => {
                    self.ends.remove(&partition);
                    continue;
                }
                Err(source) if consumer::is_fatal(&source) => {
                    return Err(MappingError::Group { group: self.mapping.consumer_group.clone(), source });
                }
                // The client retries by itself.
                Err(_) => continue,
                Ok(message) => message,
            };
            let (partition, offset) = (message.partition(), message.offset());
            let Some(end) = self.ends.get(&partition).copied() else { continue };
            if offset + 1 >= end {
                self.ends.remove(&partition);
            }
            let record = consumer::record(&message, &self.mapping.topic.as_str().into());
            if offset < end
                && let Some(record) = self.kept(record)?
                && let Some(tracker) = self.trackers.get_mut(&partition)
            {
                return Ok(Some(PolledRecord::new(record, tracker.polled(offset), Instant::now())));
            }
        }
        Ok(None)
    }

    /// The record as the function would get it, if it would.
    fn kept(&self, record: Record) -> Result<Option<Record>, MappingError> {
        let (record, judged_value) = match &self.registry {
            None => (record, None),
            Some(registry) => match registry.convert(record, MAX_EVENT_BYTES)? {
                Ok(converted) => converted,
                Err((record, refusal)) => {
                    let detail = refusal.detail();
                    tracing::warn!(record = %record.id(), detail, "the mapping would give this record up");
                    return Ok(None);
                }
            },
        };
        Ok(self.mapping.filters.keep(&record, judged_value.as_deref()).then_some(record))
    }

    /// The next event; `None` if a record is too large for any.
    fn take(&mut self) -> Option<RenderedEvent> {
        let taken = self.batcher.take()?;
        for partition in self.trackers.keys() {
            self.batcher.release(*partition);
        }
        match taken {
            NextBatch::Oversize(record) => {
                tracing::warn!(record = %record.record.id(), "MaximumPayloadSizeExceeded: the record is too large for an event");
                None
            }
            NextBatch::Batch(records) => Some(RenderedEvent {
                json: self.envelope.event(&records).to_json(TOMBSTONES),
                records: records.len(),
                first: records.first().map(|polled| polled.record.id().to_string()).unwrap_or_default(),
                offsets: ranges(records.iter().map(|polled| polled.record.id())),
            }),
        }
    }
}
