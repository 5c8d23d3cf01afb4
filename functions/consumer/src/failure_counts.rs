//! How often a record has failed in this execution environment.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use msk_shared::event::RecordId;

/// Failing records remembered: the largest batch.
const CAPACITY: usize = 10_000;

/// Counts failures for `x-dlq-attempts`. Another environment's are not known.
#[derive(Debug, Default)]
pub(crate) struct FailureCounts(Mutex<HashMap<RecordId, u32>>);

impl FailureCounts {
    /// Failures so far.
    pub(crate) fn get(&self, id: &RecordId) -> u32 {
        self.counts().get(id).copied().unwrap_or(0)
    }

    pub(crate) fn note(&self, id: RecordId) {
        let mut counts = self.counts();
        if counts.len() >= CAPACITY && !counts.contains_key(&id) {
            // Never seen in practice: so many records failing for good. The count starts anew.
            counts.clear();
        }
        let count = counts.entry(id).or_default();
        *count = count.saturating_add(1);
    }

    pub(crate) fn forget(&self, id: &RecordId) {
        self.counts().remove(id);
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<RecordId, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
