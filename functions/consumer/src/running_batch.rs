//! A batch while its lanes run.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use msk_shared::event::{BrokenRecord, MskEvent, Record};

use crate::processing::InvocationBudget;

/// The records of one lane, as positions in [`MskEvent::entries`], in the event's order.
pub type Lane = Vec<usize>;

/// A record of the event, or what is left of one.
pub(crate) type Entry<'e> = Result<&'e Record, &'e BrokenRecord>;

/// A batch, its lanes, and how far they are started.
pub(crate) struct RunningBatch {
    pub(crate) event: MskEvent,
    pub(crate) budget: InvocationBudget,
    /// Group and place within it, by position in the event.
    places: Vec<(usize, usize)>,
    lanes: Vec<Lane>,
    /// Lanes that share calls of the handler, as ranges of `lanes`.
    groups: Vec<Range<usize>>,
    /// The next group that no worker has started.
    next_group: AtomicUsize,
}

impl RunningBatch {
    pub(crate) fn new(event: MskEvent, lanes: Vec<Lane>, groups: Vec<Range<usize>>, budget: InvocationBudget) -> Self {
        let partitions = event.partitions.iter().enumerate();
        let places =
            partitions.flat_map(|(group, of)| (0..of.records.len()).map(move |place| (group, place))).collect();
        Self { event, budget, places, lanes, groups, next_group: AtomicUsize::new(0) }
    }

    /// Number of records.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// Number of groups.
    pub(crate) fn groups(&self) -> usize {
        self.groups.len()
    }

    /// Lanes that nobody else has or gets; `None` when all are taken.
    pub(crate) fn next_group(&self) -> Option<&[Lane]> {
        let group = self.groups.get(self.next_group.fetch_add(1, Relaxed))?;
        Some(&self.lanes[group.clone()])
    }

    pub(crate) fn entry(&self, index: usize) -> Entry<'_> {
        let (group, place) = self.places[index];
        self.event.partitions[group].records[place].as_ref()
    }
}
