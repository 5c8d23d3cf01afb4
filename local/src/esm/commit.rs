//! How far a partition may be committed: behind the last record of the unbroken run of finished records.

use std::collections::VecDeque;

/// The records of one partition that were polled and are not committed yet, in the order they were polled.
///
/// Offsets of a partition may have gaps (compaction, transaction markers), so "contiguous" is meant over the polled
/// records, never over the numbers.
#[derive(Debug, Default)]
pub struct CommitTracker {
    pending: VecDeque<Pending>,
    first: u64,
}

#[derive(Debug)]
struct Pending {
    offset: i64,
    finished: bool,
}

/// What may be committed now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commit {
    /// The offset to commit: that of the last finished record plus one.
    pub position: i64,
    /// How many records it covers that no earlier commit covered.
    pub records: u64,
}

impl CommitTracker {
    /// A tracker whose first record gets the number `first`. A partition that is assigned again starts above every
    /// number it has used, so that a late result of the earlier assignment finds nothing.
    pub fn starting_at(first: u64) -> Self {
        Self { pending: VecDeque::new(), first }
    }

    /// A record was polled; the number it returns names the record in [`Self::finish`].
    pub fn polled(&mut self, offset: i64) -> u64 {
        self.pending.push_back(Pending { offset, finished: false });
        self.first + self.pending.len() as u64 - 1
    }

    /// The record needs no further delivery. `false` when the tracker does not know the number or knew it already:
    /// it belongs to an earlier assignment of the partition.
    pub fn finish(&mut self, number: u64) -> bool {
        let index = number.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        match index.and_then(|index| self.pending.get_mut(index)) {
            Some(record) => !std::mem::replace(&mut record.finished, true),
            None => false,
        }
    }

    /// Takes the unbroken run of finished records; `None` while the oldest one is unfinished.
    pub fn take(&mut self) -> Option<Commit> {
        let run = self.pending.iter().take_while(|record| record.finished).count();
        let position = self.pending.drain(..run).next_back()?.offset + 1;
        self.first += run as u64;
        Some(Commit { position, records: run as u64 })
    }

    /// Whether a polled record is not committed yet.
    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_finished_record_behind_an_unfinished_one_waits() {
        let mut tracker = CommitTracker::default();
        let numbers: Vec<_> = [7, 8, 12].into_iter().map(|offset| tracker.polled(offset)).collect();
        tracker.finish(numbers[1]);
        tracker.finish(numbers[2]);
        assert_eq!(tracker.take(), None);
        tracker.finish(numbers[0]);
        assert_eq!(tracker.take(), Some(Commit { position: 13, records: 3 }));
        assert_eq!(tracker.take(), None);
        assert!(!tracker.has_pending());
    }

    #[test]
    fn a_result_of_an_earlier_assignment_changes_nothing() {
        let mut earlier = CommitTracker::starting_at(0);
        let stale = earlier.polled(5);
        let mut tracker = CommitTracker::starting_at(1 << 40);
        let number = tracker.polled(5);
        assert!(!tracker.finish(stale));
        assert_eq!(tracker.take(), None);
        assert!(tracker.finish(number));
        assert!(!tracker.finish(number), "twice");
        assert_eq!(tracker.take(), Some(Commit { position: 6, records: 1 }));
    }

    proptest! {
        /// Whatever order records finish in, a commit never passes an unfinished one, positions only grow, and once
        /// all are finished everything is committed exactly once.
        #[test]
        fn commits_never_pass_an_unfinished_record(
            gaps in prop::collection::vec(1i64..50, 1..60),
            order in any::<prop::sample::Index>(),
            seed in any::<u64>(),
        ) {
            let mut tracker = CommitTracker::default();
            let mut offset = 0;
            let mut open: Vec<(u64, i64)> = Vec::new();
            for gap in &gaps {
                offset += gap;
                open.push((tracker.polled(offset), offset));
            }
            let last = offset;
            let (mut covered, mut position, mut state) = (0, -1, seed ^ order.index(usize::MAX) as u64);
            while !open.is_empty() {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let chosen = (state >> 33) as usize % open.len();
                let (number, _) = open.swap_remove(chosen);
                tracker.finish(number);
                if let Some(commit) = tracker.take() {
                    prop_assert!(commit.position > position);
                    let oldest_open = open.iter().map(|(_, offset)| *offset).min();
                    prop_assert!(oldest_open.is_none_or(|oldest| commit.position <= oldest));
                    position = commit.position;
                    covered += commit.records;
                }
            }
            prop_assert_eq!(position, last + 1);
            prop_assert_eq!(covered, gaps.len() as u64);
            prop_assert!(!tracker.has_pending());
        }
    }
}
