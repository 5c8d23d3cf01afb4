//! Which records are done already: AWS delivers at least once, and clients send again what they are unsure of.

mod key;
mod memory;

use std::future::Future;
use std::time::Duration;

pub use key::IdempotencyKey;
pub use memory::MemoryStore;

/// Remembers which records are done, and which are being handled.
///
/// The order of calls for a record: [`claim`](Self::claim), and if it is free, either [`complete`](Self::complete) after
/// its effect or [`release`](Self::release) when there was none.
pub trait IdempotencyStore: Send + Sync + 'static {
    /// Claims a key for at most `lease`: after it the claim of a crashed invocation counts no longer.
    ///
    /// # Errors
    /// [`StoreError`]: the record is not handled and is reported as failed.
    fn claim(&self, key: &IdempotencyKey, lease: Duration) -> impl Future<Output = Result<Claim, StoreError>> + Send;

    /// Remembers a key as done.
    ///
    /// # Errors
    /// [`StoreError`]: the effect stands and the record counts as done; should it come again, it is handled again.
    fn complete(&self, key: &IdempotencyKey) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Gives a claim up: the record failed and comes again.
    ///
    /// # Errors
    /// [`StoreError`]: the key stays claimed until its lease ends.
    fn release(&self, key: &IdempotencyKey) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// What a store knows of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// Nobody has it: it is now ours.
    Free,
    /// Somebody is handling it.
    InProgress,
    /// It is done.
    Done,
}

/// The store cannot be asked. Its text goes to the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the idempotency store failed: {0}")]
pub struct StoreError(pub String);
