//! A handler that does as told, a dead letter and a store that can fail, and a processor made of them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use msk_consumer::batch::Processed;
use msk_consumer::config::Concurrency;
use msk_consumer::dead_letters::{DeadLetter, DeadLetterError, DeadLetterSink};
use msk_consumer::idempotency::{Claim, IdempotencyKey, IdempotencyStore, MemoryStore, StoreError};
use msk_consumer::lanes::Ordering;
use msk_consumer::{BatchProcessor, BatchSettings, InvocationContext, Outcome, RecordHandler};
use msk_shared::deadline::Deadline;
use msk_shared::event::{Header, MskEvent, Record, TombstoneStyle};

use crate::kinds::{ByKind, HandlerKind};

/// What the handler does with a record, this time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    Done,
    Skip,
    Retry,
    Poison,
    Panic,
    /// Sleeps, then is done.
    Slow(Duration),
    /// Never ends.
    Hang,
}

/// Does what the plan says for a record, else `Done`. Notes each effect.
#[derive(Debug, Default)]
pub(crate) struct Scripted {
    /// Acts by record, taken from the end; the last one stays.
    plan: Mutex<HashMap<String, Vec<Act>>>,
    effects: Mutex<Vec<String>>,
    started: Mutex<Vec<String>>,
    busy: AtomicUsize,
    most_busy: AtomicUsize,
}

impl Scripted {
    /// A handler with acts for some records, in the order of their attempts; the last one is repeated.
    pub(crate) fn new(plan: &[(&str, &[Act])]) -> Self {
        let handler = Self::default();
        for (id, acts) in plan {
            handler.plan(id, acts);
        }
        handler
    }

    pub(crate) fn plan(&self, id: &str, acts: &[Act]) {
        self.plan.lock().unwrap().insert(id.to_owned(), acts.iter().rev().copied().collect());
    }

    /// Records whose effect happened, in that order.
    pub(crate) fn effects(&self) -> Vec<String> {
        self.effects.lock().unwrap().clone()
    }

    /// Records that the handler was given, in that order.
    pub(crate) fn started(&self) -> Vec<String> {
        self.started.lock().unwrap().clone()
    }

    /// Most records in the handler at once.
    pub(crate) fn most_busy(&self) -> usize {
        self.most_busy.load(SeqCst)
    }

    fn next_act(&self, id: &str) -> Act {
        match self.plan.lock().unwrap().get_mut(id) {
            None => Act::Done,
            Some(acts) if acts.len() > 1 => acts.pop().unwrap(),
            Some(acts) => acts.last().copied().unwrap_or(Act::Done),
        }
    }
}

impl RecordHandler for Scripted {
    async fn handle(&self, record: &Record) -> Outcome {
        let id = record.id().to_string();
        self.started.lock().unwrap().push(id.clone());
        self.most_busy.fetch_max(self.busy.fetch_add(1, SeqCst) + 1, SeqCst);
        let act = self.next_act(&id);
        match act {
            Act::Slow(time) => tokio::time::sleep(time).await,
            Act::Hang => std::future::pending().await,
            _ => tokio::task::yield_now().await,
        }
        self.busy.fetch_sub(1, SeqCst);
        match act {
            Act::Skip => Outcome::Skip("planned".into()),
            Act::Retry => Outcome::Retry("planned failure".into()),
            Act::Poison => Outcome::Poison("planned poison".into()),
            Act::Panic => panic!("planned panic with a secret"),
            Act::Done | Act::Slow(_) | Act::Hang => {
                self.effects.lock().unwrap().push(id);
                Outcome::Done
            }
        }
    }
}

/// A letter that was kept.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Kept {
    pub(crate) id: String,
    pub(crate) reason: &'static str,
    pub(crate) error: String,
    pub(crate) attempts: u32,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<Header>,
}

/// Keeps letters in memory; fails while it is told to.
#[derive(Debug, Default)]
pub(crate) struct Letters {
    kept: Mutex<Vec<Kept>>,
    down: AtomicBool,
}

impl Letters {
    pub(crate) fn set_down(&self, down: bool) {
        self.down.store(down, SeqCst);
    }

    pub(crate) fn kept(&self) -> Vec<Kept> {
        self.kept.lock().unwrap().clone()
    }
}

