//! The page for Prometheus: AWS's metrics of Kafka mappings, for each mapping of the process.
//!
//! `EventPollerUnit` is missing: nothing here could change it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use msk_shared::telemetry::PrometheusPage;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::group_offsets::GroupOffsets;
use super::metrics::{Counts, MappingMetrics, MappingName, Metrics};

/// How long a scrape waits for the brokers; Prometheus itself gives up after ten seconds. Without an answer the page has no lag.
const LAG_PATIENCE: Duration = Duration::from_secs(5);

/// The metrics that only grow: AWS's name, what it counts, and the count.
type Counter = (&'static str, &'static str, fn(&Counts) -> u64);

const COUNTERS: [Counter; 13] = [
    ("PolledEventCount", "Records read from the topic.", |counts| counts.polled_event_count),
    ("FilteredOutEventCount", "Records that the filter criteria kept from the function.", |counts| {
        counts.filtered_out_event_count
    }),
    ("InvokedEventCount", "Records sent to the function, again with each retry.", |counts| counts.invoked_event_count),
    ("FailedInvokeEventCount", "Records of failed invocations, or reported as failed.", |counts| {
        counts.failed_invoke_event_count
    }),
    ("DroppedEventCount", "Records given up and delivered nowhere.", |counts| counts.dropped_event_count),
    ("OnFailureDestinationDeliveredEventCount", "Records given up and delivered to the destination.", |counts| {
        counts.on_failure_destination_delivered_event_count
    }),
    ("CommittedEventCount", "Records covered by a commit.", |counts| counts.committed_event_count),
    ("PollingErrorCount", "Errors while reading from the brokers.", |counts| counts.polling_error_count),
    ("InvokeErrorCount", "Invocations that failed, wholly or in part.", |counts| counts.invoke_error_count),
    ("OnFailureDestinationDeliveryErrorCount", "Failed deliveries to the destination.", |counts| {
        counts.on_failure_destination_delivery_error_count
    }),
    ("CommitErrorCount", "Failed commits; each is tried again.", |counts| counts.commit_error_count),
    (
        "SchemaRegistryErrorCount",
        "Failed requests to the schema registry, and records that their schemas refuse.",
        |counts| counts.schema_registry_error_count,
    ),
    ("EventPollerThroughputInBytes", "Bytes of keys and values of the records read.", |counts| {
        counts.event_poller_throughput_in_bytes
    }),
];

/// What is not a count: AWS's name, and what it is. `OffsetLag` is measured "at the topic level"; whether that is the sum or the
/// largest of its partitions is not documented, and here it is the sum.
const LAGS: [(&str, &str); 3] = [
    ("OffsetLag", "Records of the topic that are not committed."),
    ("MaxOffsetLag", "The most records that are not committed in one partition."),
    ("SumOffsetLag", "Records of all partitions that are not committed."),
];

/// What the scrapes of a process need.
#[derive(Default)]
pub struct LagSources(Mutex<BTreeMap<MappingName, Arc<GroupOffsets>>>);

impl LagSources {
    pub(super) fn add(&self, name: MappingName, offsets: Arc<GroupOffsets>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name, offsets);
    }

    /// The lags of the mappings whose brokers answer, in the order of their names.
    async fn read(&self) -> Vec<(MappingName, Lag)> {
        let sources = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // All at the same time.
        let mut reading: JoinSet<_> = sources
            .into_iter()
            .map(|(name, offsets)| async move { (name, timeout(LAG_PATIENCE, offsets.read()).await) })
            .collect();
        let mut lags = Vec::new();
        while let Some(Ok((name, read))) = reading.join_next().await {
            match read {
                Ok(Ok(partitions)) => {
                    let each = || partitions.iter().map(|offsets| offsets.lag());
                    lags.push((name, Lag { sum: each().sum(), max: each().max().unwrap_or(0) }));
                }
                Ok(Err(error)) => {
                    tracing::warn!(%error, topic = name.topic, "the consumer group's lag could not be read");
                }
                Err(_) => tracing::warn!(topic = name.topic, "the consumer group's lag was not read in time"),
            }
        }
        lags.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        lags
    }
}

#[derive(Debug, Clone, Copy)]
struct Lag {
    /// Of all partitions.
    sum: i64,
    /// Of the one that is furthest behind.
    max: i64,
}

/// The metrics of a process as a page.
pub struct MetricsPage {
    metrics: Arc<Metrics>,
    lags: Arc<LagSources>,
}

impl MetricsPage {
    /// The page of these mappings.
    pub fn new(metrics: Arc<Metrics>, lags: Arc<LagSources>) -> Self {
        Self { metrics, lags }
    }

    /// The text for one scrape.
    pub async fn text(&self) -> String {
        let lags = self.lags.read().await;
        let mappings = self.metrics.mappings();
        let mut page = PrometheusPage::default();
        let counts: Vec<_> = mappings.iter().map(|(name, metrics)| (name, metrics.counts())).collect();
        for (name, help, count) in COUNTERS {
            page.declare(name, "counter", help);
            for (mapping, counts) in &counts {
                page.sample(name, &labels(mapping), count(counts) as f64);
            }
        }
        for (name, help) in LAGS {
            page.declare(name, "gauge", help);
            for (mapping, lag) in &lags {
                let records = if name == "MaxOffsetLag" { lag.max } else { lag.sum };
                page.sample(name, &labels(mapping), records as f64);
            }
        }
        pollers(&mut page, &mappings);
        chaos_faults(&mut page, &counts);
        page.into_text()
    }
}

fn pollers(page: &mut PrometheusPage, mappings: &[(MappingName, Arc<MappingMetrics>)]) {
    page.declare("ProvisionedPollers", "gauge", "Pollers that run.");
    for (mapping, metrics) in mappings {
        page.sample("ProvisionedPollers", &labels(mapping), metrics.pollers() as f64);
    }
}

/// A metric of this tool alone, and only of a process that makes faults.
fn chaos_faults(page: &mut PrometheusPage, counts: &[(&MappingName, Counts)]) {
    const NAME: &str = "msk_local_chaos_faults_total";
    if counts.iter().all(|(_, counts)| counts.chaos_faults.is_empty()) {
        return;
    }
    page.declare(NAME, "counter", "Faults made on request.");
    for (mapping, counts) in counts {
        for (fault, count) in &counts.chaos_faults {
            let [function, topic] = labels(mapping);
            page.sample(NAME, &[function, topic, ("fault", *fault)], *count as f64);
        }
    }
}

/// AWS tells mappings apart by their UUIDs.
fn labels(mapping: &MappingName) -> [(&'static str, &str); 2] {
    [("function", &mapping.function), ("topic", &mapping.topic)]
}
