//! One record: claimed, handled, and settled for good or reported as failed.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use msk_shared::deadline::Deadline;
use msk_shared::event::{DecodeError, FieldError, Record};

use crate::config::BatchSettings;
use crate::dead_letter::{DeadLetter, Letter, PoisonReason};
use crate::handler::{Error, Outcome, RecordHandler};
use crate::idempotency::{Claim, IdempotencyKey, IdempotencyStore};

mod attempts;
pub(crate) use attempts::Attempts;

/// A handler is given up this long before the deadline: enough to settle and to answer.
const ANSWER_RESERVE: Duration = Duration::from_millis(400);
/// How long a record waits for its twin that is being handled elsewhere in the batch.
const TWIN_WAIT: Duration = Duration::from_millis(500);
/// How often it looks.
const TWIN_POLL: Duration = Duration::from_millis(10);
/// A dead letter may take this long when the deadline is not known.
const UNKNOWN_DEADLINE: Duration = Duration::from_secs(20);
/// The longest an invocation can last (Lambda quotas): a claim without known deadline ends then.
const LONGEST_INVOCATION: Duration = Duration::from_secs(15 * 60);
/// Failures of one batch that get a log line of their own.
const LOGGED_FAILURES: usize = 20;

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settled {
    /// Handled.
    Done,
    /// Nothing to do.
    Skipped,
    /// Done before.
    Duplicate,
    /// Will never succeed.
    Poison {
        /// Whether the dead letter has it; if not it is reported.
        kept: bool,
        /// Whether decoding it failed.
        undecodable: bool,
    },
    /// Failed now.
    Failed,
    /// Not started.
    Unprocessed,
}

impl Settled {
    /// Whether the event source mapping must send the record again.
    pub(crate) fn is_reported(self) -> bool {
        matches!(self, Self::Failed | Self::Unprocessed | Self::Poison { kept: false, .. })
    }
}

/// Time and log budget of one invocation, shared by its lanes.
#[derive(Debug)]
pub(crate) struct Run {
    deadline: Option<Deadline>,
    guard: Duration,
    slowest_us: AtomicU64,
    logged: AtomicUsize,
}

impl Run {
    pub(crate) fn new(deadline: Option<Deadline>, guard: Duration) -> Self {
        Self { deadline, guard, slowest_us: AtomicU64::new(0), logged: AtomicUsize::new(0) }
    }

    /// Whether there is time to start a record.
    pub(crate) fn may_start(&self) -> bool {
        let slowest = Duration::from_micros(self.slowest_us.load(Relaxed));
        self.deadline.is_none_or(|deadline| deadline.remaining() >= self.guard.max(slowest * 3))
    }

    fn note_duration(&self, took: Duration) {
        self.slowest_us.fetch_max(took.as_micros() as u64, Relaxed);
    }

    fn may_log(&self) -> bool {
        self.logged.fetch_add(1, Relaxed) < LOGGED_FAILURES
    }

    /// How long a claim holds: until this invocation has surely ended.
    fn lease(&self) -> Duration {
        self.deadline.map_or(LONGEST_INVOCATION, |deadline| deadline.remaining() + Duration::from_secs(1))
    }
}

/// What handles records, for as long as the process lives.
#[derive(Debug)]
pub(crate) struct Parts<H, D, S> {
    pub(crate) handler: H,
    pub(crate) dead_letter: D,
    pub(crate) store: S,
    pub(crate) settings: BatchSettings,
    pub(crate) attempts: Attempts,
}

impl<H: RecordHandler, D: DeadLetter, S: IdempotencyStore> Parts<H, D, S> {
    /// Settles one record.
    pub(crate) async fn settle(&self, record: &Record, run: &Run) -> Settled {
        if let Some(fault) = record.fault() {
            // It has no identity to claim.
            return self.poison(record, PoisonReason::Undecodable, &fault, run).await;
        }
        let key = IdempotencyKey::of(record, self.settings.idempotency_keys);
        match self.claim(&key, run).await {
            Some(Claim::Free) => {}
            Some(Claim::Done) => return Settled::Duplicate,
            Some(Claim::InProgress) | None => return self.failed(record),
        }
        let started = Instant::now();
        let settled = self.handle(record, run).await;
        run.note_duration(started.elapsed());
        if settled.is_reported() {
            self.release(&key, run).await;
            self.attempts.note(record.id());
        } else {
            self.complete(&key, run).await;
            self.attempts.forget(&record.id());
        }
        settled
    }

