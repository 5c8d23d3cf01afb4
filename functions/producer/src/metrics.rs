//! What a request did, as its log line and its line of CloudWatch metrics.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use msk_shared::kafka::{PublishResult, PublisherStats};
use msk_shared::telemetry::{EmfLine, Unit};

use crate::problem::Kind;

/// What a request did with records; an extension of its response.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Published {
    /// Records handed to the publisher.
    pub(crate) records: usize,
    /// Of these, not acknowledged.
    pub(crate) failed: usize,
    /// Bytes of keys, values and headers of the acknowledged.
    pub(crate) bytes: usize,
    /// From the hand-over to the last acknowledgement.
    pub(crate) latency: Duration,
    /// The gravest failure's `error_code`.
    pub(crate) error_code: Option<u32>,
}

impl Published {
    /// Of a publisher's results.
    pub(crate) fn of(sizes: &[usize], results: &[PublishResult], latency: Duration) -> Self {
        let failures = results.iter().filter_map(|result| result.as_ref().err());
        let gravest = failures.clone().map(Kind::of_failure).max_by_key(|kind| kind.gravity());
        Self {
            records: results.len(),
            failed: failures.count(),
            bytes: sizes.iter().zip(results).filter(|(_, result)| result.is_ok()).map(|(size, _)| size).sum(),
            latency,
            error_code: gravest.map(Kind::error_code),
        }
    }
}

/// Counts what the publisher counts only in total, so that each line carries what is new.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    namespace: String,
    /// Milliseconds of init until the first request has told them, then 0.
    init_ms: AtomicU64,
    cold: AtomicBool,
    token_refreshes: AtomicU64,
    rebuilds: AtomicU64,
    auth_failures: AtomicU64,
}

impl Metrics {
    pub(crate) fn new(namespace: &str, init: Duration) -> Self {
        Self {
            namespace: namespace.to_owned(),
            init_ms: AtomicU64::new(init.as_millis() as u64),
            cold: AtomicBool::new(true),
            ..Self::default()
        }
    }

    /// The line of one request. Requests that only read have a line when there is something to tell.
    pub(crate) fn line(&self, request_id: &str, published: Option<Published>, stats: PublisherStats) -> EmfLine {
        let mut line = EmfLine::new(&self.namespace, "producer").property("request_id", request_id);
        if let Some(done) = published {
            let written = done.records - done.failed;
            line = line
                .metric("Requests", Unit::Count, 1.0)
                .metric("RecordsPublished", Unit::Count, written as f64)
                .metric("BytesPublished", Unit::Bytes, done.bytes as f64)
                .metric("PublishLatencyMs", Unit::Milliseconds, done.latency.as_secs_f64() * 1000.0)
                .metric("QueueDepth", Unit::Count, stats.queue_depth as f64);
            if let Some(code) = done.error_code {
                line = line.breakdown("error_code", &code.to_string()).metric(
                    "RecordsFailed",
                    Unit::Count,
                    done.failed as f64,
                );
            }
        }
        if self.cold.swap(false, Ordering::Relaxed) {
            line = line.metric("ColdStart", Unit::Count, 1.0).metric(
                "InitMs",
                Unit::Milliseconds,
                self.init_ms.load(Ordering::Relaxed) as f64,
            );
        }
        let counters = [
            ("TokenRefreshes", &self.token_refreshes, stats.token_refreshes),
            ("ProducerRebuilds", &self.rebuilds, stats.rebuilds),
            ("AuthFailures", &self.auth_failures, stats.auth_failures),
        ];
        for (name, told, now) in counters {
            let new = now.saturating_sub(told.swap(now, Ordering::Relaxed));
            if new > 0 {
                line = line.metric(name, Unit::Count, new as f64);
            }
        }
        line
    }
}
