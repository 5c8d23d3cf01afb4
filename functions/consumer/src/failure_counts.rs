//! How often a record has failed in this execution environment.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use msk_shared::event::RecordId;

/// How many failing records are remembered: as many as the largest batch has.
const CAPACITY: usize = 10_000;

/// Counts failures for `x-dlq-attempts`. Failures in other execution environments are unknown.
#[derive(Debug, Default)]
pub(crate) struct FailureCounts(Mutex<HashMap<RecordId, u32>>);

impl FailureCounts {
    /// How often the record has failed so far.
    pub(crate) fn get(&self, id: &RecordId) -> u32 {
        self.counts().get(id).copied().unwrap_or(0)
    }

    pub(crate) fn note(&self, id: RecordId) {
        let mut counts = self.counts();
        if counts.len() >= CAPACITY && !counts.contains_key(&id) {
            // So many permanently failing records are not expected in practice. The count starts again.
            counts.clear();
        }
        let count = counts.entry(id).or_default();
        *count = count.saturating_add(1);
    }

    pub(crate) fn forget(&self, id: &RecordId) {
        let mut counts = self.counts();
        // Nearly always: then there is nothing to hash.
        if !counts.is_empty() {
            counts.remove(id);
        }
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<RecordId, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
