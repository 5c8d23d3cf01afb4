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
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the idempotency store failed: {0}")]
pub struct StoreError(pub String);
