//! What the tables say of many durations.

use std::time::Duration;

use serde::Serialize;

/// Percentiles in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Latencies {
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

impl Latencies {
    /// The percentiles by nearest rank; all 0 without durations.
    pub(crate) fn new(durations: &[Duration]) -> Self {
        let mut sorted = durations.to_vec();
        sorted.sort_unstable();
        let at = |percent| percentile(&sorted, percent).as_secs_f64() * 1e3;
        Self { p50: at(50), p90: at(90), p99: at(99), max: at(100) }
    }
}

/// The smallest duration that at least `percent` of them do not exceed.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

/// How much the median of the second half differs from that of the first, as a fraction of the smaller: 0 is none.
pub(crate) fn drift(in_order: &[Duration]) -> f64 {
    let (first, second) = in_order.split_at(in_order.len() / 2);
    let (first, second) = (Latencies::new(first).p50, Latencies::new(second).p50);
    if first.min(second) > 0.0 { first.max(second) / first.min(second) - 1.0 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(values: impl IntoIterator<Item = u64>) -> Vec<Duration> {
        values.into_iter().map(Duration::from_millis).collect()
    }

    #[test]
    fn percentiles_are_by_nearest_rank_whatever_the_order() {
        let latencies = Latencies::new(&millis((1..=200).rev()));
        assert_eq!(latencies, Latencies { p50: 100.0, p90: 180.0, p99: 198.0, max: 200.0 });
        let one = Latencies::new(&millis([7]));
        assert_eq!((one.p50, one.p99, one.max), (7.0, 7.0, 7.0));
        assert_eq!(Latencies::new(&[]).max, 0.0);
    }

    #[test]
    fn drift_is_the_same_in_either_direction() {
        assert_eq!(drift(&millis([10, 10, 10, 10])), 0.0);
        assert_eq!(drift(&millis([10, 10, 15, 15])), 0.5);
        assert_eq!(drift(&millis([15, 15, 10, 10])), 0.5);
        assert_eq!(drift(&[]), 0.0);
    }
}
