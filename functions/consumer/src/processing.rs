//! What happens to records: claimed, handled, and settled for good or reported as failed.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use msk_shared::deadline::Deadline;
use msk_shared::event::{BrokenRecord, DecodeError, FieldError, Record};

use crate::batch_handler::{BatchHandler, RecordBatch};
use crate::config::BatchSettings;
use crate::dead_letters::{DeadLetter, DeadLetterSink, PoisonReason};
use crate::failure_counts::FailureCounts;
use crate::handler::Outcome;
use crate::idempotency::{Claim, IdempotencyKey, IdempotencyStore};

/// A handler is abandoned this long before the deadline, which leaves enough time to settle and to answer.
const ANSWER_RESERVE: Duration = Duration::from_millis(400);
/// How long a record waits for another one with the same key that is in progress elsewhere in the batch.
const IN_PROGRESS_WAIT: Duration = Duration::from_millis(500);
/// How often it checks.
const IN_PROGRESS_POLL: Duration = Duration::from_millis(10);
/// How long sending a dead letter may take if the deadline is unknown.
const UNKNOWN_DEADLINE: Duration = Duration::from_secs(20);
/// The longest an invocation can last (Lambda quotas): a claim without a known deadline expires after this.
const LONGEST_INVOCATION: Duration = Duration::from_secs(15 * 60);
/// How many failures of one batch are logged individually.
const LOGGED_FAILURES: usize = 20;

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disposition {
    /// Handled.
    Done,
    /// Nothing to do.
    Skipped,
    /// Done before.
    Duplicate,
    /// Will never succeed.
    Poison {
        /// Whether it was stored as a dead letter; if not, it is reported as failed.
        kept: bool,
        /// Whether decoding it failed.
        undecodable: bool,
    },
    /// Failed now.
    Failed,
    /// Not started.
    Unprocessed,
}

impl Disposition {
    /// Whether the event source mapping must redeliver the record.
    pub(crate) fn is_reported(self) -> bool {
        matches!(self, Self::Failed | Self::Unprocessed | Self::Poison { kept: false, .. })
    }
}

/// Time and log budget of one invocation, shared by its lanes.
#[derive(Debug)]
pub(crate) struct InvocationBudget {
    deadline: Option<Deadline>,
    min_time_to_start: Duration,
    slowest_us: AtomicU64,
    logged: AtomicUsize,
}

impl InvocationBudget {
    pub(crate) fn new(deadline: Option<Deadline>, min_time_to_start: Duration) -> Self {
        Self { deadline, min_time_to_start, slowest_us: AtomicU64::new(0), logged: AtomicUsize::new(0) }
    }

    /// Whether there is time to start a record.
    pub(crate) fn may_start(&self) -> bool {
        let slowest = Duration::from_micros(self.slowest_us.load(Relaxed));
        self.deadline.is_none_or(|deadline| deadline.remaining() >= self.min_time_to_start.max(slowest * 3))
    }

    fn note_duration(&self, took: Duration) {
        self.slowest_us.fetch_max(took.as_micros() as u64, Relaxed);
    }

    fn may_log(&self) -> bool {
        self.logged.fetch_add(1, Relaxed) < LOGGED_FAILURES
    }

    /// How long a claim is valid: until this invocation has certainly ended.
    fn lease(&self) -> Duration {
        self.deadline.map_or(LONGEST_INVOCATION, |deadline| deadline.remaining() + Duration::from_secs(1))
    }
}

/// How a call of the handler ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallEnd {
    Returned,
    Panicked,
    /// It was abandoned shortly before the deadline.
    TimedOut,
}

/// The handler panicked with this record alone.
#[derive(Debug)]
pub(crate) struct Panicked;

/// What to do about a key that is in progress elsewhere in the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InProgress {
    /// Wait for it, for a bounded time.
    Wait,
    /// Come back to it later.
    Postpone,
}

/// What handles records, for as long as the process lives.
#[derive(Debug)]
pub(crate) struct RecordProcessor<H, D, S> {
    pub(crate) handler: H,
    pub(crate) dead_letters: D,
    pub(crate) store: S,
    pub(crate) settings: BatchSettings,
    pub(crate) failures: FailureCounts,
}

impl<H: BatchHandler, D: DeadLetterSink, S: IdempotencyStore> RecordProcessor<H, D, S> {
    /// Settles a broken record, which has no identity to claim.
    pub(crate) async fn settle_broken(&self, broken: &BrokenRecord, budget: &InvocationBudget) -> Disposition {
        self.poison(Err(broken), PoisonReason::Undecodable, broken.id().fault.to_string(), 1, budget).await
    }

    /// Gives records to the handler. They keep the outcomes that it gave them before it panicked or was abandoned.
    pub(crate) async fn call(&self, records: &mut RecordBatch<'_>, budget: &InvocationBudget) -> CallEnd {
        let started = Instant::now();
        let call = AssertUnwindSafe(async { self.handler.handle_batch(records).await }).catch_unwind();
        let returned = match budget.deadline {
            None => Ok(call.await),
            Some(deadline) => tokio::time::timeout_at(deadline.less(ANSWER_RESERVE).instant().into(), call).await,
        };
        budget.note_duration(started.elapsed());
        match returned {
            Ok(Ok(())) => CallEnd::Returned,
            Ok(Err(_)) => CallEnd::Panicked,
            Err(_) => CallEnd::TimedOut,
        }
    }