    async fn handle(&self, record: &Record, run: &Run) -> Settled {
        let outcome = AssertUnwindSafe(async { self.handler.handle(record).await }).catch_unwind();
        let outcome = match run.deadline {
            None => outcome.await,
            Some(deadline) => {
                let until = deadline.less(ANSWER_RESERVE).instant();
                match tokio::time::timeout_at(until.into(), outcome).await {
                    Ok(outcome) => outcome,
                    Err(_) => Ok(Outcome::Retry("the handler did not finish before the invocation's deadline".into())),
                }
            }
        };
        match outcome {
            Ok(Outcome::Done) => Settled::Done,
            Ok(Outcome::Skip(reason)) => {
                tracing::debug!(%reason, "record skipped");
                Settled::Skipped
            }
            Ok(Outcome::Retry(error)) => {
                if run.may_log() {
                    tracing::warn!(%error, "record failed; it will be retried");
                }
                Settled::Failed
            }
            Ok(Outcome::Poison(error)) => self.poison(record, reason_of(&error), &error, run).await,
            // The panic's own text may hold content; the panic hook has logged its place.
            Err(_) => self.poison(record, PoisonReason::Panic, &"the handler panicked", run).await,
        }
    }

    /// Sends a record to the dead letter.
    async fn poison(
        &self,
        record: &Record,
        reason: PoisonReason,
        error: &(dyn std::fmt::Display + Sync),
        run: &Run,
    ) -> Settled {
        let error = error.to_string();
        let letter = Letter { record, reason, error: &error, attempts: self.attempts.of(&record.id()) + 1 };
        let deadline = run.deadline.unwrap_or_else(|| Deadline::after(UNKNOWN_DEADLINE));
        // Its own code is as fallible as a handler's.
        let sent = AssertUnwindSafe(self.dead_letter.send(&letter, deadline)).catch_unwind().await;
        let kept = matches!(sent, Ok(Ok(())));
        let reason = reason.name();
        match sent {
            Ok(Ok(())) if run.may_log() => tracing::warn!(reason, error, "record sent to the dead letter"),
            Ok(Err(failure)) if run.may_log() => {
                tracing::error!(reason, error, %failure, "poison record; it will be retried");
            }
            Err(_) if run.may_log() => tracing::error!(reason, error, "the dead letter panicked; it will be retried"),
            _ => {}
        }
        Settled::Poison { kept, undecodable: reason == PoisonReason::Undecodable.name() }
    }

    /// What the store knows of the key; `None` when it cannot be asked.
    async fn claim(&self, key: &IdempotencyKey, run: &Run) -> Option<Claim> {
        let give_up = Instant::now() + TWIN_WAIT;
        loop {
            match self.store.claim(key, run.lease()).await {
                Ok(Claim::InProgress) if Instant::now() < give_up && run.may_start() => {
                    tokio::time::sleep(TWIN_POLL).await;
                }
                Ok(Claim::InProgress) => {
                    if run.may_log() {
                        tracing::warn!("record is being handled elsewhere; it will be retried");
                    }
                    return Some(Claim::InProgress);
                }
                Ok(claim) => return Some(claim),
                Err(error) => {
                    if run.may_log() {
                        tracing::error!(%error, "record not handled; it will be retried");
                    }
                    return None;
                }
            }
        }
    }

    async fn complete(&self, key: &IdempotencyKey, run: &Run) {
        // The effect stands: one more try is cheaper than a duplicate.
        if self.store.complete(key).await.is_ok() {
            return;
        }
        if let Err(error) = self.store.complete(key).await
            && run.may_log()
        {
            tracing::error!(%error, "record done and not remembered; should it come again, it is handled again");
        }
    }

    async fn release(&self, key: &IdempotencyKey, run: &Run) {
        if let Err(error) = self.store.release(key).await
            && run.may_log()
        {
            tracing::error!(%error, "record stays claimed until its lease ends");
        }
    }

    fn failed(&self, record: &Record) -> Settled {
        self.attempts.note(record.id());
        Settled::Failed
    }
}

fn reason_of(error: &Error) -> PoisonReason {
    if error.is::<DecodeError>() || error.is::<FieldError>() {
        PoisonReason::Undecodable
    } else {
        PoisonReason::Rejected
    }
}
