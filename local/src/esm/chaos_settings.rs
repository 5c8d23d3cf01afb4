//! Faults on request: how often each kind happens, as it is written in `Local.chaos` and after validation.

use super::members::Members;

/// The block `Local.chaos`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChaosBlock {
    /// What all decisions depend on.
    pub seed: Option<i64>,
    /// How often a batch that is done is delivered once more, in percent.
    pub duplicate_percent: Option<f64>,
    /// How often the poller loses its partitions just after it has started a batch, in percent.
    pub rebalance_percent: Option<f64>,
    /// How often a commit does not reach the brokers, in percent.
    pub lost_commit_percent: Option<f64>,
    /// How often an invocation is throttled, in percent.
    pub throttle_percent: Option<f64>,
    /// How often an invocation times out before the function has done anything, in percent.
    pub timeout_percent: Option<f64>,
    /// How often the response of an invocation that succeeded is lost, in percent.
    pub lost_response_percent: Option<f64>,
}

impl ChaosBlock {
    pub(super) fn read(block: &mut Members<'_>) -> Self {
        Self {
            seed: block.take("seed"),
            duplicate_percent: block.take("duplicatePercent"),
            rebalance_percent: block.take("rebalancePercent"),
            lost_commit_percent: block.take("lostCommitPercent"),
            throttle_percent: block.take("throttlePercent"),
            timeout_percent: block.take("timeoutPercent"),
            lost_response_percent: block.take("lostResponsePercent"),
        }
    }
}

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChaosFault {
    /// A batch that is done is delivered once more.
    Duplicate,
    /// The poller loses its partitions, and gets them again, with a batch in flight.
    Rebalance,
    /// A commit does not reach the brokers.
    LostCommit,
    /// The endpoint has no free environment.
    Throttle,
    /// The function does not answer in time, and has done nothing.
    Timeout,
    /// The function has done its work, and its response is lost.
    LostResponse,
}

impl ChaosFault {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::Duplicate, Self::Rebalance, Self::LostCommit, Self::Throttle, Self::Timeout, Self::LostResponse];

    /// The name in the output and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Duplicate => "duplicate",
            Self::Rebalance => "rebalance",
            Self::LostCommit => "lost_commit",
            Self::Throttle => "throttle",
            Self::Timeout => "timeout",
            Self::LostResponse => "lost_response",
        }
    }

    /// Its member of `Local.chaos`.
    pub(super) fn member(self) -> &'static str {
        match self {
            Self::Duplicate => "Local.chaos.duplicatePercent",
            Self::Rebalance => "Local.chaos.rebalancePercent",
            Self::LostCommit => "Local.chaos.lostCommitPercent",
            Self::Throttle => "Local.chaos.throttlePercent",
            Self::Timeout => "Local.chaos.timeoutPercent",
            Self::LostResponse => "Local.chaos.lostResponsePercent",
        }
    }

    /// What is written for it in `block`.
    pub(super) fn given(self, block: &ChaosBlock) -> Option<f64> {
        match self {
            Self::Duplicate => block.duplicate_percent,
            Self::Rebalance => block.rebalance_percent,
            Self::LostCommit => block.lost_commit_percent,
            Self::Throttle => block.throttle_percent,
            Self::Timeout => block.timeout_percent,
            Self::LostResponse => block.lost_response_percent,
        }
    }

    /// Percent, when only a seed is given: each kind shows within some hundred batches, and most of them are left in peace. A
    /// rebalance costs seconds.
    pub(super) fn default_percent(self) -> f64 {
        match self {
            Self::Rebalance => 0.5,
            Self::Duplicate | Self::Timeout | Self::LostResponse => 2.0,
            Self::LostCommit | Self::Throttle => 5.0,
        }
    }

    /// The largest percentage with which records still get through: each of the others would go on for ever.
    pub(super) fn max_percent(self) -> f64 {
        if self == Self::Rebalance { 100.0 } else { 90.0 }
    }
}

/// How often each kind of fault happens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChaosSettings {
    /// What all decisions depend on.
    pub seed: u64,
    /// Of each kind in [`ChaosFault::ALL`], in percent.
    pub(super) percent: [f64; ChaosFault::ALL.len()],
}

impl ChaosSettings {
    /// How often this kind happens, in percent.
    pub fn percent(&self, fault: ChaosFault) -> f64 {
        self.percent[fault as usize]
    }
}
