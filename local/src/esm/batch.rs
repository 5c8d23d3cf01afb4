//! Records waiting for their batch, and the rules that close it: count, window, size of the event.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use msk_shared::event::{MSK_EVENT_SOURCE, MskEvent, Record, TombstoneStyle};

use super::mapping::Batching;

/// Largest event of a synchronous invocation in bytes (AWS Lambda quotas: 6 MB).
pub const MAX_EVENT_BYTES: usize = 6_291_456;

/// How null keys and values are written; AWS does not document it, and its toolkits accept this.
pub(super) const TOMBSTONES: TombstoneStyle = TombstoneStyle::Omit;

/// A polled record that is not finished.
#[derive(Debug, Clone)]
pub struct PolledRecord {
    /// The record as the event will hold it.
    pub record: Record,
    /// Its number in the partition's [`super::commit::CommitTracker`].
    pub number: u64,
    /// What it adds to the event's JSON.
    pub json_bytes: usize,
    /// When it was polled.
    pub arrived: Instant,
}

impl PolledRecord {
    /// Measures the record; `number` is its number in the commit tracker.
    pub fn new(record: Record, number: u64, arrived: Instant) -> Self {
        let mut json = Vec::new();
        record.write_json(&mut json, TOMBSTONES);
        Self { record, number, json_bytes: json.len(), arrived }
    }
}

/// The parts of an event that are the same for every batch of a mapping.
#[derive(Debug, Clone)]
pub struct Envelope {
    event_source_arn: String,
    bootstrap_servers: String,
    bytes: usize,
}

impl Envelope {
    /// The envelope of a mapping's events.
    pub fn new(event_source_arn: &str, bootstrap_servers: &str) -> Self {
        let mut envelope = Self {
            event_source_arn: event_source_arn.to_owned(),
            bootstrap_servers: bootstrap_servers.to_owned(),
            bytes: 0,
        };
        envelope.bytes = envelope.event([]).to_json(TOMBSTONES).len();
        envelope
    }

    /// The event of these records.
    pub fn event(&self, records: impl IntoIterator<Item = Record>) -> MskEvent {
        MskEvent {
            event_source: Some(MSK_EVENT_SOURCE.to_owned()),
            event_source_arn: Some(self.event_source_arn.clone()),
            bootstrap_servers: Some(self.bootstrap_servers.clone()),
            ..MskEvent::of(records)
        }
    }
}

/// The exact length of an event's JSON, kept up to date while records are added.
struct EventSize {
    bytes: usize,
    partitions: usize,
}

impl EventSize {
    fn of(envelope: &Envelope) -> Self {
        Self { bytes: envelope.bytes, partitions: 0 }
    }

    /// The length with one more record, the first of its partition or not.
    fn with(&self, record: &PolledRecord, first_of_partition: bool) -> usize {
        let group = if first_of_partition {
            // `"<topic>-<partition>":[]`, and a comma before every group but the first.
            record.record.id().partition_name().len() + 5 + usize::from(self.partitions > 0)
        } else {
            1
        };
        self.bytes + group + record.json_bytes
    }

    fn add(&mut self, record: &PolledRecord, first_of_partition: bool) {
        self.bytes = self.with(record, first_of_partition);
        self.partitions += usize::from(first_of_partition);
    }
}

/// When the next batch can be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// At once.
    Now,
    /// When this moment comes, unless records fill it earlier.
    At(Instant),
    /// Not before another record or the end of a batch in flight.
    Never,
}

/// What was taken.
#[derive(Debug)]
pub enum Taken {
    /// A batch whose event is within the limit.
    Batch(Vec<PolledRecord>),
    /// One record that is too large for an event of its own.
    Oversize(Box<PolledRecord>),
}

/// The waiting records of one poller, by partition.
#[derive(Debug)]
pub struct Waiting {
    batching: Batching,
    envelope: Envelope,
    partitions: BTreeMap<i32, Partition>,
}

#[derive(Debug, Default)]
struct Partition {
    records: VecDeque<PolledRecord>,
    json_bytes: usize,
    /// One batch in flight per partition: its later records wait for its end.
    busy: bool,
}

impl Waiting {
    /// No partition yet.
    pub fn new(batching: Batching, envelope: Envelope) -> Self {
        Self { batching, envelope, partitions: BTreeMap::new() }
    }

    /// Adds a record of its partition, behind the ones already there.
    pub fn push(&mut self, record: PolledRecord) {
        let partition = self.partitions.entry(record.record.partition()).or_default();
        partition.json_bytes += record.json_bytes;
        partition.records.push_back(record);
    }

    /// Forgets a partition that is no longer ours.
    pub fn forget(&mut self, partition: i32) {
        self.partitions.remove(&partition);
    }

    /// The partition's batch in flight is over.
    pub fn release(&mut self, partition: i32) {
        if let Some(partition) = self.partitions.get_mut(&partition) {
            partition.busy = false;
        }
    }

