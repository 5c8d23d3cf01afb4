//! How far a partition may be committed: behind the last record of the unbroken run of finished records; and the
//! commits that are still to be made.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// Pause before a failed commit is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(500);

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

/// Commits of one poller: one at a time; the next one takes everything that finished meanwhile.
#[derive(Debug, Default)]
pub struct CommitQueue {
    waiting: BTreeMap<i32, Commit>,
    /// The commit that was sent, if any.
    sent: Option<BTreeMap<i32, Commit>>,
    not_before: Option<Instant>,
}

impl CommitQueue {
    /// The partition may be committed as far as this.
    pub fn push(&mut self, partition: i32, commit: Commit) {
        let waiting = self.waiting.entry(partition).or_insert(Commit { records: 0, ..commit });
        waiting.position = commit.position;
        waiting.records += commit.records;
    }

    /// The partition is no longer ours to commit.
    pub fn forget(&mut self, partition: i32) {
        self.waiting.remove(&partition);
        if let Some(sent) = &mut self.sent {
            sent.remove(&partition);
        }
    }

    /// The positions to send now; nothing while a commit is under way or has just failed.
    pub fn next(&mut self, now: Instant) -> Option<BTreeMap<i32, i64>> {
        if self.not_before.is_some_and(|moment| moment > now) {
            return None;
        }
        self.not_before = None;
        if self.waiting.is_empty() || self.sent.is_some() {
            return None;
        }
        let sent = self.sent.insert(std::mem::take(&mut self.waiting));
        Some(positions(sent))
    }

    /// The commit under way succeeded; says how many records it covers.
    pub fn succeeded(&mut self) -> u64 {
        self.sent.take().unwrap_or_default().values().map(|commit| commit.records).sum()
    }

    /// The commit under way failed: its positions are sent again, or those that took their place.
    pub fn failed(&mut self, now: Instant) {
        for (partition, failed) in self.sent.take().unwrap_or_default() {
            self.waiting.entry(partition).or_insert(Commit { records: 0, ..failed }).records += failed.records;
        }
        self.not_before = Some(now + RETRY_AFTER);
    }

    /// When [`Self::next`] is worth asking again although nothing new has finished.
    pub fn retry_at(&self) -> Option<Instant> {
        self.not_before
    }

    /// Whether everything is committed.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.sent.is_none()
    }

    /// Everything that is not known to be committed: the positions, and how many records they cover.
    pub fn take_all(&mut self) -> (BTreeMap<i32, i64>, u64) {
        self.failed(Instant::now());
        let all = std::mem::take(&mut self.waiting);
        (positions(&all), all.values().map(|commit| commit.records).sum())
    }
}

fn positions(commits: &BTreeMap<i32, Commit>) -> BTreeMap<i32, i64> {
    commits.iter().map(|(partition, commit)| (*partition, commit.position)).collect()
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

    #[test]
    fn one_commit_is_under_way_and_a_failed_one_is_repeated_with_what_finished_meanwhile() {
        let now = Instant::now();
        let mut queue = CommitQueue::default();
        assert_eq!(queue.next(now), None);
        queue.push(0, Commit { position: 3, records: 3 });
        queue.push(1, Commit { position: 8, records: 1 });
        assert_eq!(queue.next(now), Some(BTreeMap::from([(0, 3), (1, 8)])));
        queue.push(0, Commit { position: 5, records: 2 });
        assert_eq!(queue.next(now), None, "one at a time");
        queue.failed(now);
        assert_eq!(queue.next(now), None, "not at once");
        let later = queue.retry_at().unwrap();
        assert_eq!(queue.next(later), Some(BTreeMap::from([(0, 5), (1, 8)])));
        queue.forget(1);
        assert_eq!(queue.succeeded(), 5);
        assert!(queue.is_empty());
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
