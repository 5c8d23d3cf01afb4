//! Records waiting for their batch, and the rules that close a batch: count, window, event size.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use super::mapping::Batching;
use super::msk_event::{Envelope, EventSize, MAX_EVENT_BYTES, PolledRecord};

/// Records of a partition that are read ahead whatever the batch size. To pause reading makes librdkafka throw away what it has
/// fetched, and the fetch that then waits at the partition's end delays the next one by `fetch.wait.max.ms`: with small batches
/// that would cost far more than the memory.
const READ_AHEAD: usize = 1_000;

/// When the next batch can be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BatchDue {
    /// At once.
    Now,
    /// At this time, unless records fill it earlier.
    At(Instant),
    /// Not before another record arrives or a batch in flight ends.
    Never,
}

/// What is to be delivered next.
#[derive(Debug)]
pub(super) enum NextBatch {
    /// A batch whose event is within the limit.
    Batch(Vec<PolledRecord>),
    /// One record that is too large even for its own event.
    Oversize(Box<PolledRecord>),
}

/// The waiting records of one poller, by partition.
#[derive(Debug)]
pub(super) struct Batcher {
    batching: Batching,
    envelope: Envelope,
    partitions: BTreeMap<i32, Partition>,
}

#[derive(Debug, Default)]
struct Partition {
    records: VecDeque<PolledRecord>,
    json_bytes: usize,
    /// Whether a batch of this partition is in flight: later records wait until it ends.
    busy: bool,
}

impl Partition {
    fn pop(&mut self) -> Option<PolledRecord> {
        let record = self.records.pop_front()?;
        self.json_bytes -= record.json_bytes;
        self.busy = true;
        Some(record)
    }
}

impl Batcher {
    pub(super) fn new(batching: Batching, envelope: Envelope) -> Self {
        Self { batching, envelope, partitions: BTreeMap::new() }
    }

    /// Adds a record to its partition, after those already waiting.
    pub(super) fn push(&mut self, record: PolledRecord) {
        let partition = self.partitions.entry(record.record.partition()).or_default();
        partition.json_bytes += record.json_bytes;
        partition.records.push_back(record);
    }

    /// Drops the records of a partition that was revoked.
    pub(super) fn forget(&mut self, partition: i32) {
        self.partitions.remove(&partition);
    }

    /// The partition's batch in flight has ended.
    pub(super) fn release(&mut self, partition: i32) {
        if let Some(partition) = self.partitions.get_mut(&partition) {
            partition.busy = false;
        }
    }

    /// Whether no records are waiting.
    pub(super) fn is_empty(&self) -> bool {
        self.partitions.values().all(|partition| partition.records.is_empty())
    }

    /// Whether enough records of the partition are waiting for two full batches, so that polling more would only cost memory.
    pub(super) fn is_full(&self, partition: i32) -> bool {
        self.partitions.get(&partition).is_some_and(|partition| {
            partition.records.len() >= 2 * self.read_ahead() || partition.json_bytes >= 2 * MAX_EVENT_BYTES
        })
    }

    /// Whether less than one full batch of the partition is waiting.
    pub(super) fn has_room(&self, partition: i32) -> bool {
        self.partitions.get(&partition).is_none_or(|partition| {
            partition.records.len() < self.read_ahead() && partition.json_bytes < MAX_EVENT_BYTES
        })
    }

    fn read_ahead(&self) -> usize {
        self.batching.size.max(READ_AHEAD)
    }

    /// When [`Self::take`] will have a batch.
    pub(super) fn due(&self, now: Instant) -> BatchDue {
        let ready = self.ready();
        let Some(oldest) = ready.iter().map(|ready| ready.arrived).min() else { return BatchDue::Never };
        let closes = oldest + self.batching.window;
        if closes <= now || self.is_closed(&ready) { BatchDue::Now } else { BatchDue::At(closes) }
    }

    /// Takes the next batch; the partition that has waited longest comes first.
    pub(super) fn take(&mut self) -> Option<NextBatch> {
        let mut batch = Vec::new();
        let mut size = EventSize::new(&self.envelope);
        for Ready { number, .. } in self.ready() {
            let Some(partition) = self.partitions.get_mut(&number) else { continue };
            let mut first = true;
            while batch.len() < self.batching.size
                && let Some(record) = partition.records.front()
                && size.with(record, first) <= MAX_EVENT_BYTES
                && let Some(record) = partition.pop()
            {
                size.add(&record, first);
                first = false;
                batch.push(record);
            }
            if batch.is_empty() {
                // Even on its own, it exceeds the limit.
                return partition.pop().map(|record| NextBatch::Oversize(Box::new(record)));
            }
            if self.batching.single_partition || !partition.records.is_empty() {
                break;
            }
        }
        (!batch.is_empty()).then_some(NextBatch::Batch(batch))
    }

    /// Partitions with waiting records and no batch in flight, by the arrival of their oldest record. If an event may contain
    /// only one partition, those that fill it come first.
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
        let single = self.batching.single_partition;
        ready.sort_unstable_by_key(|ready| (single && !self.fills(ready.records, ready.bytes), ready.arrived));
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

/// What is waiting in a partition without a batch in flight.
struct Ready {
    number: i32,
    arrived: Instant,
    records: usize,
    bytes: usize,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use msk_shared::event::{Header, Record, TimestampType};
    use proptest::prelude::*;

    use super::super::commit::CommitTracker;
    use super::super::mapping::EventSource;
    use super::super::msk_event::TOMBSTONES;
    use super::*;

