//! The flags of `Local.chaos`.

use clap::Args;
use msk_local::esm::chaos_settings::ChaosBlock;

/// Faults on request: what AWS can do at any time, and seldom does while somebody looks.
#[derive(Debug, Args)]
#[command(next_help_heading = "Chaos")]
pub(crate) struct ChaosFlags {
    /// Make faults that depend on this number and on the records' places alone: a second run meets them again.
    #[arg(long = "chaos", value_name = "SEED")]
    seed: Option<i64>,
    /// How often a batch that is done is delivered once more [default: 2].
    #[arg(long = "chaos-duplicate", value_name = "PERCENT")]
    duplicate: Option<f64>,
    /// How often the partitions are lost, and come back, just after a batch was started [default: 0.5].
    #[arg(long = "chaos-rebalance", value_name = "PERCENT")]
    rebalance: Option<f64>,
    /// How often a commit does not reach the brokers; it is tried again [default: 5].
    #[arg(long = "chaos-lost-commit", value_name = "PERCENT")]
    lost_commit: Option<f64>,
    /// How often an invocation is throttled [default: 5].
    #[arg(long = "chaos-throttle", value_name = "PERCENT")]
    throttle: Option<f64>,
    /// How often an invocation times out before the function has done anything [default: 2].
    #[arg(long = "chaos-timeout", value_name = "PERCENT")]
    timeout: Option<f64>,
    /// How often the response of an invocation that succeeded is lost [default: 2].
    #[arg(long = "chaos-lost-response", value_name = "PERCENT")]
    lost_response: Option<f64>,
}

/// Faults of the embedded brokers.
#[derive(Debug, Args)]
#[command(next_help_heading = "Chaos")]
pub(crate) struct BrokerChaosFlags {
    /// From the first record on, make faults of the embedded brokers that depend on this number: a broker crashes and comes back,
    /// leaders move, answers are lost after the records were written, answers come late. A line tells of each.
    #[arg(long = "chaos-brokers", value_name = "SEED")]
    pub(crate) broker_seed: Option<u64>,
}

impl ChaosFlags {
    /// Puts the flags that were given into the block.
    pub(crate) fn override_in(&self, chaos: &mut Option<ChaosBlock>) {
        let before = chaos.clone().unwrap_or_default();
        *chaos = Some(ChaosBlock {
            seed: self.seed.or(before.seed),
            duplicate_percent: self.duplicate.or(before.duplicate_percent),
            rebalance_percent: self.rebalance.or(before.rebalance_percent),
            lost_commit_percent: self.lost_commit.or(before.lost_commit_percent),
            throttle_percent: self.throttle.or(before.throttle_percent),
            timeout_percent: self.timeout.or(before.timeout_percent),
            lost_response_percent: self.lost_response.or(before.lost_response_percent),
        });
    }
}
