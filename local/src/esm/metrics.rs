//! Counts under the names that AWS gives them (namespace `AWS/Lambda`).

use std::sync::{Mutex, PoisonError};

use serde::Serialize;

/// Totals since the process started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Counts {
    /// Records read from the topic.
    pub polled_event_count: u64,
    /// Records sent to the function, counted again with each retry.
    pub invoked_event_count: u64,
    /// Records of failed invocations, or named in `batchItemFailures`.
    pub failed_invoke_event_count: u64,
    /// Records that were given up and not delivered anywhere.
    pub dropped_event_count: u64,
    /// Records that were given up and delivered to the on-failure destination.
    pub on_failure_destination_delivered_event_count: u64,
    /// Failed deliveries to the on-failure destination.
    pub on_failure_destination_delivery_error_count: u64,
    /// Records covered by a commit.
    pub committed_event_count: u64,
    /// Requests that reached the function.
    pub invocations: u64,
    /// Invocations that failed, wholly or for some of their records.
    pub invoke_error_count: u64,
    /// Errors while reading from the brokers.
    pub polling_error_count: u64,
    /// Failed commits; each is tried again.
    pub commit_error_count: u64,
}

impl Counts {
    /// Records that were given up, whether or not the on-failure destination has them.
    pub fn given_up(&self) -> u64 {
        self.dropped_event_count + self.on_failure_destination_delivered_event_count
    }
}

/// The counts of one process: all of its mappings and pollers add to them.
#[derive(Debug, Default)]
pub struct Metrics(Mutex<Counts>);

impl Metrics {
    /// The counts now.
    pub fn counts(&self) -> Counts {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
