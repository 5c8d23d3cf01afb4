//! One batch from its first invocation until every record is finished or given up.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use msk_shared::event::{Record, RecordId};
use rand::Rng;
use tokio::sync::{mpsc, watch};

use super::chaos::{Chaos, DecisionPoint};
use super::chaos_settings::ChaosFault;
use super::commit::DeliveryTicket;
use super::destination::{Destination, GiveUpReason, GivenUp};
use super::environments::Environment;
use super::invoke::{Invoker, Observation};
use super::mapping::{FailurePolicy, Mapping};
use super::metrics::MappingMetrics;
use super::msk_event::{Envelope, PolledRecord, TOMBSTONES, ranges};
use super::outcome::{Failure, NextStep, decide};
use super::schema_registry::conversion::Refusal;
use super::stalled::StallReporter;
use super::system_log::PollerLog;
use crate::output::{InvocationLine, Line, RecordLine, Reporter};

/// Records that need no further delivery.
pub(super) type Finished = Vec<DeliveryTicket>;

/// The current assignment of each partition; a delivery looks it up before every invocation.
#[derive(Debug, Default)]
pub(super) struct Ownership(Mutex<BTreeMap<i32, u64>>);

impl Ownership {
    pub(super) fn gained(&self, partition: i32, assignment: u64) {
        self.held().insert(partition, assignment);
    }

    pub(super) fn lost(&self, partition: i32) {
        self.held().remove(&partition);
    }

