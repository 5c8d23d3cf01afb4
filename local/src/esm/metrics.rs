//! Counts under the names that AWS gives them (namespace `AWS/Lambda`,
//! <https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html>).

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

/// Totals since the process started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Counts {
    /// Records read from the topic.
    pub polled_event_count: u64,
    /// Records that no filter keeps, which the function does not get.
    pub filtered_out_event_count: u64,
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
    /// Requests to the schema registry that failed, and records that their schemas do not let pass.
    pub schema_registry_error_count: u64,
    /// Bytes of the keys and values of the records read.
    pub event_poller_throughput_in_bytes: u64,
    /// Faults that were made on request, by their kind.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub chaos_faults: BTreeMap<&'static str, u64>,
}

impl Counts {
    /// Records that were given up, whether or not the on-failure destination has them.
    pub fn given_up(&self) -> u64 {
        self.dropped_event_count + self.on_failure_destination_delivered_event_count
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.polled_event_count += other.polled_event_count;
        self.filtered_out_event_count += other.filtered_out_event_count;
        self.invoked_event_count += other.invoked_event_count;
        self.failed_invoke_event_count += other.failed_invoke_event_count;
        self.dropped_event_count += other.dropped_event_count;
        self.on_failure_destination_delivered_event_count += other.on_failure_destination_delivered_event_count;
        self.on_failure_destination_delivery_error_count += other.on_failure_destination_delivery_error_count;
        self.committed_event_count += other.committed_event_count;
        self.invocations += other.invocations;
        self.invoke_error_count += other.invoke_error_count;
        self.polling_error_count += other.polling_error_count;
        self.commit_error_count += other.commit_error_count;
        self.schema_registry_error_count += other.schema_registry_error_count;
        self.event_poller_throughput_in_bytes += other.event_poller_throughput_in_bytes;
        for (fault, count) in other.chaos_faults {
            *self.chaos_faults.entry(fault).or_default() += count;
        }
    }
}

/// The counts of one process, mapping by mapping.
#[derive(Debug, Default)]
pub struct Metrics(Mutex<BTreeMap<MappingName, Arc<MappingMetrics>>>);

/// What tells the mappings of a process apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MappingName {
    /// The function that is invoked.
    pub function: String,
    /// The topic that is polled.
    pub topic: String,
}

impl Metrics {
    /// The counts of all mappings now.
    pub fn counts(&self) -> Counts {
        let mut sum = Counts::default();
        for (_, metrics) in self.mappings() {
            sum += metrics.counts();
        }
        sum
    }

    /// The counts of one mapping, which begin when it is first asked for.
    pub(super) fn mapping(&self, name: MappingName) -> Arc<MappingMetrics> {
        Arc::clone(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default())
    }

    pub(super) fn mappings(&self) -> Vec<(MappingName, Arc<MappingMetrics>)> {
        let mappings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        mappings.iter().map(|(name, metrics)| (name.clone(), Arc::clone(metrics))).collect()
    }
}

/// The counts of one mapping: all of its pollers add to them.
#[derive(Debug, Default)]
pub(super) struct MappingMetrics {
    counts: Mutex<Counts>,
    pollers: AtomicUsize,
}

impl MappingMetrics {
    pub(super) fn counts(&self) -> Counts {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Counts a record of this size.
    pub(super) fn polled(&self, bytes: usize) {
        self.update(|counts| {
            counts.polled_event_count += 1;
            counts.event_poller_throughput_in_bytes += bytes as u64;
        });
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The pollers that run now.
    pub(super) fn pollers(&self) -> usize {
        self.pollers.load(Ordering::Relaxed)
    }

    /// Counts a poller for as long as the result lives.
    pub(super) fn running_poller(self: &Arc<Self>) -> RunningPoller {
        self.pollers.fetch_add(1, Ordering::Relaxed);
        RunningPoller(Arc::clone(self))
    }
}

/// A poller that is counted until this is dropped.
#[derive(Debug)]
pub(super) struct RunningPoller(Arc<MappingMetrics>);

impl Drop for RunningPoller {
    fn drop(&mut self) {
        self.0.pollers.fetch_sub(1, Ordering::Relaxed);
    }
}
