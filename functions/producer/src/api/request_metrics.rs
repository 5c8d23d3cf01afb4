//! What a request adds to the CloudWatch metrics: a line of its own, or its share of one.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use http::Method;
use msk_shared::kafka::PublisherStats;
use msk_shared::telemetry::{EmfLine, MetricsNamespace, Unit};

use super::metrics_window::{MetricsWindow, RequestTotals};
use super::published::Published;
use super::totals::Totals;

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
    window: Mutex<MetricsWindow>,
    totals: Mutex<Totals>,
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

    /// Writes what is due once a request has ended.
    pub(crate) fn note(&self, request_id: &str, method: &Method, published: Option<Published>, stats: PublisherStats) {
        let lines = self.lines(request_id, method, published, stats, SystemTime::now());
        lines.iter().for_each(EmfLine::emit);
    }

    /// What all requests until now add up to.
    pub(crate) fn totals(&self) -> Totals {
        self.totals.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How long the start took, in milliseconds.
    pub(crate) fn init_ms(&self) -> u64 {
        self.init_ms
    }

    /// Writes what is held and due.
    pub(crate) fn write_due(&self) {
        self.write(MetricsWindow::due);
    }

    /// Writes what is held.
    pub(crate) fn write_held(&self) {
        self.write(MetricsWindow::take);
    }

    fn write(&self, from_window: fn(&mut MetricsWindow, SystemTime) -> Option<RequestTotals>) {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let held = from_window(&mut window, SystemTime::now());
        drop(window);
        if let Some(held) = held {
            held.line(&self.namespace).emit();
        }
    }

    /// The lines that are due once a request has ended. A request that only reads adds nothing, unless there is news.
    fn lines(
        &self,
        request_id: &str,
        method: &Method,
        published: Option<Published>,
        stats: PublisherStats,
        now: SystemTime,
    ) -> Vec<EmfLine> {
        let news = self.news(published, stats);
        let is_ordinary = news.is_empty() && published.is_none_or(|done| done.failed == 0);
        let adds = method == Method::POST || published.is_some();
        if adds {
            self.totals.lock().unwrap_or_else(PoisonError::into_inner).add(published);
        }
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let mut held: Vec<RequestTotals> = window.due(now).into_iter().collect();
        let has_own_line = if is_ordinary { adds && !window.hold(published, stats.queue_depth, now) } else { true };
        held.extend(if has_own_line { window.take(now) } else { window.due(now) });
        drop(window);
        let own = || {
            let mut own = RequestTotals::since(now);
            if adds {
                own.add(published, stats.queue_depth);
            }
            let mut line = own.line(&self.namespace).property("request_id", request_id);
            if let Some(done) = published
                && let Some(code) = done.error_code
            {
                line = line.breakdown("error_code", &code.to_string());
                line = line.metric("RecordsFailed", Unit::Count, done.failed as f64);
            }
            news.iter().fold(line, |line, (name, unit, value)| line.metric(name, *unit, *value as f64))
        };
        let held = held.iter().map(|held| held.line(&self.namespace));
        held.chain(has_own_line.then(own)).collect()
    }

    /// What is out of the ordinary about a request, or has happened to the client since the last.
    fn news(&self, published: Option<Published>, stats: PublisherStats) -> Vec<(&'static str, Unit, u64)> {
        let unauthorized = published.map_or(0, |done| done.unauthorized as u64);
        let new = |reported: &AtomicU64, now: u64| now.saturating_sub(reported.fetch_max(now, Ordering::Relaxed));
        let counters = [
            ("TokenRefreshes", new(&self.token_refreshes, stats.token_refreshes)),
            ("ProducerRebuilds", new(&self.rebuilds, stats.rebuilds)),
            ("RecordsOvertaken", published.map_or(0, |done| done.overtaken as u64)),
            ("AuthFailures", new(&self.auth_failures, stats.auth_failures) + unauthorized),
        ];
        let counters = counters.into_iter().filter(|(_, count)| *count > 0);
        let start = [("ColdStart", Unit::Count, 1), ("InitMs", Unit::Milliseconds, self.init_ms)];
        let is_cold = self.cold.swap(false, Ordering::Relaxed);
        let start = start.into_iter().filter(|_| is_cold);
        start.chain(counters.map(|(name, count)| (name, Unit::Count, count))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use msk_shared::kafka::{Delivery, FailureCause, Persisted, PublishFailure};
    use serde_json::{Value, json};

    fn metrics() -> RequestMetrics {
        RequestMetrics::new(&"n".parse().unwrap(), Duration::from_millis(12))
    }

    fn names(line: &Value) -> Vec<String> {
        let declared = line["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().unwrap();
        declared.iter().map(|metric| metric["Name"].as_str().unwrap().to_owned()).collect()
    }

    /// The lines after a request that ended `ms` after the first.
    fn lines(
        metrics: &RequestMetrics,
        method: &Method,
        published: Option<Published>,
        rebuilds: u64,
        ms: u64,
    ) -> Vec<Value> {
        let stats = PublisherStats { rebuilds, ..PublisherStats::default() };
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_000 + ms);
        metrics.lines("r", method, published, stats, now).iter().map(EmfLine::to_json).collect()
    }

    fn written(bytes: usize) -> Option<Published> {
        Some(Published { records: 2, bytes, latency: Duration::from_millis(5), ..Published::default() })
    }

    #[test]
    fn a_read_has_a_line_only_for_the_cold_start() {
        let metrics = metrics();
        assert_eq!(names(&lines(&metrics, &Method::GET, None, 0, 0)[0]), ["ColdStart", "InitMs"]);
        assert!(lines(&metrics, &Method::GET, None, 0, 1).is_empty());
    }

    #[test]
    fn requests_in_quick_succession_share_a_line_and_none_is_lost() {
        let metrics = metrics();
        let mut all = Vec::new();
        // One alone, 250 within a second, a refused one, one with a failure, and one after a long freeze.
        all.extend(lines(&metrics, &Method::POST, written(7), 0, 0));
        assert_eq!(all.len(), 1, "the first has its line at once");
        (0..250).for_each(|index| all.extend(lines(&metrics, &Method::POST, written(7), 0, 10 + index)));
        assert_eq!(all.len(), 3, "a line has at most {} values", msk_shared::telemetry::MAX_VALUES);
        assert_eq!(all[1]["PublishLatencyMs"].as_array().unwrap().len(), 100);
        assert_eq!(all[1]["_aws"]["Timestamp"], 1_700_000_000_010_u64);
        all.extend(lines(&metrics, &Method::POST, None, 0, 300));
        let failed = Published { failed: 1, error_code: Some(50003), ..written(7).unwrap() };
        let both = lines(&metrics, &Method::POST, Some(failed), 0, 301);
        assert_eq!((both.len(), &both[0]["Requests"], &both[1]["error_code"]), (2, &json!(51), &json!("50003")));
        assert_eq!((&both[1]["RecordsPublished"], both[0].get("error_code")), (&json!(1), None));
        all.extend(both);
        all.extend(lines(&metrics, &Method::POST, written(7), 0, 302));
        let thawed = lines(&metrics, &Method::POST, written(7), 0, 3_600_000);
        assert_eq!(thawed.len(), 1);
        assert_eq!(thawed[0]["_aws"]["Timestamp"], 1_700_000_000_302_u64, "it counts when it happened");
        all.extend(thawed);
        let held = metrics.window.lock().unwrap().take(SystemTime::now());
        all.extend(held.map(|held| held.line(&metrics.namespace).to_json()));
        let total = |name: &str| all.iter().filter_map(|line| line[name].as_u64()).sum::<u64>();
        assert_eq!((total("Requests"), total("BytesPublished")), (255, 254 * 7));
        let totals = metrics.totals();
        assert_eq!((totals.requests, totals.bytes_published), (255, 254 * 7), "a scraper sees the same");
        assert_eq!((totals.records_published, totals.records_failed[&50003]), (total("RecordsPublished"), 1));
        let latencies: usize = all.iter().map(|line| line["PublishLatencyMs"].as_array().map_or(1, Vec::len)).sum();
        assert_eq!(latencies, 254);
        assert_eq!((totals.latency_count, totals.latency_buckets[2]), (254, 254), "5 ms each");
    }

    #[test]
    fn a_request_that_comes_alone_has_its_line_at_once() {
        let metrics = metrics();
        for second in 0..5 {
            let lines = lines(&metrics, &Method::POST, written(7), 0, second * 1000);
            assert_eq!((lines.len(), &lines[0]["request_id"]), (1, &json!("r")));
        }
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
        let line = &lines(&metrics(), &Method::POST, Some(published), 0, 0)[0];
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
            let lines = lines(&metrics, &Method::GET, None, rebuilds, 0);
            lines.first().map_or(Value::Null, |line| line["ProducerRebuilds"].clone())
        };
        assert_eq!(
            [reported(0), reported(2), reported(2), reported(3)],
            [Value::Null, json!(2), Value::Null, json!(1)]
        );
    }
}
