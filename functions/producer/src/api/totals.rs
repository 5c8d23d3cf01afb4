//! What all requests since the start add up to: counters for a scraper, which sees every request however seldom it asks.

use std::collections::BTreeMap;
use std::time::Duration;

use super::published::Published;

/// The upper bounds of the latency's buckets, in seconds: from an acknowledgement in memory to a request's whole time.
pub(crate) const LATENCY_BOUNDS_S: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0];

/// The sums. Their names are those of the CloudWatch metrics.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Totals {
    /// Requests that write.
    pub(crate) requests: u64,
    pub(crate) records_published: u64,
    /// By the most severe `error_code` of their request.
    pub(crate) records_failed: BTreeMap<u32, u64>,
    pub(crate) records_overtaken: u64,
    /// Records that the cluster refused because this service lacks a permission.
    pub(crate) records_unauthorized: u64,
    pub(crate) bytes_published: u64,
    /// Of the requests that were published.
    pub(crate) latency: Duration,
    /// How many took at most as long as the bound of the same index, and not the one before.
    pub(crate) latency_buckets: [u64; LATENCY_BOUNDS_S.len()],
    pub(crate) latency_count: u64,
}

impl Totals {
    /// Adds a request that writes, and what it did with records if it came to that.
    pub(crate) fn add(&mut self, published: Option<Published>) {
        self.requests += 1;
        let Some(done) = published else { return };
        self.records_published += (done.records - done.failed) as u64;
        self.bytes_published += done.bytes as u64;
        self.records_overtaken += done.overtaken as u64;
        self.records_unauthorized += done.unauthorized as u64;
        if let Some(code) = done.error_code {
            *self.records_failed.entry(code).or_default() += done.failed as u64;
        }
        self.latency += done.latency;
        self.latency_count += 1;
        let seconds = done.latency.as_secs_f64();
        if let Some(index) = LATENCY_BOUNDS_S.iter().position(|bound| seconds <= *bound) {
            self.latency_buckets[index] += 1;
        }
    }
}