    fn retain_owned(&self, records: &mut Vec<PolledRecord>) {
        let held = self.held();
        records.retain(|polled| held.get(&polled.ticket.partition) == Some(&polled.ticket.assignment));
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<i32, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Delivers the batches of one poller.
pub(super) struct BatchDelivery {
    pub(super) mapping: Arc<Mapping>,
    pub(super) envelope: Envelope,
    pub(super) invoker: Arc<Invoker>,
    pub(super) metrics: Arc<MappingMetrics>,
    pub(super) reporter: Arc<Reporter>,
    pub(super) log: PollerLog,
    pub(super) chaos: Arc<Chaos>,
    pub(super) stalls: Arc<StallReporter>,
    pub(super) destination: Option<Arc<Destination>>,
    pub(super) ownership: Ownership,
    pub(super) progress: mpsc::UnboundedSender<Finished>,
    pub(super) stop: watch::Receiver<bool>,
}

/// Records of a batch that are sent together, and how often they have failed.
struct SubBatch {
    records: Vec<PolledRecord>,
    retries_used: u32,
    failures_in_a_row: u32,
    /// When it failed first.
    stalled_since: Option<Instant>,
}

impl BatchDelivery {
    /// Delivers a batch; returns early, leaving records unfinished, if the poller stops.
    pub(super) async fn deliver(self: Arc<Self>, batch: u64, records: Vec<PolledRecord>) {
        // The last one is taken next, so a first half is finished before its second half begins.
        let mut stack = vec![SubBatch { records, retries_used: 0, failures_in_a_row: 0, stalled_since: None }];
        let mut attempt = 0;
        while let Some(mut sub_batch) = stack.pop() {
            // First, since partitions may be lost and records grow old while other invocations use all environments.
            let Some(environment) = self.or_stop(self.invoker.environment()).await else { return };
            self.ownership.retain_owned(&mut sub_batch.records);
            self.give_up_old(&mut sub_batch.records, attempt).await;
            if sub_batch.records.is_empty() {
                continue;
            }
            attempt += 1;
            match self.send(batch, attempt, &sub_batch, environment).await {
                NextStep::Done { .. } if self.strikes(ChaosFault::Duplicate, &sub_batch, attempt) => {
                    stack.push(SubBatch { failures_in_a_row: 0, ..sub_batch });
                }
                NextStep::Done { .. } => self.finish(sub_batch.records, "done"),
                NextStep::GiveUp { positions, failure } => {
                    let given_up = self.finish_others(sub_batch.records, &positions);
                    self.give_up(given_up, GiveUpReason::RetriesExhausted(&failure), attempt).await;
                }
                NextStep::Split { at, .. } => {
                    let second = sub_batch.records.split_off(at);
                    stack.push(SubBatch { records: second, failures_in_a_row: 0, ..sub_batch });
                    stack.push(SubBatch { failures_in_a_row: 0, ..sub_batch });
                }
                NextStep::Retry { positions, uses_retry, failure } => {
                    let since = *sub_batch.stalled_since.get_or_insert_with(Instant::now);
                    self.stalls.failed(&failure, positions.len(), since);
                    let pause = backoff(&self.mapping.failures, sub_batch.failures_in_a_row);
                    stack.push(SubBatch {
                        records: self.finish_others(sub_batch.records, &positions),
                        retries_used: sub_batch.retries_used + u32::from(uses_retry),
                        failures_in_a_row: sub_batch.failures_in_a_row.saturating_add(1),
                        stalled_since: sub_batch.stalled_since,
                    });
                    self.or_stop(tokio::time::sleep(pause)).await;
                }
            }
            if *self.stop.borrow() {
                return;
            }
        }
    }

    async fn send(&self, batch: u64, attempt: u32, sub_batch: &SubBatch, environment: Environment) -> NextStep {
        let event = self.envelope.event(&sub_batch.records);
        let json = event.to_json(TOMBSTONES);
        let bytes = json.len();
        let started = Instant::now();
        let observation = self.observe(json, environment, attempt, sub_batch).await;
        let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let step = decide(&event, observation, sub_batch.retries_used, &self.mapping.failures);
        let records = sub_batch.records.len();
        self.count(&step, records);
        let (failure, retried, given_up) = match &step {
            NextStep::Done { .. } => (None, 0, 0),
            NextStep::Retry { failure, positions, .. } => (Some(failure), positions.len(), 0),
            NextStep::GiveUp { failure, positions } => (Some(failure), 0, positions.len()),
            NextStep::Split { failure, .. } => (Some(failure), 0, 0),
        };
        let note = match &step {
            NextStep::Split { .. } => Some("halved".to_owned()),
            NextStep::Done { overlooked } => overlooked.clone(),
            NextStep::Retry { .. } | NextStep::GiveUp { .. } => None,
        };
        let detail: Vec<_> = note.into_iter().chain(failure.and_then(Failure::detail)).collect();
        self.reporter.line(&Line::Invoked(InvocationLine {
            function: self.mapping.function.clone(),
            batch,
            attempt,
            records,
            bytes,
            offsets: ranges(ids(&sub_batch.records)),
            duration_ms,
            outcome: failure.map_or("done", Failure::name),
            retried,
            given_up,
            detail: (!detail.is_empty()).then(|| detail.join("; ")),
        }));
        step
    }

    /// Invokes the function, unless a fault comes between it and the mapping.
    async fn observe(
        &self,
        event: Vec<u8>,
        environment: Environment,
        attempt: u32,
        sub_batch: &SubBatch,
    ) -> Observation {
        if self.strikes(ChaosFault::Throttle, sub_batch, attempt) {
            return Observation::Throttled;
        }
        if self.strikes(ChaosFault::Timeout, sub_batch, attempt) {
            return Observation::Timeout("chaos: the function was not invoked".to_owned());
        }
        match self.invoke(event, environment, sub_batch.records.len()).await {
            Observation::Returned(_) if self.strikes(ChaosFault::LostResponse, sub_batch, attempt) => {
                Observation::Timeout("chaos: the response was lost".to_owned())
            }
            observation => observation,
        }
    }

    fn strikes(&self, fault: ChaosFault, sub_batch: &SubBatch, attempt: u32) -> bool {
        let first = sub_batch.records.first().map(|polled| &polled.record);
        first.is_some_and(|record| {
            let at = DecisionPoint { partition: record.partition(), offset: record.offset(), attempt };
            self.chaos.strikes(fault, at)
        })
    }

    /// Invokes, and tells of an endpoint that takes long to answer.
    async fn invoke(&self, event: Vec<u8>, environment: Environment, records: usize) -> Observation {
        let unanswered = self.stalls.unanswered(records, Instant::now(), self.invoker.has_answered());
        tokio::select! {
            observation = self.invoker.invoke(event, environment) => observation,
            never = unanswered => match never {},
        }
    }

    fn count(&self, step: &NextStep, records: usize) {
        let failed = match step {
            NextStep::Retry { failure: Failure::Unreachable(_), .. } => return,
            NextStep::Done { .. } => 0,
            NextStep::Retry { positions, .. } | NextStep::GiveUp { positions, .. } => positions.len(),
            NextStep::Split { .. } => records,
        };
        self.metrics.update(|counts| {
            counts.invocations += 1;
            counts.invoked_event_count += records as u64;
            counts.invoke_error_count += u64::from(failed > 0);
            counts.failed_invoke_event_count += failed as u64;
        });
    }

    /// Finishes all records except those at these positions, which it returns.
    fn finish_others(&self, records: Vec<PolledRecord>, positions: &[usize]) -> Vec<PolledRecord> {
        let (mut picked, mut others) = (Vec::with_capacity(positions.len()), Vec::new());
        for (position, record) in records.into_iter().enumerate() {
            if positions.binary_search(&position).is_ok() { picked.push(record) } else { others.push(record) }
        }
        self.finish(others, "done");
        picked
    }

    fn finish(&self, records: Vec<PolledRecord>, outcome: &'static str) {
        if records.is_empty() {
            return;
        }
        records.iter().for_each(|polled| self.report(&polled.record, outcome));
        // Without a receiver, the poller has ended and nothing more is committed.
        let _ = self.progress.send(records.iter().map(|polled| polled.ticket).collect());
    }

    /// Prints the record's line, if lines of records are wanted.
    pub(super) fn report(&self, record: &Record, outcome: &'static str) {
        if self.reporter.wants_records() {
            let (function, topic) = (self.mapping.function.clone(), record.topic().to_owned());
            let (partition, offset) = (record.partition(), record.offset());
            self.reporter.line(&Line::Record(RecordLine { function, topic, partition, offset, outcome }));
        }
    }

    /// Gives up a record that is larger than the largest event.
    pub(super) async fn give_up_oversize(self: Arc<Self>, record: PolledRecord) {
        self.give_up(vec![record], GiveUpReason::PayloadTooLarge, 0).await;
    }

    /// Gives up a record that its schema does not let pass.
    pub(super) async fn give_up_refused(self: Arc<Self>, record: PolledRecord, refusal: Refusal) {
        let reason = GiveUpReason::Refused(&refusal);
        let (name, detail) = (reason.name(), refusal.detail());
        self.metrics.update(|counts| counts.schema_registry_error_count += u64::from(refusal != Refusal::TooLarge));
        self.log.error(name, &format!("{}: {detail}", record.record.id()));
        tracing::warn!(record = %record.record.id(), detail, "{name}: the record is given up");
        self.give_up(vec![record], reason, 0).await;
    }

    /// Sends records to the destination, or drops them if there is none or it fails, as AWS does.
    async fn give_up(&self, records: Vec<PolledRecord>, reason: GiveUpReason<'_>, invoke_count: u32) {
        let count = records.len() as u64;
        let given_up = GivenUp { records: &records, envelope: &self.envelope, reason, invoke_count };
        let delivered = match &self.destination {
            None => {
                let offsets = ranges(ids(&records));
                tracing::warn!(
                    offsets,
                    reason = given_up.reason.name(),
                    "records are dropped: there is no on-failure destination"
                );
                self.log.error(given_up.reason.name(), &format!("{count} records were dropped"));
                false
            }
            Some(destination) => match destination.deliver(&given_up).await {
                Ok(()) => true,
                Err(error) => {
                    self.metrics.update(|counts| counts.on_failure_destination_delivery_error_count += 1);
                    self.log.error("DestinationDeliveryFailure", &error.to_string());
                    tracing::error!(%error, records = count, "the on-failure destination failed; the records are dropped");
                    false
                }
            },
        };
        self.metrics.update(|counts| match delivered {
            true => counts.on_failure_destination_delivered_event_count += count,
            false => counts.dropped_event_count += count,
        });
        self.finish(records, if delivered { "destination" } else { "dropped" });
    }

    async fn give_up_old(&self, records: &mut Vec<PolledRecord>, invoke_count: u32) {
        let Some(max_age) = self.mapping.failures.max_record_age else { return };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let is_old = |polled: &PolledRecord| {
            // A record without a timestamp has no age.
            let written = polled.record.timestamp_ms().and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis);
            written.is_some_and(|written| now.saturating_sub(written) > max_age)
        };
        let old: Vec<_> = records.extract_if(.., |polled| is_old(polled)).collect();
        if !old.is_empty() {
            let offsets = ranges(ids(&old));
            tracing::warn!(offsets, max_age_s = max_age.as_secs(), "records are older than MaximumRecordAgeInSeconds");
            self.give_up(old, GiveUpReason::RecordAgeExceeded, invoke_count).await;
        }
    }

    /// The result of the work; `None` if the poller stops first.
    async fn or_stop<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut stop = self.stop.clone();
        tokio::select! {
            done = work => Some(done),
            // An error means that the running mapping has been dropped, which is also a request to stop.
            _ = stop.wait_for(|stop| *stop) => None,
        }
    }
}

/// The pause doubles with every failure in a row, up to the limit; its second half is random, so that mappings that
/// failed together do not retry together. AWS documents neither.
pub(super) fn backoff(policy: &FailurePolicy, failures_in_a_row: u32) -> Duration {
    let doubled = policy.backoff.saturating_mul(2_u32.saturating_pow(failures_in_a_row));
    doubled.min(policy.max_backoff).mul_f64(rand::rng().random_range(0.5..=1.0))
}

fn ids(records: &[PolledRecord]) -> impl Iterator<Item = RecordId> {
    records.iter().map(|polled| polled.record.id())
}
