//! A saved event, sent to the function once more.

use std::sync::Arc;
use std::time::{Duration, Instant};

use msk_shared::event::MskEvent;

use super::error::MappingError;
use super::invoke::Invoker;
use super::mapping::{FailurePolicy, Mapping};
use super::msk_event::ranges;
use super::outcome::{Failure, NextStep, decide};
use super::running_mapping::Shared;
use crate::output::{InvocationLine, Line};

/// How an event ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replayed {
    /// The function finished every record.
    Done,
    /// It failed, wholly or for some of the records.
    Failed,
    /// It was not reached, or had no free environment, until its time to start was over.
    Unreachable,
}

/// Sends saved events to the function of one mapping.
pub struct Replay {
    invoker: Invoker,
    function: String,
    policy: FailurePolicy,
    patience: Duration,
    events: u64,
    shared: Arc<Shared>,
}

impl Replay {
    /// Nothing sent yet.
    ///
    /// # Errors
    /// [`MappingError::Invoker`].
    pub fn new(mapping: &Mapping, shared: Arc<Shared>) -> Result<Self, MappingError> {
        Ok(Self {
            invoker: Invoker::new(&mapping.local, &shared.environments)?,
            function: mapping.function.clone(),
            // Whoever replays an event wants to see one invocation of it, whatever the mapping would do next.
            policy: FailurePolicy { max_retries: Some(0), bisect: false, ..mapping.failures },
            patience: mapping.local.startup_grace,
            events: 0,
            shared,
        })
    }

    /// Sends the text of an event as it is, and prints how it went. An endpoint that is not there yet is waited for.
    pub async fn send(&mut self, event: &MskEvent, text: Vec<u8>) -> Replayed {
        self.events += 1;
        let (started, mut attempt) = (Instant::now(), 0);
        loop {
            attempt += 1;
            let environment = self.invoker.environment().await;
            let sent = Instant::now();
            let observation = self.invoker.invoke(text.clone(), environment).await;
            let step = decide(event, observation, 0, &self.policy);
            self.print(event, text.len(), attempt, sent.elapsed(), &step);
            match step {
                NextStep::Done { .. } => return Replayed::Done,
                NextStep::Retry { .. } if started.elapsed() < self.patience => {
                    tokio::time::sleep(self.policy.backoff.min(self.policy.max_backoff)).await;
                }
                NextStep::Retry { .. } => return Replayed::Unreachable,
                NextStep::GiveUp { .. } | NextStep::Split { .. } => return Replayed::Failed,
            }
        }
    }

    fn print(&self, event: &MskEvent, bytes: usize, attempt: u32, took: Duration, step: &NextStep) {
        let (failure, note, failed) = match step {
            NextStep::Done { overlooked } => (None, overlooked.clone(), 0),
            NextStep::Retry { failure, positions, .. } | NextStep::GiveUp { failure, positions } => {
                (Some(failure), failure.detail(), positions.len())
            }
            NextStep::Split { failure, .. } => (Some(failure), failure.detail(), event.len()),
        };
        self.shared.reporter.line(&Line::Invoked(InvocationLine {
            function: self.function.clone(),
            batch: self.events,
            attempt,
            records: event.len(),
            bytes,
            offsets: ranges(event.records().map(|record| record.id())),
            duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            outcome: failure.map_or("done", Failure::name),
            retried: failed,
            given_up: 0,
            detail: note,
        }));
    }
}
