//! A request's line of CloudWatch metrics.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use http::Method;
use msk_shared::kafka::{FailureCause, PublishResult, PublisherStats};
use msk_shared::telemetry::{EmfLine, MetricsNamespace, Unit};

use super::problem::ProblemKind;

/// What a request did with records; an extension of its response.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Published {
    /// Records that the publisher was asked to write.
    pub(crate) records: usize,
    /// Of these, not acknowledged.
    pub(crate) failed: usize,
    /// Bytes of keys, values and headers of the acknowledged.
    pub(crate) bytes: usize,
    /// From the first record's enqueueing to the last acknowledgement.
    pub(crate) latency: Duration,
    /// The most severe failure's `error_code`.
    pub(crate) error_code: Option<u32>,
    /// Records that the cluster refused because this service lacks a permission.
    pub(crate) unauthorized: usize,
    /// Good records that were not written to keep the order, after their batch was refused for another record.
    pub(crate) overtaken: usize,
}

impl Published {
    /// `sizes` are those of the records, in bytes.
    pub(crate) fn from_results(sizes: &[usize], results: &[PublishResult], latency: Duration) -> Self {
        let failures = results.iter().filter_map(|result| result.as_ref().err());
        let lacks_rights =
            |cause| matches!(cause, FailureCause::TopicAuthorization | FailureCause::ClusterAuthorization);
        let unauthorized = failures.clone().filter(|failure| lacks_rights(failure.cause)).count();
        let overtaken = failures.clone().filter(|failure| failure.cause == FailureCause::Overtaken).count();
        let most_severe = failures.clone().map(ProblemKind::for_failure).max_by_key(|kind| kind.severity());
        Self {
            records: results.len(),
            failed: failures.count(),
            bytes: sizes.iter().zip(results).filter(|(_, result)| result.is_ok()).map(|(size, _)| size).sum(),
            latency,
            error_code: most_severe.map(|kind| kind.row().error_code),
            unauthorized,
            overtaken,
        }
    }
}

/// Counts what the publisher counts only in total, so that each line carries what is new.
#[derive(Debug, Default)]
pub(crate) struct RequestMetrics {
    namespace: MetricsNamespace,
    init_ms: u64,
    /// Until the first request has reported it.
    cold: AtomicBool,
    token_refreshes: AtomicU64,
    rebuilds: AtomicU64,
    auth_failures: AtomicU64,
}

impl RequestMetrics {
    pub(crate) fn new(namespace: &MetricsNamespace, init: Duration) -> Self {
        Self {
            namespace: namespace.to_owned(),
            init_ms: init.as_millis() as u64,
            cold: AtomicBool::new(true),
            ..Self::default()
        }
    }

    /// The line of one request. Requests that only read have a line when there is something to report.
    pub(crate) fn line(
        &self,
        request_id: &str,
        method: &Method,
        published: Option<Published>,
        stats: PublisherStats,
    ) -> EmfLine {
        let mut line = EmfLine::new(&self.namespace, "producer").property("request_id", request_id);
        if method == Method::POST {
            line = line.metric("Requests", Unit::Count, 1.0);
        }
        if let Some(done) = published {
            line = with_records(line, done, stats.queue_depth);
        }
        if self.cold.swap(false, Ordering::Relaxed) {
            line = line.metric("ColdStart", Unit::Count, 1.0).metric("InitMs", Unit::Milliseconds, self.init_ms as f64);
        }
        let unauthorized = published.map_or(0, |done| done.unauthorized as u64);
        let new = |reported: &AtomicU64, now: u64| now.saturating_sub(reported.fetch_max(now, Ordering::Relaxed));
        let counters = [
            ("TokenRefreshes", new(&self.token_refreshes, stats.token_refreshes)),
            ("ProducerRebuilds", new(&self.rebuilds, stats.rebuilds)),
            ("RecordsOvertaken", published.map_or(0, |done| done.overtaken as u64)),
            ("AuthFailures", new(&self.auth_failures, stats.auth_failures) + unauthorized),
        ];
        for (name, count) in counters.into_iter().filter(|(_, count)| *count > 0) {
            line = line.metric(name, Unit::Count, count as f64);
        }
        line
    }
}

fn with_records(line: EmfLine, done: Published, queue_depth: u64) -> EmfLine {
    let line = line
        .metric("RecordsPublished", Unit::Count, (done.records - done.failed) as f64)
        .metric("BytesPublished", Unit::Bytes, done.bytes as f64)
        .metric("PublishLatencyMs", Unit::Milliseconds, done.latency.as_secs_f64() * 1000.0)
        .metric("QueueDepth", Unit::Count, queue_depth as f64);
    match done.error_code {
        Some(code) => {
            line.breakdown("error_code", &code.to_string()).metric("RecordsFailed", Unit::Count, done.failed as f64)
        }
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use msk_shared::kafka::{Delivery, Persisted, PublishFailure};
    use serde_json::{Value, json};

    fn metrics() -> RequestMetrics {
        RequestMetrics::new(&"n".parse().unwrap(), Duration::from_millis(12))
    }

    fn names(line: &EmfLine) -> Vec<String> {
        let line = line.to_json();
        let declared = line["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().unwrap();
        declared.iter().map(|metric| metric["Name"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn a_read_has_a_line_only_for_the_cold_start() {
        let metrics = metrics();
        let line = |metrics: &RequestMetrics| metrics.line("r", &Method::GET, None, PublisherStats::default());
        assert_eq!(names(&line(&metrics)), ["ColdStart", "InitMs"]);
        assert_eq!(names(&line(&metrics)), [""; 0]);
    }

    #[test]
    fn failures_are_counted_by_their_most_severe_code_and_totals_stay_complete() {
        let failure = |cause, persisted| Err(PublishFailure { cause, persisted });
        let results = [
            Ok(Delivery { partition: 0, offset: 0, timestamp_ms: None }),
            failure(FailureCause::TopicAuthorization, Persisted::No),
            failure(FailureCause::TimedOut, Persisted::Unknown),
            failure(FailureCause::Overtaken, Persisted::No),
        ];
        let published = Published::from_results(&[10, 20, 30, 40], &results, Duration::from_millis(5));
        assert_eq!((published.records, published.failed, published.bytes), (4, 3, 10));
        let line = metrics().line("r", &Method::POST, Some(published), PublisherStats::default()).to_json();
        let sets = &line["_aws"]["CloudWatchMetrics"][0]["Dimensions"];
        assert_eq!(*sets, json!([["service"], ["service", "error_code"]]));
        let shown = |name: &str| line[name].clone();
        assert_eq!(shown("error_code"), "50003");
        assert_eq!((shown("RecordsPublished"), shown("RecordsFailed")), (json!(1), json!(3)));
        assert_eq!(shown("RecordsOvertaken"), json!(1));
        assert_eq!((shown("AuthFailures"), shown("PublishLatencyMs")), (json!(1), json!(5)));
    }

    #[test]
    fn the_publishers_totals_become_what_is_new() {
        let metrics = metrics();
        let reported = |rebuilds: u64| -> Value {
            let stats = PublisherStats { rebuilds, ..PublisherStats::default() };
            metrics.line("r", &Method::GET, None, stats).to_json()["ProducerRebuilds"].clone()
        };
        assert_eq!(
            [reported(0), reported(2), reported(2), reported(3)],
            [Value::Null, json!(2), Value::Null, json!(1)]
        );
    }
}
