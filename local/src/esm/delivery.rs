//! One batch from its first invocation until every record is finished or given up.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rand::Rng;
use tokio::sync::{mpsc, watch};

use super::batch::{Envelope, PolledRecord, TOMBSTONES};
use super::destination::{Condition, Destination, GivenUp, Response};
use super::invoke::Invoker;
use super::mapping::{FailurePolicy, Mapping};
use super::metrics::Metrics;
use super::outcome::{Failure, Step, decide};
use crate::report::{InvocationLine, Line, RecordLine, Reporter};

/// A record's number holds the assignment it was polled under in the bits above these.
pub(super) const ASSIGNMENT_SHIFT: u32 = 40;

/// Records (partition, number) that need no further delivery.
pub(super) type Finished = Vec<(i32, u64)>;

/// The assignment under which each partition is held now; a delivery asks before every invocation.
#[derive(Debug, Default)]
pub(super) struct Ownership(Mutex<BTreeMap<i32, u64>>);

impl Ownership {
    pub(super) fn gained(&self, partition: i32, assignment: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(partition, assignment);
    }

    pub(super) fn lost(&self, partition: i32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&partition);
    }

    fn retain_owned(&self, records: &mut Vec<PolledRecord>) {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        records.retain(|record| held.get(&record.record.partition()) == Some(&(record.number >> ASSIGNMENT_SHIFT)));
    }
}

/// What every delivery of a poller shares.
pub(super) struct Courier {
    pub(super) mapping: Arc<Mapping>,
    pub(super) envelope: Envelope,
    pub(super) invoker: Arc<Invoker>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) reporter: Arc<Reporter>,
    pub(super) destination: Option<Arc<Destination>>,
    pub(super) ownership: Ownership,
    pub(super) progress: mpsc::UnboundedSender<Finished>,
    pub(super) stop: watch::Receiver<bool>,
}

/// Records that are sent together, and what they have been through.
struct Part {
    records: Vec<PolledRecord>,
    retries_used: u32,
    failures_in_a_row: u32,
}

impl Courier {
    /// Delivers a batch; ends early, with records unfinished, when the poller stops.
    pub(super) async fn deliver(self: Arc<Self>, batch: u64, records: Vec<PolledRecord>) {
        // The part on top goes next, so a first half is over before its second half begins.
        let mut parts = vec![Part { records, retries_used: 0, failures_in_a_row: 0 }];
        let mut attempt = 0;
        while let Some(mut part) = parts.pop() {
            self.ownership.retain_owned(&mut part.records);
            self.give_up_old(&mut part.records, attempt).await;
            if part.records.is_empty() {
                continue;
            }
            attempt += 1;
            match self.send(batch, attempt, &part).await {
                Step::Done => self.finish(part.records, "done"),
                Step::GiveUp { positions, failure } => {
                    let (given_up, done) = pick(part.records, &positions);
                    self.finish(done, "done");
                    let response = Response::of(&failure);
                    self.give_up(given_up, Condition::RetriesExhausted, attempt, Some(response)).await;
                }
                Step::Split { at, .. } => {
                    let second = part.records.split_off(at);
                    parts.push(Part { records: second, failures_in_a_row: 0, ..part });
                    parts.push(Part { failures_in_a_row: 0, ..part });
                }
                Step::Retry { positions, uses_retry, .. } => {
                    let (again, done) = pick(part.records, &positions);
                    self.finish(done, "done");
                    let pause = backoff(&self.mapping.failures, part.failures_in_a_row);
                    parts.push(Part {
                        records: again,
                        retries_used: part.retries_used + u32::from(uses_retry),
                        failures_in_a_row: part.failures_in_a_row.saturating_add(1),
                    });
                    self.pause(pause).await;
                }
            }
            if *self.stop.borrow() {
                return;
            }
        }
    }

    async fn send(&self, batch: u64, attempt: u32, part: &Part) -> Step {
        let event = self.envelope.event(part.records.iter().map(|record| record.record.clone()));
        let json = event.to_json(TOMBSTONES);
        let bytes = json.len();
        let started = Instant::now();
        let observation = self.invoker.invoke(json).await;
        let duration = started.elapsed();
        let step = decide(&event, observation, part.retries_used, &self.mapping.failures);
        self.account(&step, part.records.len());
        self.reporter.line(&Line::Invocation(InvocationLine {
            function: self.mapping.function.clone(),
            attempt,
            batch,
            bytes,
            duration_ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
            offsets: ranges(&part.records),
            records: part.records.len(),
            ..outcome_of(&step)
        }));
        step
    }

    fn account(&self, step: &Step, records: usize) {
        let metrics = &self.metrics;
        let (reached, failed) = match step {
            Step::Done => (true, 0),
            Step::Retry { failure: Failure::Unreachable(_), .. } => (false, 0),
            Step::Retry { positions, .. } | Step::GiveUp { positions, .. } => (true, positions.len()),
            Step::Split { .. } => (true, records),
        };
        if reached {
            metrics.invocations.add(1);
            metrics.invoked.add(records as u64);
        }
        if failed > 0 {
            metrics.invoke_errors.add(1);
            metrics.failed_invoke.add(failed as u64);
        }
    }

    fn finish(&self, records: Vec<PolledRecord>, outcome: &'static str) {
        if records.is_empty() {
            return;
        }
        if self.reporter.wants_records() {
            for polled in &records {
                let id = polled.record.id();
                let topic = id.topic.to_string();
                self.reporter.line(&Line::Record(RecordLine {
                    event: "record",
                    topic,
                    partition: id.partition,
                    offset: id.offset,
                    outcome,
                }));
            }
        }
        let finished = records.iter().map(|record| (record.record.partition(), record.number)).collect();
        // The poller is gone only when nobody commits any more.
        let _ = self.progress.send(finished);
    }

