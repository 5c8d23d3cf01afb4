//! One handler as each kind of handler: for single records, and for batches.

use std::collections::HashSet;
use std::ops::Deref;

use msk_consumer::lanes::Ordering;
use msk_consumer::{BatchHandler, MaxRecords, Outcome, RecordBatch, RecordHandler};
use msk_shared::event::Record;

/// How a handler is given its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HandlerKind {
    /// One by one.
    Single,
    /// Up to so many at once. It handles no record of a lane behind one that failed.
    InOrder(usize),
    /// Up to so many at once. It handles them all, whatever becomes of the earlier ones, as a bulk request to a sink does.
    Bulk(usize),
}

impl HandlerKind {
    /// Kinds with which no record is handled twice for the sake of order.
    pub(crate) const ONCE: [Self; 4] = [Self::Single, Self::InOrder(1), Self::InOrder(4), Self::InOrder(10_000)];
}

/// A handler for single records, used as a handler of another kind.
#[derive(Debug)]
pub(crate) struct ByKind<H> {
    kind: HandlerKind,
    handler: H,
    ordering: Ordering,
}

impl<H> ByKind<H> {
    pub(crate) fn new(kind: HandlerKind, handler: H, ordering: Ordering) -> Self {
        Self { kind, handler, ordering }
    }
}

impl<H> Deref for ByKind<H> {
    type Target = H;

    fn deref(&self) -> &H {
        &self.handler
    }
}

impl<H: RecordHandler> BatchHandler for ByKind<H> {
    fn max_records(&self) -> MaxRecords {
        match self.kind {
            HandlerKind::Single => self.handler.max_records(),
            HandlerKind::InOrder(most) | HandlerKind::Bulk(most) => MaxRecords::new(most).unwrap(),
        }
    }

    async fn handle_batch(&self, batch: &mut RecordBatch<'_>) {
        if self.kind == HandlerKind::Single {
            return self.handler.handle_batch(batch).await;
        }
        let mut failed = HashSet::new();
        for open in batch.open() {
            let lane = lane_name(open.record(), self.ordering);
            if matches!(self.kind, HandlerKind::InOrder(_)) && lane.as_ref().is_some_and(|lane| failed.contains(lane)) {
                continue;
            }
            let outcome = self.handler.handle(open.record()).await;
            if matches!(outcome, Outcome::Retry(_)) {
                failed.extend(lane);
            }
            open.settle(outcome);
        }
    }
}

/// What must stay in order.
pub(crate) fn lane_name(record: &Record, ordering: Ordering) -> Option<(i32, Option<Vec<u8>>)> {
    match ordering {
        Ordering::Partition => Some((record.partition(), None)),
        Ordering::Key => record.key().unwrap().map(|key| (record.partition(), Some(key.into_owned()))),
        Ordering::Unordered => None,
    }
}