impl DeadLetterSink for Letters {
    async fn send(&self, letter: &DeadLetter, _: Deadline) -> Result<(), DeadLetterError> {
        if self.down.load(SeqCst) {
            return Err(DeadLetterError::NotAcknowledged("it is down"));
        }
        self.kept.lock().unwrap().push(Kept {
            id: format!(
                "{}-{}@{}",
                letter.topic.as_deref().unwrap_or("?"),
                letter.partition.unwrap_or(-1),
                letter.offset.unwrap_or(-1)
            ),
            reason: letter.reason.name(),
            error: letter.error.clone(),
            attempts: letter.attempts,
            key: letter.key.clone().map(Into::into),
            value: letter.value.clone().map(Into::into),
            headers: letter.headers(),
        });
        Ok(())
    }
}

/// A memory store whose calls fail while told to. Clones share the memory, as environments share a table.
#[derive(Debug, Clone, Default)]
pub(crate) struct Store {
    memory: Arc<MemoryStore>,
    down: Arc<AtomicBool>,
    failing_completions: Arc<AtomicUsize>,
}

impl Store {
    pub(crate) fn set_down(&self, down: bool) {
        self.down.store(down, SeqCst);
    }

    /// The next `count` completions fail.
    pub(crate) fn fail_completions(&self, count: usize) {
        self.failing_completions.store(count, SeqCst);
    }

    fn check(&self) -> Result<(), StoreError> {
        if self.down.load(SeqCst) { Err(StoreError("it is down".into())) } else { Ok(()) }
    }
}

impl IdempotencyStore for Store {
    async fn claim(&self, key: &IdempotencyKey, lease: Duration) -> Result<Claim, StoreError> {
        self.check()?;
        self.memory.claim(key, lease).await
    }

    async fn complete(&self, key: &IdempotencyKey) -> Result<(), StoreError> {
        self.check()?;
        if self.failing_completions.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok() {
            return Err(StoreError("a write was lost".into()));
        }
        self.memory.complete(key).await
    }

    async fn release(&self, key: &IdempotencyKey) -> Result<(), StoreError> {
        self.check()?;
        self.memory.release(key).await
    }
}

pub(crate) type Processor = BatchProcessor<ByKind<Scripted>, Letters, Store>;

/// Settings of a mapping with `ReportBatchItemFailures`.
pub(crate) fn settings(ordering: Ordering, concurrency: usize) -> BatchSettings {
    BatchSettings {
        report_batch_item_failures: true,
        ordering,
        concurrency: Concurrency::new(concurrency).unwrap(),
        ..BatchSettings::default()
    }
}

/// One record per call.
pub(crate) fn processor(handler: Scripted, settings: BatchSettings) -> Processor {
    processor_by(HandlerKind::Single, handler, settings)
}

pub(crate) fn processor_by(kind: HandlerKind, handler: Scripted, settings: BatchSettings) -> Processor {
    let handler = ByKind::new(kind, handler, settings.ordering);
    BatchProcessor::new(handler, Letters::default(), Store::default(), settings)
}

/// A record `t-<partition>@<offset>` with a JSON value.
pub(crate) fn record(partition: i32, offset: i64, key: &str) -> Record {
    Record::new("t", partition, offset).with_key(Some(key.as_bytes().to_vec())).with_value(Some(b"{}".to_vec()))
}

/// One partition's records from offset 0, without keys.
pub(crate) fn partition(partition: i32, count: i64) -> impl Iterator<Item = Record> {
    (0..count).map(move |offset| record(partition, offset, "k"))
}

/// The event as AWS sends it.
pub(crate) fn body(records: impl IntoIterator<Item = Record>) -> Vec<u8> {
    MskEvent::new(records).to_json(TombstoneStyle::Omit)
}

/// An invocation without known deadline.
pub(crate) fn unbounded() -> InvocationContext {
    InvocationContext { request_id: "test".into(), deadline: None }
}

/// An invocation that ends after `time`.
pub(crate) fn within(time: Duration) -> InvocationContext {
    InvocationContext { request_id: "test".into(), deadline: Some(Deadline::after(time)) }
}

/// The records reported as failed.
pub(crate) fn reported(processed: &Processed) -> Vec<String> {
    processed.answer.as_ref().unwrap().failed().map(ToString::to_string).collect()
}

/// A metric of the batch.
pub(crate) fn metric(processed: &Processed, name: &str) -> f64 {
    processed.metrics.as_ref().unwrap().to_json()[name].as_f64().unwrap_or_else(|| panic!("no metric {name}"))
}
