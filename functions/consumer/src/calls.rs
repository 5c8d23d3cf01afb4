//! Calls of the handler: which records of a group of lanes it gets together, and what is settled after each call.

use msk_shared::event::Record;
use msk_shared::telemetry::record_span;
use tracing::{Instrument, Span};

use crate::batch_handler::{BatchHandler, RecordBatch};
use crate::dead_letters::DeadLetterSink;
use crate::handler::Outcome;
use crate::idempotency::{Claim, IdempotencyKey, IdempotencyStore};
use crate::processing::{CallEnd, Disposition, InProgress, Panicked, RecordProcessor};
use crate::running_batch::{Lane, RunningBatch};

/// Why a record is retried that the handler did not settle.
const TIMED_OUT: &str = "the handler did not finish before the invocation's deadline";
const LEFT_OPEN: &str = "the handler returned without an outcome for the record";

/// How far a lane is.
struct LaneProgress<'b> {
    lane: &'b [usize],
    /// The place of the next record that is neither settled nor in the current call.
    next: usize,
    /// Where the lane ends: behind its last record, or behind the first one that failed. Nothing may overtake that one.
    end: usize,
}

/// A claimed record of the current call.
struct CallRecord<'b> {
    /// Which lane of the group it belongs to, and its place there.
    lane: usize,
    place: usize,
    record: &'b Record,
    key: IdempotencyKey,
    span: Span,
}

/// Lanes whose records share calls of the handler.
pub(crate) struct LaneGroup<'b, H, D, S> {
    processor: &'b RecordProcessor<H, D, S>,
    batch: &'b RunningBatch,
    request_id: &'b str,
    lanes: Vec<LaneProgress<'b>>,
    /// How many records the next call may have: halved by a panic, so that the record that causes it is soon alone.
    limit: usize,
    call: Vec<CallRecord<'b>>,
    /// What became of each record, by its position in the event. Those that are missing are unprocessed.
    results: Vec<(usize, Disposition)>,
}

impl<'b, H: BatchHandler, D: DeadLetterSink, S: IdempotencyStore> LaneGroup<'b, H, D, S> {
    pub(crate) fn new(
        processor: &'b RecordProcessor<H, D, S>,
        batch: &'b RunningBatch,
        request_id: &'b str,
        lanes: &'b [Lane],
    ) -> Self {
        let lanes = lanes.iter().map(|lane| LaneProgress { lane, next: 0, end: lane.len() }).collect();
        let limit = processor.handler.max_records().get();
        Self { processor, batch, request_id, lanes, limit, call: Vec::new(), results: Vec::new() }
    }

    /// Handles the lanes to their ends, or until there is no time to start another call.
    pub(crate) async fn run(mut self) -> Vec<(usize, Disposition)> {
        while self.lanes.iter().any(|lane| lane.next < lane.end) && self.batch.budget.may_start() {
            for lane in 0..self.lanes.len() {
                self.take_from(lane, InProgress::Postpone).await;
            }
            // Nobody may wait with claims in hand: two calls could then wait for each other.
            if self.call.is_empty()
                && let Some(lane) = self.lanes.iter().position(|lane| lane.next < lane.end)
            {
                self.take_from(lane, InProgress::Wait).await;
            }
            if !self.call.is_empty() {
                self.make_call().await;
            }
        }
        self.results
    }

    /// Claims the lane's next records for the call. What needs no handler is settled at once, unless the call has an earlier
    /// record of the lane, whose failure would be overtaken.
    async fn take_from(&mut self, lane: usize, in_progress: InProgress) {
        let (processor, batch) = (self.processor, self.batch);
        while self.lanes[lane].next < self.lanes[lane].end && self.call.len() < self.limit && batch.budget.may_start() {
            let place = self.lanes[lane].next;
            let index = self.lanes[lane].lane[place];
            let is_first = self.call.last().is_none_or(|last| last.lane != lane);
            match batch.entry(index) {
                Err(_) if !is_first => return,
                Err(broken) => {
                    let span = record_span(self.request_id, broken.id(), broken.header("traceparent"));
                    let disposition = processor.settle_broken(broken, &batch.budget).instrument(span).await;
                    self.note(lane, place, disposition);
                }
                Ok(record) => {
                    let key = IdempotencyKey::for_record(record);
                    if self.call.iter().any(|other| other.key == key) {
                        return;
                    }
                    let span = record_span(self.request_id, &record.id(), record.header("traceparent"));
                    let wait = if self.call.is_empty() { in_progress } else { InProgress::Postpone };
                    match processor.claim(&key, wait, &batch.budget).instrument(span.clone()).await {
                        Some(Claim::Free) => {
                            self.lanes[lane].next += 1;
                            self.call.push(CallRecord { lane, place, record, key, span });
                        }
                        Some(Claim::Done) => self.note(lane, place, Disposition::Duplicate),
                        Some(Claim::InProgress) if wait == InProgress::Postpone => return,
                        Some(Claim::InProgress) | None => self.note(lane, place, processor.failed(record)),
                    }
                }
            }
        }
    }

    /// Gives the call's records to the handler, and settles them in the order of their lanes.
    async fn make_call(&mut self) {
        let (processor, budget) = (self.processor, &self.batch.budget);
        let call = std::mem::take(&mut self.call);
        let mut records = RecordBatch::new(call.iter().map(|one| one.record));
        // The handler's own log lines name the record if there is only one.
        let span = if let [only] = &call[..] { only.span.clone() } else { Span::current() };
        let end = processor.call(&mut records, budget).instrument(span).await;
        self.limit = match end {
            CallEnd::Panicked => (call.len() / 2).max(1),
            CallEnd::Returned | CallEnd::TimedOut => (self.limit * 2).min(processor.handler.max_records().get()),
        };
        let is_alone = call.len() == 1;
        for (one, outcome) in call.iter().zip(records.into_outcomes()) {
            let lane = &mut self.lanes[one.lane];
            let outcome = match (outcome, end) {
                // An earlier record of the lane failed, or comes again: this one must not overtake it.
                _ if one.place >= lane.next => {
                    processor.release(&one.key, budget).instrument(one.span.clone()).await;
                    continue;
                }
                (None, CallEnd::Panicked) if !is_alone => {
                    lane.next = one.place;
                    processor.release(&one.key, budget).instrument(one.span.clone()).await;
                    continue;
                }
                (None, CallEnd::Panicked) => Err(Panicked),
                (None, CallEnd::TimedOut) => Ok(Outcome::Retry(TIMED_OUT.into())),
                (None, CallEnd::Returned) => Ok(Outcome::Retry(LEFT_OPEN.into())),
                (Some(outcome), _) => Ok(outcome),
            };
            let settled = processor.settle(one.record, &one.key, outcome, budget);
            let disposition = settled.instrument(one.span.clone()).await;
            self.results.push((lane.lane[one.place], disposition));
            if disposition.is_reported() {
                lane.end = one.place + 1;
                lane.next = lane.end;
            }
        }
    }

    /// Notes what became of a record; one that is to be redelivered ends its lane.
    fn note(&mut self, lane: usize, place: usize, disposition: Disposition) {
        let lane = &mut self.lanes[lane];
        self.results.push((lane.lane[place], disposition));
        lane.next = place + 1;
        if disposition.is_reported() {
            lane.end = lane.next;
        }
    }
}
