//! The bound on what all records together take. Beyond it the oldest go, as a topic's retention makes them go.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use krafka::testing::{ClusterState, PartitionState};

/// What a stored batch takes besides its bytes.
const BATCH_OVERHEAD: usize = 64;
/// The part of the bound that is made free at once: one batch at a time would move a whole log for each record.
const FREED_PART: usize = 8;

/// Keeps a cluster's records below a number of bytes.
pub(super) struct MemoryBound {
    max_bytes: usize,
    counted: Mutex<Counted>,
}

#[derive(Default)]
struct Counted {
    /// Of each topic, the sizes of its partitions.
    topics: HashMap<String, Vec<LogSize>>,
    told: bool,
}

/// What is known of a partition's log: batches are added at its end only.
#[derive(Debug, Clone, Copy, Default)]
struct LogSize {
    batches: usize,
    bytes: usize,
}

impl LogSize {
    fn update(&mut self, partition: &PartitionState) {
        if partition.log.len() < self.batches {
            // Another topic of the same name.
            *self = Self::default();
        }
        self.bytes += partition.log[self.batches..].iter().map(|batch| batch.len() + BATCH_OVERHEAD).sum::<usize>();
        self.batches = partition.log.len();
    }

    /// Takes the oldest batches out, at least this many bytes; returns how many bytes they were.
    fn drop_oldest(&mut self, partition: &mut PartitionState, wanted: usize) -> usize {
        let (mut freed, mut count) = (0, 0);
        for batch in &partition.log {
            if freed >= wanted {
                break;
            }
            freed += batch.len() + BATCH_OVERHEAD;
            count += 1;
        }
        partition.log.drain(..count);
        partition.log_start_offset =
            partition.log.first().and_then(|batch| base_offset(batch)).unwrap_or(partition.next_offset);
        self.batches -= count;
        self.bytes -= freed;
        freed
    }
}

/// The first offset of a batch (Kafka protocol, "Record Batch", version 2).
fn base_offset(batch: &[u8]) -> Option<i64> {
    batch.first_chunk().map(|bytes| i64::from_be_bytes(*bytes))
}

impl MemoryBound {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { max_bytes, counted: Mutex::default() }
    }

    /// Drops the oldest records of the largest partitions while there are too many.
    pub(super) fn enforce(&self, state: &mut ClusterState) {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        counted.topics.retain(|name, _| state.topics.contains_key(name));
        for (name, topic) in &state.topics {
            if !counted.topics.contains_key(name) {
                counted.topics.insert(name.clone(), Vec::new());
            }
            let Some(sizes) = counted.topics.get_mut(name) else { continue };
            sizes.resize(topic.partitions.len(), LogSize::default());
            sizes.iter_mut().zip(&topic.partitions).for_each(|(size, partition)| size.update(partition));
        }
        let total: usize = counted.topics.values().flatten().map(|size| size.bytes).sum();
        if total <= self.max_bytes {
            return;
        }
        let mut excess = total - (self.max_bytes - self.max_bytes / FREED_PART);
        while excess > 0 {
            let Some(freed) = counted.drop_from_largest(state, excess.min(self.max_bytes / FREED_PART)) else { break };
            excess = excess.saturating_sub(freed);
        }
        if !std::mem::replace(&mut counted.told, true) {
            tracing::warn!(
                max_mib = self.max_bytes / (1024 * 1024),
                "the embedded brokers are full: the oldest records of the largest partitions are dropped from now on"
            );
        }
    }
}

impl Counted {
    /// `None` when nothing is left to drop.
    fn drop_from_largest(&mut self, state: &mut ClusterState, wanted: usize) -> Option<usize> {
        let all = self.topics.iter_mut();
        let all =
            all.flat_map(|(name, sizes)| sizes.iter_mut().enumerate().map(move |(index, size)| (name, index, size)));
        let (name, index, size) = all.max_by_key(|(_, _, size)| size.bytes).filter(|(_, _, size)| size.batches > 0)?;
        let partition = state.topics.get_mut(name)?.partitions.get_mut(index)?;
        Some(size.drop_oldest(partition, wanted.max(1)))
    }
}