    /// Settles a claimed record.
    pub(crate) async fn settle(
        &self,
        record: &Record,
        key: &IdempotencyKey,
        outcome: Result<Outcome, Panicked>,
        budget: &InvocationBudget,
    ) -> Disposition {
        let disposition = self.disposition(record, outcome, budget).await;
        if disposition.is_reported() {
            self.release(key, budget).await;
            self.failures.note(record.id());
        } else {
            self.complete(key, budget).await;
            self.failures.forget(&record.id());
        }
        disposition
    }

    async fn disposition(
        &self,
        record: &Record,
        outcome: Result<Outcome, Panicked>,
        budget: &InvocationBudget,
    ) -> Disposition {
        match outcome {
            Ok(Outcome::Done) => Disposition::Done,
            Ok(Outcome::Skip(reason)) => {
                tracing::debug!(%reason, "record skipped");
                Disposition::Skipped
            }
            Ok(Outcome::Retry(error)) => {
                if budget.may_log() {
                    tracing::warn!(%error, "record failed; it will be retried");
                }
                Disposition::Failed
            }
            Ok(Outcome::Poison(error)) => {
                let reason = if error.is::<DecodeError>() || error.is::<FieldError>() {
                    PoisonReason::Undecodable
                } else {
                    PoisonReason::Rejected
                };
                self.poison(Ok(record), reason, error.to_string(), self.attempts(record), budget).await
            }
            // The panic's own text may hold content; the panic hook has logged its place.
            Err(Panicked) => {
                let error = "the handler panicked".to_owned();
                self.poison(Ok(record), PoisonReason::Panic, error, self.attempts(record), budget).await
            }
        }
    }

    /// How often the record has been tried, including this time.
    fn attempts(&self, record: &Record) -> u32 {
        self.failures.get(&record.id()) + 1
    }

    /// Sends a record to the dead-letter sink.
    async fn poison(
        &self,
        record: Result<&Record, &BrokenRecord>,
        reason: PoisonReason,
        error: String,
        attempts: u32,
        budget: &InvocationBudget,
    ) -> Disposition {
        let deadline = budget.deadline.unwrap_or_else(|| Deadline::after(UNKNOWN_DEADLINE));
        let text = error.clone();
        // A sink can panic just like a handler, and it reads a record that could not be decoded once more.
        let sent = AssertUnwindSafe(async {
            let letter = DeadLetter::new(record, reason, text, attempts);
            self.dead_letters.send(&letter, deadline).await
        });
        let sent = sent.catch_unwind().await;
        let kept = matches!(sent, Ok(Ok(())));
        let undecodable = reason == PoisonReason::Undecodable;
        let reason = reason.name();
        match sent {
            Ok(Ok(())) if budget.may_log() => tracing::warn!(reason, error, "record sent to the dead-letter topic"),
            Ok(Err(failure)) if budget.may_log() => {
                tracing::error!(reason, error, %failure, "poison record not stored as a dead letter; it will be retried");
            }
            Err(_) if budget.may_log() => {
                tracing::error!(reason, error, "the dead-letter sink panicked; the record will be retried")
            }
            _ => {}
        }
        Disposition::Poison { kept, undecodable }
    }

    /// What the store knows about the key; `None` if the store failed.
    pub(crate) async fn claim(
        &self,
        key: &IdempotencyKey,
        in_progress: InProgress,
        budget: &InvocationBudget,
    ) -> Option<Claim> {
        let give_up = Instant::now() + IN_PROGRESS_WAIT;
        loop {
            match self.store.claim(key, budget.lease()).await {
                Ok(Claim::InProgress) if in_progress == InProgress::Postpone => return Some(Claim::InProgress),
                Ok(Claim::InProgress) if Instant::now() < give_up && budget.may_start() => {
                    tokio::time::sleep(IN_PROGRESS_POLL).await;
                }
                Ok(Claim::InProgress) => {
                    if budget.may_log() {
                        tracing::warn!(
                            "another record with the same key is still in progress; this one will be retried"
                        );
                    }
                    return Some(Claim::InProgress);
                }
                Ok(claim) => return Some(claim),
                Err(error) => {
                    if budget.may_log() {
                        tracing::error!(%error, "record not handled because its key could not be claimed; it will be retried");
                    }
                    return None;
                }
            }
        }
    }

    async fn complete(&self, key: &IdempotencyKey, budget: &InvocationBudget) {
        // The effect has happened: a second attempt is cheaper than a duplicate.
        if self.store.complete(key).await.is_ok() {
            return;
        }
        if let Err(error) = self.store.complete(key).await
            && budget.may_log()
        {
            tracing::error!(%error, "record handled but not remembered; if it is redelivered, it will be handled again");
        }
    }

    /// Gives up a claim without an effect that counts.
    pub(crate) async fn release(&self, key: &IdempotencyKey, budget: &InvocationBudget) {
        if let Err(error) = self.store.release(key).await
            && budget.may_log()
        {
            tracing::error!(%error, "claim not released; the record stays claimed until the lease ends");
        }
    }

    /// Notes a record that fails before it is handled.
    pub(crate) fn failed(&self, record: &Record) -> Disposition {
        self.failures.note(record.id());
        Disposition::Failed
    }
}
