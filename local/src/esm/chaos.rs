//! Faults on request. What happens to a record depends on the seed and on where the record is, not on when it comes: a run with
//! the same seed meets the same faults, as far as its batches begin with the same records and nothing else fails. Only lost commits
//! depend on time: on what is finished when a commit is sent.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use super::chaos_settings::ChaosFault;
use super::mapping::Mapping;
use super::metrics::MappingMetrics;
use crate::output::{ChaosLine, Line, Reporter};
use crate::stable_hash::stable_hash;

/// Where a decision is made: for a batch its first record, for a commit the first offset to commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DecisionPoint {
    pub(super) partition: i32,
    pub(super) offset: i64,
    /// The number of the batch's invocation, or of the commit in a row of lost ones: a fault does not meet it again for ever.
    pub(super) attempt: u32,
}

/// The faults of one mapping, whose pollers share them; without settings there are none.
pub(super) struct Chaos {
    mapping: Arc<Mapping>,
    metrics: Arc<MappingMetrics>,
    reporter: Arc<Reporter>,
    /// Batches, by their first records, that have met a rebalance: they come again, and must get through.
    rebalanced: Mutex<BTreeSet<(i32, i64)>>,
}

impl Chaos {
    pub(super) fn new(mapping: &Arc<Mapping>, metrics: &Arc<MappingMetrics>, reporter: &Arc<Reporter>) -> Self {
        let (mapping, metrics, reporter) = (Arc::clone(mapping), Arc::clone(metrics), Arc::clone(reporter));
        Self { mapping, metrics, reporter, rebalanced: Mutex::default() }
    }

    /// Whether this kind of fault happens here; if so, it is told and counted.
    pub(super) fn strikes(&self, fault: ChaosFault, at: DecisionPoint) -> bool {
        let strikes = self.is_drawn(fault, at);
        if strikes {
            self.tell(fault, at);
        }
        strikes
    }

    /// Whether the batch that was just started meets a rebalance; each does so once at most.
    pub(super) fn rebalances(&self, at: DecisionPoint) -> bool {
        if !self.is_drawn(ChaosFault::Rebalance, at) {
            return false;
        }
        let mut rebalanced = self.rebalanced.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = rebalanced.insert((at.partition, at.offset));
        if is_new {
            self.tell(ChaosFault::Rebalance, at);
        }
        is_new
    }

    fn is_drawn(&self, fault: ChaosFault, at: DecisionPoint) -> bool {
        let Mapping { topic, local, .. } = &*self.mapping;
        local.chaos.is_some_and(|settings| draw(settings.seed, fault, topic.as_str(), at) < settings.percent(fault))
    }

    fn tell(&self, fault: ChaosFault, at: DecisionPoint) {
        self.metrics.update(|counts| *counts.chaos_faults.entry(fault.name()).or_default() += 1);
        self.reporter.line(&Line::Chaos(ChaosLine {
            function: self.mapping.function.clone(),
            fault: fault.name(),
            topic: self.mapping.topic.to_string(),
            partition: at.partition,
            offset: at.offset,
            attempt: at.attempt,
        }));
    }
}

/// A number from 0 to 100, without 100, that each kind of fault has of its own at each place.
fn draw(seed: u64, fault: ChaosFault, topic: &str, at: DecisionPoint) -> f64 {
    let parts: [&[u8]; 6] = [
        &seed.to_le_bytes(),
        fault.name().as_bytes(),
        topic.as_bytes(),
        &at.partition.to_le_bytes(),
        &at.offset.to_le_bytes(),
        &at.attempt.to_le_bytes(),
    ];
    // 53 bits are as many as the number can hold.
    (stable_hash(&parts) >> 11) as f64 / (1_u64 << 53) as f64 * 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: i64, attempt: u32) -> DecisionPoint {
        DecisionPoint { partition: 0, offset, attempt }
    }

    #[test]
    fn each_kind_happens_as_often_as_it_should_and_by_itself() {
        for fault in ChaosFault::ALL {
            let hits = |percent: f64| (0..20_000).filter(|n| draw(7, fault, "orders", at(*n, 1)) < percent).count();
            let (few, half) = (hits(5.0), hits(50.0));
            assert!((850..1_150).contains(&few) && (9_700..10_300).contains(&half), "{fault:?}: {few}, {half}");
        }
        let both = |n: &i64| {
            [ChaosFault::Throttle, ChaosFault::Timeout].iter().all(|fault| draw(7, *fault, "orders", at(*n, 1)) < 50.0)
        };
        let together = (0..20_000).filter(both).count();
        assert!((4_700..5_300).contains(&together), "{together} of 20,000 meet two faults of 50 % each");
    }

    #[test]
    fn a_decision_depends_on_each_part_of_its_place() {
        let here = DecisionPoint { partition: 3, offset: 77, attempt: 2 };
        let drawn = draw(1, ChaosFault::Duplicate, "orders", here);
        assert_eq!(drawn, draw(1, ChaosFault::Duplicate, "orders", here));
        for other in [
            draw(2, ChaosFault::Duplicate, "orders", here),
            draw(1, ChaosFault::Timeout, "orders", here),
            draw(1, ChaosFault::Duplicate, "order", here),
            draw(1, ChaosFault::Duplicate, "orders", DecisionPoint { partition: 4, ..here }),
            draw(1, ChaosFault::Duplicate, "orders", DecisionPoint { offset: 78, ..here }),
            draw(1, ChaosFault::Duplicate, "orders", DecisionPoint { attempt: 3, ..here }),
        ] {
            assert_ne!(drawn, other);
        }
    }

    #[test]
    fn no_version_may_change_what_a_seed_means() {
        let drawn = [0, 1, 2].map(|offset| draw(42, ChaosFault::Throttle, "orders", at(offset, 1)).floor());
        assert_eq!(drawn, [15.0, 10.0, 73.0]);
    }
}