    /// A record that fits into no event.
    pub(super) async fn give_up_oversize(self: Arc<Self>, record: PolledRecord) {
        self.give_up(vec![record], Condition::PayloadTooLarge, 0, None).await;
    }

    /// To the destination, or dropped when there is none or it fails, as AWS does; counted either way.
    async fn give_up(
        &self,
        records: Vec<PolledRecord>,
        condition: Condition,
        invoke_count: u32,
        response: Option<Response>,
    ) {
        let count = records.len() as u64;
        let given_up = GivenUp { records: &records, envelope: &self.envelope, condition, invoke_count, response };
        let outcome = match &self.destination {
            None => "dropped",
            Some(destination) => match destination.deliver(&given_up).await {
                Ok(()) => "destination",
                Err(error) => {
                    self.metrics.destination_errors.add(1);
                    tracing::error!(%error, records = count, "the on-failure destination failed; the records are dropped");
                    "dropped"
                }
            },
        };
        let counter = if outcome == "dropped" { &self.metrics.dropped } else { &self.metrics.delivered_to_destination };
        counter.add(count);
        self.finish(records, outcome);
    }

    async fn give_up_old(&self, records: &mut Vec<PolledRecord>, invoke_count: u32) {
        let Some(max_age) = self.mapping.failures.max_record_age else { return };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let is_old = |record: &PolledRecord| {
            // A record without a time has no age.
            let written = record.record.timestamp_ms().and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis);
            written.is_some_and(|written| now.saturating_sub(written) > max_age)
        };
        let old: Vec<_> = records.extract_if(.., |record| is_old(record)).collect();
        if !old.is_empty() {
            let offsets = ranges(&old);
            tracing::warn!(offsets, max_age_s = max_age.as_secs(), "records are older than MaximumRecordAgeInSeconds");
            self.give_up(old, Condition::RecordAgeExceeded, invoke_count, None).await;
        }
    }

    async fn pause(&self, pause: Duration) {
        let mut stop = self.stop.clone();
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            // An error means that nobody can ask to stop any more, which is the same.
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }
}

/// The records at these positions, and the others.
fn pick(records: Vec<PolledRecord>, positions: &[usize]) -> (Vec<PolledRecord>, Vec<PolledRecord>) {
    let (mut picked, mut others) = (Vec::with_capacity(positions.len()), Vec::new());
    for (position, record) in records.into_iter().enumerate() {
        if positions.binary_search(&position).is_ok() { picked.push(record) } else { others.push(record) }
    }
    (picked, others)
}

/// Doubles with every failure in a row up to the limit; the second half of the pause is random, so that several
/// mappings do not knock together. AWS documents neither.
fn backoff(policy: &FailurePolicy, failures_in_a_row: u32) -> Duration {
    let doubled = policy.backoff.saturating_mul(2_u32.saturating_pow(failures_in_a_row));
    doubled.min(policy.max_backoff).mul_f64(rand::rng().random_range(0.5..=1.0))
}

/// `orders-0@5..9,orders-0@12,orders-3@7`: the unbroken runs of offsets, in the batch's order.
fn ranges(records: &[PolledRecord]) -> String {
    let mut runs: Vec<(i32, i64, i64)> = Vec::new();
    for polled in records {
        let (partition, offset) = (polled.record.partition(), polled.record.offset());
        match runs.last_mut() {
            Some((of, _, last)) if *of == partition && *last + 1 == offset => *last = offset,
            _ => runs.push((partition, offset, offset)),
        }
    }
    let topic = records.first().map(|polled| polled.record.topic()).unwrap_or_default();
    let texts: Vec<_> = runs
        .iter()
        .map(|(partition, first, last)| {
            let more = if first == last { String::new() } else { format!("..{last}") };
            format!("{topic}-{partition}@{first}{more}")
        })
        .collect();
    texts.join(",")
}

/// The part of the line that says what came of the invocation.
fn outcome_of(step: &Step) -> InvocationLine {
    let (failure, retried, given_up) = match step {
        Step::Done => (None, 0, 0),
        Step::Retry { failure, positions, .. } => (Some(failure), positions.len(), 0),
        Step::GiveUp { failure, positions } => (Some(failure), 0, positions.len()),
        Step::Split { failure, .. } => (Some(failure), 0, 0),
    };
    let halved = matches!(step, Step::Split { .. }).then(|| "halved".to_owned());
    let (outcome, detail) = match failure {
        None => ("done", None),
        Some(Failure::Reported) => ("reported", None),
        Some(Failure::Throttled) => ("throttled", None),
        Some(Failure::FunctionError(text)) => ("function_error", Some(text.clone())),
        Some(Failure::Timeout(text)) => ("timeout", Some(text.clone())),
        Some(Failure::Unreachable(text)) => ("unreachable", Some(text.clone())),
        Some(Failure::MalformedAnswer(mistake)) => {
            ("malformed_answer", Some(format!("the whole batch is delivered again: {mistake}")))
        }
    };
    let detail = match (halved, detail) {
        (Some(halved), Some(detail)) => Some(format!("{halved}; {detail}")),
        (halved, detail) => halved.or(detail),
    };
    InvocationLine {
        event: "invocation",
        function: String::new(),
        batch: 0,
        attempt: 0,
        records: 0,
        bytes: 0,
        offsets: String::new(),
        duration_ms: 0,
        outcome,
        retried,
        given_up,
        detail,
    }
}
