//! A store in the memory of one execution environment.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::{Claim, IdempotencyKey, IdempotencyStore, StoreError};

/// The largest batch that an event source mapping sends: a whole redelivered batch is recognised.
const LARGEST_BATCH: usize = 10_000;

/// Remembers the most recent keys of this execution environment.
///
/// It detects what is delivered again to the *same* environment while that exists: the retry of a batch in which other records
/// failed, and duplicates close to each other. It knows nothing of other environments and forgets everything when this one
/// ends, so it makes duplicates rare but not impossible.
///
/// ```
/// use std::time::Duration;
///
/// use msk_consumer::idempotency::{Claim, IdempotencyKey, IdempotencyStore, MemoryStore};
/// use msk_shared::event::Record;
///
/// # msk_shared::executor::with_threads(1)?.block_on(async {
/// let (store, key) = (MemoryStore::default(), IdempotencyKey::for_record(&Record::new("orders", 0, 7)));
/// assert_eq!(store.claim(&key, Duration::from_secs(60)).await?, Claim::Free);
/// store.complete(&key).await?;
/// assert_eq!(store.claim(&key, Duration::from_secs(60)).await?, Claim::Done);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct MemoryStore {
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    keys: HashMap<IdempotencyKey, Entry>,
    /// Completed keys by last use, oldest first.
    by_use: BTreeMap<u64, IdempotencyKey>,
    uses: u64,
}

#[derive(Debug, Clone, Copy)]
enum Entry {
    /// Claimed until this wall-clock time: the monotonic clock stops while the environment is frozen.
    InProgress(SystemTime),
    /// Done, with its place in `by_use`.
    Done(u64),
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new(LARGEST_BATCH)
    }
}

impl MemoryStore {
    /// A store that remembers `capacity` completed keys; the least recently used one is forgotten first.
    pub fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), state: Mutex::default() }
    }

    /// Number of completed keys remembered.
    pub fn len(&self) -> usize {
        self.state().by_use.len()
    }

    /// Whether no completed key is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code panics with the lock held; if it did, each entry would still be valid.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn mark_done(&mut self, key: &IdempotencyKey) {
        self.uses += 1;
        if let Some(Entry::Done(before)) = self.keys.insert(key.clone(), Entry::Done(self.uses)) {
            self.by_use.remove(&before);
        }
        self.by_use.insert(self.uses, key.clone());
    }

    fn claim(&mut self, key: &IdempotencyKey, lease: Duration) -> Claim {
        let now = SystemTime::now();
        match self.keys.get(key) {
            Some(Entry::Done(_)) => {
                self.mark_done(key);
                Claim::Done
            }
            Some(Entry::InProgress(until)) if *until > now => Claim::InProgress,
            _ => {
                self.keys.insert(key.clone(), Entry::InProgress(now + lease));
                Claim::Free
            }
        }
    }
}

impl IdempotencyStore for MemoryStore {
    async fn claim(&self, key: &IdempotencyKey, lease: Duration) -> Result<Claim, StoreError> {
        Ok(self.state().claim(key, lease))
    }

    async fn complete(&self, key: &IdempotencyKey) -> Result<(), StoreError> {
        let mut state = self.state();
        state.mark_done(key);
        while state.by_use.len() > self.capacity {
            if let Some((_, oldest)) = state.by_use.pop_first() {
                state.keys.remove(&oldest);
            }
        }
        Ok(())
    }

    async fn release(&self, key: &IdempotencyKey) -> Result<(), StoreError> {
        let mut state = self.state();
        if let Some(Entry::InProgress(_)) = state.keys.get(key) {
            state.keys.remove(key);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use msk_shared::event::Record;

    const LEASE: Duration = Duration::from_secs(60);

    fn key(offset: i64) -> IdempotencyKey {
        IdempotencyKey::for_record(&Record::new("t", 0, offset))
    }

    #[tokio::test]
    async fn a_key_is_free_then_in_progress_then_done() {
        let store = MemoryStore::default();
        assert_eq!(store.claim(&key(1), LEASE).await, Ok(Claim::Free));
        assert_eq!(store.claim(&key(1), LEASE).await, Ok(Claim::InProgress));
        assert_eq!(store.claim(&key(2), LEASE).await, Ok(Claim::Free));
        store.complete(&key(1)).await.unwrap();
        assert_eq!(store.claim(&key(1), LEASE).await, Ok(Claim::Done));
        store.release(&key(1)).await.unwrap();
        assert_eq!(store.claim(&key(1), LEASE).await, Ok(Claim::Done), "a done key cannot be released");
    }

    #[tokio::test]
    async fn a_released_key_and_one_whose_lease_ended_are_free() {
        let store = MemoryStore::default();
        store.claim(&key(1), LEASE).await.unwrap();
        store.release(&key(1)).await.unwrap();
        assert_eq!(store.claim(&key(1), Duration::ZERO).await, Ok(Claim::Free));
        assert_eq!(store.claim(&key(1), LEASE).await, Ok(Claim::Free), "the lease of zero has ended");
    }

    #[tokio::test]
    async fn the_least_recently_used_done_keys_go_first_and_claims_never() {
        let store = MemoryStore::new(3);
        store.claim(&key(100), LEASE).await.unwrap();
        for offset in 0..4 {
            store.claim(&key(offset), LEASE).await.unwrap();
            store.complete(&key(offset)).await.unwrap();
            assert_eq!(store.claim(&key(1.min(offset)), LEASE).await, Ok(Claim::Done), "used each time");
        }
        assert_eq!(store.len(), 3);
        assert_eq!(store.claim(&key(0), LEASE).await, Ok(Claim::Free), "forgotten");
        assert_eq!(store.claim(&key(1), LEASE).await, Ok(Claim::Done));
        assert_eq!(store.claim(&key(100), LEASE).await, Ok(Claim::InProgress));
    }
}
