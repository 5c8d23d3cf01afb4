//! The event sent to a function: what all events of a mapping share, the records, and the exact length of the JSON.

use std::time::Instant;

use msk_shared::event::{MSK_EVENT_SOURCE, MskEvent, Record, RecordId, SELF_MANAGED_EVENT_SOURCE, TombstoneStyle};

use super::commit::DeliveryTicket;
use super::mapping::EventSource;

/// Largest event of a synchronous invocation in bytes (AWS Lambda quotas: 6 MB).
pub const MAX_EVENT_BYTES: usize = 6_291_456;

/// How null keys and values are written; AWS does not document it, and its toolkits accept this.
pub(super) const TOMBSTONES: TombstoneStyle = TombstoneStyle::Omit;

/// A record that was polled and is not finished.
#[derive(Debug, Clone)]
pub(super) struct PolledRecord {
    pub(super) record: Record,
    pub(super) ticket: DeliveryTicket,
    /// How many bytes the record adds to the event's JSON.
    pub(super) json_bytes: usize,
    pub(super) arrived: Instant,
}

impl PolledRecord {
    /// A polled record, with the length of its JSON measured.
    pub(super) fn new(record: Record, ticket: DeliveryTicket, arrived: Instant) -> Self {
        let mut json = Vec::new();
        record.write_json(&mut json, TOMBSTONES);
        Self { record, ticket, json_bytes: json.len(), arrived }
    }
}

/// The parts of an event that are the same for every batch of a mapping.
#[derive(Debug, Clone)]
pub(super) struct Envelope {
    event_source: &'static str,
    /// Only Amazon MSK has one.
    pub(super) event_source_arn: Option<String>,
    pub(super) bootstrap_servers: String,
    /// Length of an event without records.
    pub(super) bytes: usize,
}

impl Envelope {
    /// What events of this source have; `bootstrap_servers` are the brokers in use.
    pub(super) fn new(source: &EventSource, bootstrap_servers: &str) -> Self {
        let (event_source, event_source_arn, bootstrap_servers) = match source {
            EventSource::Msk { arn } => (MSK_EVENT_SOURCE, Some(arn.clone()), bootstrap_servers.to_owned()),
            EventSource::SelfManaged { bootstrap_servers } => {
                (SELF_MANAGED_EVENT_SOURCE, None, bootstrap_servers.clone())
            }
        };
        let mut envelope = Self { event_source, event_source_arn, bootstrap_servers, bytes: 0 };
        envelope.bytes = envelope.event([]).to_json(TOMBSTONES).len();
        envelope
    }

    pub(super) fn event<'a>(&self, records: impl IntoIterator<Item = &'a PolledRecord>) -> MskEvent {
        self.event_with(records.into_iter().map(|polled| polled.record.clone()))
    }

    pub(super) fn event_with(&self, records: impl IntoIterator<Item = Record>) -> MskEvent {
        MskEvent {
            event_source: Some(self.event_source.to_owned()),
            event_source_arn: self.event_source_arn.clone(),
            bootstrap_servers: Some(self.bootstrap_servers.clone()),
            ..MskEvent::new(records)
        }
    }
}

/// The exact length of an event's JSON, kept up to date while records are added.
pub(super) struct EventSize {
    pub(super) bytes: usize,
    partitions: usize,
}

impl EventSize {
    pub(super) fn new(envelope: &Envelope) -> Self {
        Self { bytes: envelope.bytes, partitions: 0 }
    }

    /// The length with one more record, the first of its partition or not.
    pub(super) fn with(&self, polled: &PolledRecord, first_of_partition: bool) -> usize {
        let group = if first_of_partition {
            // `"<topic>-<partition>":[]`, and a comma before every group but the first.
            polled.record.id().partition_name().len() + 5 + usize::from(self.partitions > 0)
        } else {
            1
        };
        self.bytes + group + polled.json_bytes
    }

    pub(super) fn add(&mut self, polled: &PolledRecord, first_of_partition: bool) {
        self.bytes = self.with(polled, first_of_partition);
        self.partitions += usize::from(first_of_partition);
    }
}

/// `orders-0@5..9,orders-0@12,orders-3@7`: the unbroken runs of offsets, in the order of the records.
pub(super) fn ranges(records: impl IntoIterator<Item = RecordId>) -> String {
    let mut runs: Vec<(RecordId, i64)> = Vec::new();
    for id in records {
        match runs.last_mut() {
            Some((first, last))
                if first.partition == id.partition && first.topic == id.topic && *last + 1 == id.offset =>
            {
                *last = id.offset;
            }
            _ => {
                let last = id.offset;
                runs.push((id, last));
            }
        }
    }
    let texts = runs.iter().map(|(first, last)| {
        let more = if first.offset == *last { String::new() } else { format!("..{last}") };
        format!("{first}{more}")
    });
    texts.collect::<Vec<_>>().join(",")
}
