//! How far a partition may be committed, even after a partial batch: up to the last record of the unbroken run of
//! finished records; and the commits that are still to be sent.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// Pause before a failed commit is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// Identifies a polled record from its first delivery until it is covered by a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DeliveryTicket {
    pub(super) partition: i32,
    /// The assignment under which the record was polled. A result that arrives after the partition was lost and
    /// reassigned has an earlier one, and is ignored.
    pub(super) assignment: u64,
    /// The position of the record in the assignment.
    number: usize,
}

/// The records of one assigned partition that were polled and are not committed yet, in the order they were polled.
///
/// Offsets of a partition may have gaps (compaction, transaction markers), so "contiguous" refers to the polled
/// records, never to the offsets.
#[derive(Debug)]
pub(super) struct CommitTracker {
    partition: i32,
    assignment: u64,
    pending: VecDeque<Pending>,
    /// Records of the assignment that are committed, or about to be.
    taken: usize,
}

#[derive(Debug)]
struct Pending {
    offset: i64,
    finished: bool,
}

/// What may be committed now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Commit {
    /// The offset to commit: one more than that of the last finished record.
    pub(super) position: i64,
    /// How many records it covers in addition to earlier commits.
    pub(super) records: u64,
}

impl CommitTracker {
    pub(super) fn new(partition: i32, assignment: u64) -> Self {
        Self { partition, assignment, pending: VecDeque::new(), taken: 0 }
    }

    /// Records that were polled and may not be committed yet.
    pub(super) fn uncommitted(&self) -> usize {
        self.pending.len()
    }

    /// Adds a record that was just polled.
    pub(super) fn polled(&mut self, offset: i64) -> DeliveryTicket {
        let number = self.taken + self.pending.len();
        self.pending.push_back(Pending { offset, finished: false });
        DeliveryTicket { partition: self.partition, assignment: self.assignment, number }
    }

    /// Marks a record as needing no further delivery. `false` if it was already finished, or polled under another assignment.
    pub(super) fn finish(&mut self, ticket: DeliveryTicket) -> bool {
        if (ticket.partition, ticket.assignment) != (self.partition, self.assignment) {
            return false;
        }
        let index = ticket.number.checked_sub(self.taken);
        let record = index.and_then(|index| self.pending.get_mut(index));
        record.is_some_and(|record| !std::mem::replace(&mut record.finished, true))
    }

    /// Takes the unbroken run of finished records; `None` while the oldest one is unfinished.
    pub(super) fn take(&mut self) -> Option<Commit> {
        let run = self.pending.iter().take_while(|record| record.finished).count();
        let position = self.pending.drain(..run).next_back()?.offset + 1;
        self.taken += run;
        Some(Commit { position, records: run as u64 })
    }
}

/// Commits of one poller: one at a time; the next one takes everything that finished meanwhile.
#[derive(Debug, Default)]
pub(super) struct CommitQueue {
    waiting: BTreeMap<i32, Commit>,
    /// The commit that was sent, if any.
    sent: Option<BTreeMap<i32, Commit>>,
    not_before: Option<Instant>,
    /// Whether the last commit was refused because the group is rebalancing.
    rebalancing: bool,
}

impl CommitQueue {
    /// Adds a commit, or advances the one that is waiting.
    pub(super) fn push(&mut self, partition: i32, commit: Commit) {
        let waiting = self.waiting.entry(partition).or_insert(Commit { records: 0, ..commit });
        waiting.position = commit.position;
        waiting.records += commit.records;
    }

    /// Drops the commits of a partition that was revoked.
    pub(super) fn forget(&mut self, partition: i32) {
        self.waiting.remove(&partition);
        if let Some(sent) = &mut self.sent {
            sent.remove(&partition);
        }
    }

    /// The positions to send now; `None` while a commit is in progress or has just failed.
    pub(super) fn next(&mut self, now: Instant) -> Option<BTreeMap<i32, i64>> {
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

    /// The commit in progress succeeded; returns how many records it covers.
    pub(super) fn succeeded(&mut self) -> u64 {
        self.rebalancing = false;
        self.sent.take().unwrap_or_default().values().map(|commit| commit.records).sum()
    }

    /// The commit in progress failed: its positions, or newer ones, are sent again.
    pub(super) fn failed(&mut self, now: Instant) {
        for (partition, failed) in self.sent.take().unwrap_or_default() {
            self.waiting.entry(partition).or_insert(Commit { records: 0, ..failed }).records += failed.records;
        }
        self.not_before = Some(now + RETRY_AFTER);
    }

    /// The commit in progress was refused because the group is rebalancing: what is delivered before that ends may be forgotten.
    pub(super) fn refused_by_rebalance(&mut self) {
        self.rebalancing = true;
    }

    /// The rebalance has ended: partitions were assigned or revoked.
    pub(super) fn rebalanced(&mut self) {
        self.rebalancing = false;
    }

    /// Whether nothing new should be delivered, because it could not be committed.
    pub(super) fn is_refused(&self) -> bool {
        self.rebalancing
    }

    /// When [`Self::next`] should be called again even if nothing new has finished.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.not_before
    }

    /// Whether everything is committed.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.sent.is_none()
    }

    /// Everything that is not known to be committed: the positions, and how many records they cover.
    pub(super) fn take_all(&mut self) -> (BTreeMap<i32, i64>, u64) {
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
        let mut tracker = CommitTracker::new(0, 1);
        let tickets = [7, 8, 12].map(|offset| tracker.polled(offset));
        tracker.finish(tickets[1]);
        tracker.finish(tickets[2]);
        assert_eq!(tracker.take(), None);
        tracker.finish(tickets[0]);
        assert_eq!(tracker.take(), Some(Commit { position: 13, records: 3 }));
        assert_eq!(tracker.take(), None);
        assert!(tracker.pending.is_empty());
    }

    #[test]
    fn a_result_of_an_earlier_assignment_changes_nothing() {
        let stale = CommitTracker::new(0, 1).polled(5);
        let mut tracker = CommitTracker::new(0, 2);
        let ticket = tracker.polled(5);
        assert!(!tracker.finish(stale));
        assert_eq!(tracker.take(), None);
        assert!(tracker.finish(ticket));
        assert!(!tracker.finish(ticket), "twice");
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
            let mut tracker = CommitTracker::new(0, 1);
            let mut offset = 0;
            let mut open: Vec<(DeliveryTicket, i64)> = Vec::new();
            for gap in &gaps {
                offset += gap;
                open.push((tracker.polled(offset), offset));
            }
            let last = offset;
            let (mut covered, mut position, mut state) = (0, -1, seed ^ order.index(usize::MAX) as u64);
            while !open.is_empty() {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let chosen = (state >> 33) as usize % open.len();
                let (ticket, _) = open.swap_remove(chosen);
                tracker.finish(ticket);
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
            prop_assert!(tracker.pending.is_empty());
        }
    }
}
