//! Which records are already done: AWS delivers at least once, and clients resend what they are unsure of.

mod key;
mod memory;

use std::future::Future;
use std::time::Duration;

pub use key::IdempotencyKey;
pub use memory::MemoryStore;

/// Remembers which records are done, and which are being handled.
///
/// The order of calls for a record: [`claim`](Self::claim), and if the key is free, either [`complete`](Self::complete) after
/// the effect or [`release`](Self::release) if there was none.
///
/// ```
/// use std::collections::HashSet;
/// use std::sync::Mutex;
/// use std::time::Duration;
///
/// use msk_consumer::idempotency::{Claim, IdempotencyKey, IdempotencyStore, StoreError};
///
/// /// Remembers everything for ever, and lets nobody wait: for one lane only.
/// struct Everything(Mutex<HashSet<IdempotencyKey>>);
///
/// impl IdempotencyStore for Everything {
///     async fn claim(&self, key: &IdempotencyKey, _lease: Duration) -> Result<Claim, StoreError> {
///         let done = self.0.lock().map_err(|_| StoreError("its lock is poisoned".to_owned()))?;
///         Ok(if done.contains(key) { Claim::Done } else { Claim::Free })
///     }
///
///     async fn complete(&self, key: &IdempotencyKey) -> Result<(), StoreError> {
///         self.0.lock().map_err(|_| StoreError("its lock is poisoned".to_owned()))?.insert(key.clone());
///         Ok(())
///     }
///
///     async fn release(&self, _key: &IdempotencyKey) -> Result<(), StoreError> {
///         Ok(())
///     }
/// }
///
/// async fn run() -> Result<(), msk_consumer::runtime::RunError> {
///     msk_consumer::run_with(msk_consumer::DefaultHandler, Everything(Mutex::default())).await
/// }
/// ```
pub trait IdempotencyStore: Send + Sync + 'static {
    /// Claims a key for at most `lease`, after which the claim of a crashed invocation expires.
    ///
    /// # Errors
    /// [`StoreError`]: the record is not handled and is reported as failed.
    fn claim(&self, key: &IdempotencyKey, lease: Duration) -> impl Future<Output = Result<Claim, StoreError>> + Send;

    /// Remembers a key as done.
    ///
    /// # Errors
    /// [`StoreError`]: the effect stands and the record counts as done; if it is redelivered, it is handled again.
    fn complete(&self, key: &IdempotencyKey) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Gives up a claim: the record failed and will be redelivered.
    ///
    /// # Errors
    /// [`StoreError`]: the key stays claimed until its lease ends.
    fn release(&self, key: &IdempotencyKey) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// What a store knows about a key.
///
/// ```
/// use std::time::Duration;
///
/// use msk_consumer::idempotency::{Claim, IdempotencyKey, IdempotencyStore, MemoryStore};
/// use msk_shared::event::Record;
///
/// # msk_shared::executor::with_threads(1)?.block_on(async {
/// let (store, key) = (MemoryStore::default(), IdempotencyKey::for_record(&Record::new("orders", 0, 7)));
/// let lease = Duration::from_secs(60);
/// assert_eq!(store.claim(&key, lease).await, Ok(Claim::Free));
/// assert_eq!(store.claim(&key, lease).await, Ok(Claim::InProgress));
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// It was free and is now claimed by this call.
    Free,
    /// Another call has claimed it and is handling the record.
    InProgress,
    /// It is done.
    Done,
}

/// The store could not be reached or used. The text goes to the log.
///
/// ```
/// use msk_consumer::idempotency::StoreError;
///
/// let refused: Result<(), _> = Err(std::io::Error::other("the table is throttled"));
/// let error = refused.map_err(|error| StoreError(error.to_string())).unwrap_err();
/// assert_eq!(error.to_string(), "the idempotency store failed: the table is throttled");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the idempotency store failed: {0}")]
pub struct StoreError(pub String);