    /// Whether no record waits.
    pub fn is_empty(&self) -> bool {
        self.partitions.values().all(|partition| partition.records.is_empty())
    }

    /// Whether the partition has enough waiting for two full batches, so that polling more only costs memory.
    pub fn is_full(&self, partition: i32) -> bool {
        self.partitions.get(&partition).is_some_and(|partition| {
            partition.records.len() >= 2 * self.batching.size || partition.json_bytes >= 2 * MAX_EVENT_BYTES
        })
    }

    /// Whether the partition has less than one full batch waiting.
    pub fn has_room(&self, partition: i32) -> bool {
        self.partitions.get(&partition).is_none_or(|partition| {
            partition.records.len() < self.batching.size && partition.json_bytes < MAX_EVENT_BYTES
        })
    }

    /// When [`Self::take`] has something to take.
    pub fn due(&self, now: Instant) -> Due {
        let ready = self.ready();
        let Some(oldest) = ready.iter().map(|ready| ready.arrived).min() else { return Due::Never };
        let closes = oldest + self.batching.window;
        if closes <= now || self.is_closed(&ready) { Due::Now } else { Due::At(closes) }
    }

    /// Takes the next batch, the partition that has waited longest first.
    pub fn take(&mut self) -> Option<Taken> {
        let mut batch = Vec::new();
        let mut size = EventSize::of(&self.envelope);
        for Ready { number, .. } in self.ready() {
            let Some(partition) = self.partitions.get_mut(&number) else { continue };
            let mut first = true;
            while batch.len() < self.batching.size
                && let Some(record) = partition.records.front()
                && size.with(record, first) <= MAX_EVENT_BYTES
                && let Some(record) = partition.records.pop_front()
            {
                size.add(&record, first);
                partition.json_bytes -= record.json_bytes;
                partition.busy = true;
                first = false;
                batch.push(record);
            }
            if batch.is_empty() {
                // Not even alone within the limit.
                let record = partition.records.pop_front()?;
                partition.json_bytes -= record.json_bytes;
                partition.busy = true;
                return Some(Taken::Oversize(Box::new(record)));
            }
            if self.batching.single_partition || !partition.records.is_empty() {
                break;
            }
        }
        (!batch.is_empty()).then_some(Taken::Batch(batch))
    }

    /// Partitions that have records and no batch in flight: those that fill an event alone first if events may not be
    /// shared, then by the arrival of their oldest record.
    fn ready(&self) -> Vec<Ready> {
        let mut ready: Vec<_> = self
            .partitions
            .iter()
            .filter(|(_, partition)| !partition.busy)
            .filter_map(|(number, partition)| {
                let oldest = partition.records.front()?;
                let name = oldest.record.id().partition_name().len();
                Some(Ready {
                    number: *number,
                    arrived: oldest.arrived,
                    records: partition.records.len(),
                    // The group's name and brackets, the records, and the commas between them.
                    bytes: name + 5 + partition.json_bytes + partition.records.len() - 1,
                })
            })
            .collect();
        let alone = self.batching.single_partition;
        ready.sort_unstable_by_key(|ready| (alone && !self.fills(ready.records, ready.bytes), ready.arrived));
        ready
    }

    /// Whether a batch is full by count or by size.
    fn is_closed(&self, ready: &[Ready]) -> bool {
        if self.batching.single_partition {
            return ready.iter().any(|ready| self.fills(ready.records, ready.bytes));
        }
        let (records, bytes) = ready.iter().fold((0, 0), |(r, b), ready| (r + ready.records, b + ready.bytes + 1));
        self.fills(records, bytes.saturating_sub(1))
    }

    fn fills(&self, records: usize, bytes: usize) -> bool {
        records >= self.batching.size || self.envelope.bytes + bytes > MAX_EVENT_BYTES
    }
}

/// What waits in a partition without a batch in flight.
struct Ready {
    number: i32,
    arrived: Instant,
    records: usize,
    bytes: usize,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use msk_shared::event::{Header, TimestampType};
    use proptest::prelude::*;

    use super::*;

    fn waiting(size: usize, single_partition: bool) -> Waiting {
        let batching = Batching { size, window: Duration::from_millis(500), single_partition };
        Waiting::new(batching, Envelope::new("arn:aws:kafka:x", "127.0.0.1:9092"))
    }

    fn polled(partition: i32, offset: i64, header_bytes: usize, arrived: Instant) -> PolledRecord {
        let header = Header { name: "h".to_owned(), value: Some(vec![200; header_bytes].into()) };
        let record = Record::new("orders-eu", partition, offset)
            .with_value(Some("v"))
            .with_headers([header])
            .with_timestamp(1_700_000_000_000, TimestampType::CreateTime);
        PolledRecord::new(record, u64::try_from(offset).unwrap(), arrived)
    }

    fn offsets(taken: Option<Taken>) -> Vec<(i32, i64)> {
        match taken {
            Some(Taken::Batch(records)) => records.iter().map(|r| (r.record.partition(), r.record.offset())).collect(),
            other => panic!("no batch: {other:?}"),
        }
    }

