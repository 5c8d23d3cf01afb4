//! Counters under the names that AWS gives them (namespace `AWS/Lambda`), and the summary made of them.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// Counts that only grow. One per process: all mappings and pollers add to it.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Records read from the topic.
    pub polled: Counter,
    /// Records sent to the function, again with each retry.
    pub invoked: Counter,
    /// Records of failed invocations, or named in `batchItemFailures`.
    pub failed_invoke: Counter,
    /// Records given up and delivered nowhere.
    pub dropped: Counter,
    /// Records given up and delivered to the on-failure destination.
    pub delivered_to_destination: Counter,
    /// Failed deliveries to the on-failure destination.
    pub destination_errors: Counter,
    /// Records covered by a commit.
    pub committed: Counter,
    /// Invocations.
    pub invocations: Counter,
    /// Failed invocations, one each.
    pub invoke_errors: Counter,
    /// Errors while reading.
    pub polling_errors: Counter,
    /// Failed commits; each is tried again.
    pub commit_errors: Counter,
}

/// A count.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The count so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counts at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the members are those of `Metrics`, under AWS's names")]
pub struct Summary {
    pub polled_event_count: u64,
    pub invoked_event_count: u64,
    pub failed_invoke_event_count: u64,
    pub dropped_event_count: u64,
    pub on_failure_destination_delivered_event_count: u64,
    pub on_failure_destination_delivery_error_count: u64,
    pub committed_event_count: u64,
    pub invocations: u64,
    pub invoke_error_count: u64,
    pub polling_error_count: u64,
    pub commit_error_count: u64,
}

impl Metrics {
    /// The counts now.
    pub fn summary(&self) -> Summary {
        Summary {
            polled_event_count: self.polled.get(),
            invoked_event_count: self.invoked.get(),
            failed_invoke_event_count: self.failed_invoke.get(),
            dropped_event_count: self.dropped.get(),
            on_failure_destination_delivered_event_count: self.delivered_to_destination.get(),
            on_failure_destination_delivery_error_count: self.destination_errors.get(),
            committed_event_count: self.committed.get(),
            invocations: self.invocations.get(),
            invoke_error_count: self.invoke_errors.get(),
            polling_error_count: self.polling_errors.get(),
            commit_error_count: self.commit_errors.get(),
        }
    }
}