    fn batcher(size: usize, single_partition: bool) -> Batcher {
        let batching = Batching { size, window: Duration::from_millis(500), single_partition };
        Batcher::new(batching, Envelope::new(&EventSource::Msk { arn: "arn:aws:kafka:x".to_owned() }, "127.0.0.1:9092"))
    }

    fn polled(partition: i32, offset: i64, header_bytes: usize, arrived: Instant) -> PolledRecord {
        let header = Header { name: "h".to_owned(), value: Some(vec![200; header_bytes].into()) };
        let record = Record::new("orders-eu", partition, offset)
            .with_value(Some("v"))
            .with_headers([header])
            .with_timestamp(1_700_000_000_000, TimestampType::CreateTime);
        PolledRecord::new(record, CommitTracker::new(partition, 1).polled(offset), arrived)
    }

    fn offsets(next: Option<NextBatch>) -> Vec<(i32, i64)> {
        match next {
            Some(NextBatch::Batch(records)) => {
                records.iter().map(|r| (r.record.partition(), r.record.offset())).collect()
            }
            other => panic!("no batch: {other:?}"),
        }
    }

    #[test]
    fn a_batch_is_due_when_it_is_full_or_its_window_is_over() {
        let start = Instant::now();
        let mut batcher = batcher(3, false);
        assert_eq!(batcher.due(start), BatchDue::Never);
        batcher.push(polled(0, 1, 0, start));
        batcher.push(polled(1, 1, 0, start + Duration::from_millis(100)));
        let closes = start + Duration::from_millis(500);
        assert_eq!(batcher.due(start + Duration::from_millis(499)), BatchDue::At(closes));
        assert_eq!(batcher.due(closes), BatchDue::Now);
        batcher.push(polled(1, 2, 0, start + Duration::from_millis(100)));
        assert_eq!(batcher.due(start), BatchDue::Now, "three records of two partitions");
        assert_eq!(offsets(batcher.take()), [(0, 1), (1, 1), (1, 2)]);
        assert!(batcher.is_empty());
    }

    #[test]
    fn a_partition_with_a_batch_in_flight_waits_for_its_end() {
        let start = Instant::now();
        let mut batcher = batcher(2, false);
        for offset in 0..4 {
            batcher.push(polled(0, offset, 0, start));
        }
        assert_eq!(offsets(batcher.take()), [(0, 0), (0, 1)]);
        assert_eq!(batcher.due(start + Duration::from_secs(9)), BatchDue::Never);
        batcher.push(polled(1, 7, 0, start));
        assert_eq!(offsets(batcher.take()), [(1, 7)]);
        batcher.release(0);
        assert_eq!(offsets(batcher.take()), [(0, 2), (0, 3)]);
    }

    #[test]
    fn without_shared_events_a_full_partition_goes_before_an_older_one() {
        let start = Instant::now();
        let mut batcher = batcher(2, true);
        batcher.push(polled(0, 1, 0, start));
        batcher.push(polled(1, 1, 0, start + Duration::from_millis(1)));
        assert!(matches!(batcher.due(start), BatchDue::At(_)));
        batcher.push(polled(1, 2, 0, start + Duration::from_millis(2)));
        assert_eq!(batcher.due(start), BatchDue::Now);
        assert_eq!(offsets(batcher.take()), [(1, 1), (1, 2)]);
        assert_eq!(offsets(batcher.take()), [(0, 1)]);
    }

    #[test]
    fn a_record_too_large_for_an_event_is_taken_alone() {
        let start = Instant::now();
        let mut batcher = batcher(100, false);
        batcher.push(polled(0, 1, 0, start));
        batcher.push(polled(0, 2, MAX_EVENT_BYTES / 4, start));
        batcher.push(polled(0, 3, 0, start));
        assert_eq!(batcher.due(start), BatchDue::Now, "nothing more fits beside the first one");
        assert_eq!(offsets(batcher.take()), [(0, 1)]);
        batcher.release(0);
        assert!(matches!(batcher.take(), Some(NextBatch::Oversize(record)) if record.record.offset() == 2));
        batcher.release(0);
        assert_eq!(offsets(batcher.take()), [(0, 3)]);
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
            let mut batcher = batcher(size, single);
            let envelope = batcher.envelope.clone();
            for (offset, (partition, header)) in records.iter().enumerate() {
                batcher.push(polled(*partition, offset as i64, *header, start));
            }
            let mut seen = Vec::new();
            while let Some(next) = batcher.take() {
                let NextBatch::Batch(batch) = next else { return Err(TestCaseError::fail("nothing here is oversize")) };
                let event = envelope.event(&batch);
                let bytes = event.to_json(TOMBSTONES).len();
                prop_assert!(bytes <= MAX_EVENT_BYTES);
                prop_assert!(batch.len() <= size);
                prop_assert!(!single || event.partitions.len() == 1);
                let computed = batch.iter().fold((EventSize::new(&envelope), -1), |(mut size, partition), record| {
                    size.add(record, record.record.partition() != partition);
                    (size, record.record.partition())
                });
                prop_assert_eq!(computed.0.bytes, bytes, "the size is exact");
                for partition in 0..4 {
                    batcher.release(partition);
                }
                seen.extend(batch.iter().map(|record| (record.record.partition(), record.record.offset())));
            }
            prop_assert_eq!(seen.len(), records.len());
            for partition in 0..4 {
                let partitions: Vec<_> = seen.iter().filter(|(p, _)| *p == partition).collect();
                prop_assert!(partitions.is_sorted(), "{:?}", partitions);
            }
        }
    }
}