    #[test]
    fn a_batch_is_due_when_it_is_full_or_its_window_is_over() {
        let start = Instant::now();
        let mut waiting = waiting(3, false);
        assert_eq!(waiting.due(start), Due::Never);
        waiting.push(polled(0, 1, 0, start));
        waiting.push(polled(1, 1, 0, start + Duration::from_millis(100)));
        let closes = start + Duration::from_millis(500);
        assert_eq!(waiting.due(start + Duration::from_millis(499)), Due::At(closes));
        assert_eq!(waiting.due(closes), Due::Now);
        waiting.push(polled(1, 2, 0, start + Duration::from_millis(100)));
        assert_eq!(waiting.due(start), Due::Now, "three records of two partitions");
        assert_eq!(offsets(waiting.take()), [(0, 1), (1, 1), (1, 2)]);
        assert!(waiting.is_empty());
    }

    #[test]
    fn a_partition_with_a_batch_in_flight_waits_for_its_end() {
        let start = Instant::now();
        let mut waiting = waiting(2, false);
        for offset in 0..4 {
            waiting.push(polled(0, offset, 0, start));
        }
        assert_eq!(offsets(waiting.take()), [(0, 0), (0, 1)]);
        assert_eq!(waiting.due(start + Duration::from_secs(9)), Due::Never);
        waiting.push(polled(1, 7, 0, start));
        assert_eq!(offsets(waiting.take()), [(1, 7)]);
        waiting.release(0);
        assert_eq!(offsets(waiting.take()), [(0, 2), (0, 3)]);
    }

    #[test]
    fn without_shared_events_a_full_partition_goes_before_an_older_one() {
        let start = Instant::now();
        let mut waiting = waiting(2, true);
        waiting.push(polled(0, 1, 0, start));
        waiting.push(polled(1, 1, 0, start + Duration::from_millis(1)));
        assert!(matches!(waiting.due(start), Due::At(_)));
        waiting.push(polled(1, 2, 0, start + Duration::from_millis(2)));
        assert_eq!(waiting.due(start), Due::Now);
        assert_eq!(offsets(waiting.take()), [(1, 1), (1, 2)]);
        assert_eq!(offsets(waiting.take()), [(0, 1)]);
    }

    #[test]
    fn a_record_too_large_for_an_event_is_taken_alone() {
        let start = Instant::now();
        let mut waiting = waiting(100, false);
        waiting.push(polled(0, 1, 0, start));
        waiting.push(polled(0, 2, MAX_EVENT_BYTES / 4, start));
        waiting.push(polled(0, 3, 0, start));
        assert_eq!(waiting.due(start), Due::Now, "nothing more fits beside the first one");
        assert_eq!(offsets(waiting.take()), [(0, 1)]);
        waiting.release(0);
        assert!(matches!(waiting.take(), Some(Taken::Oversize(record)) if record.record.offset() == 2));
        waiting.release(0);
        assert_eq!(offsets(waiting.take()), [(0, 3)]);
    }

    proptest! {
        // Events of several megabytes are slow to write without optimisation.
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Whatever is waiting, events are within the limit, no batch is above its count, every record is taken once
        /// and in its partition's order, and a batch ends only because its limit would be broken.
        #[test]
        fn batches_keep_their_limits_and_the_order(
            records in prop::collection::vec((0..4_i32, prop::sample::select(vec![0_usize, 10, 700_000])), 1..25),
            size in 1_usize..12,
            single in any::<bool>(),
        ) {
            let start = Instant::now();
            let mut waiting = waiting(size, single);
            let envelope = waiting.envelope.clone();
            for (offset, (partition, header)) in records.iter().enumerate() {
                waiting.push(polled(*partition, offset as i64, *header, start));
            }
            let mut seen = Vec::new();
            while let Some(taken) = waiting.take() {
                let Taken::Batch(batch) = taken else { return Err(TestCaseError::fail("nothing here is oversize")) };
                let event = envelope.event(batch.iter().map(|record| record.record.clone()));
                let bytes = event.to_json(TOMBSTONES).len();
                prop_assert!(bytes <= MAX_EVENT_BYTES);
                prop_assert!(batch.len() <= size);
                prop_assert!(!single || event.partitions.len() == 1);
                let computed = batch.iter().fold((EventSize::of(&envelope), -1), |(mut size, partition), record| {
                    size.add(record, record.record.partition() != partition);
                    (size, record.record.partition())
                });
                prop_assert_eq!(computed.0.bytes, bytes, "the size is exact");
                for partition in 0..4 {
                    waiting.release(partition);
                }
                seen.extend(batch.iter().map(|record| (record.record.partition(), record.record.offset())));
            }
            prop_assert_eq!(seen.len(), records.len());
            for partition in 0..4 {
                let of: Vec<_> = seen.iter().filter(|(p, _)| *p == partition).collect();
                prop_assert!(of.is_sorted(), "{:?}", of);
            }
        }
    }
}
