//! The metrics in Prometheus's text format, on a listener of their own, so that they need not be where callers are.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use http::header::CONTENT_TYPE;
use msk_shared::kafka::{KafkaPublisher, PublisherStats};
use msk_shared::telemetry::{PROMETHEUS_TEXT, PrometheusPage};

use super::acceptor::Connections;
use crate::api::state::AppState;
use crate::api::totals::{LATENCY_BOUNDS_S, Totals};

/// `GET /metrics`, and nothing else.
pub(super) fn router(state: Arc<AppState<KafkaPublisher>>, connections: Arc<Connections>) -> Router {
    let scrape = async move || {
        let gauges = Gauges {
            init_ms: state.metrics.init_ms(),
            connections: connections.open(),
            max_connections: connections.limit(),
        };
        ([(CONTENT_TYPE, PROMETHEUS_TEXT)], text(&state.metrics.totals(), state.backend.stats(), gauges))
    };
    Router::new().route("/metrics", get(scrape))
}

/// What is not a sum.
#[derive(Debug, Clone, Copy)]
struct Gauges {
    init_ms: u64,
    connections: usize,
    max_connections: u32,
}

/// The whole page.
fn text(totals: &Totals, stats: PublisherStats, gauges: Gauges) -> String {
    let mut page = Page::default();
    page.counter("requests", "Requests that write.", totals.requests);
    page.counter("records_published", "Records acknowledged by all in-sync replicas.", totals.records_published);
    page.declare(
        "records_failed_total",
        "counter",
        "Records not acknowledged, by their request's most severe error_code.",
    );
    for (code, records) in &totals.records_failed {
        page.sample("records_failed_total", &[("error_code", &code.to_string())], *records as f64);
    }
    page.counter("records_overtaken", "Good records left to their sender to keep the order.", totals.records_overtaken);
    page.counter("bytes_published", "Bytes of keys, values and headers acknowledged.", totals.bytes_published);
    page.latency(totals);
    page.gauge("queue_depth", "Records waiting or in flight to the brokers.", stats.queue_depth as f64);
    page.counter("token_refreshes", "MSK IAM tokens signed.", stats.token_refreshes);
    page.counter("client_rebuilds", "Kafka clients replaced.", stats.rebuilds);
    let auth_failures = stats.auth_failures + totals.records_unauthorized;
    page.counter("auth_failures", "Connections and records refused for missing rights.", auth_failures);
    page.gauge("init_seconds", "How long the start took.", gauges.init_ms as f64 / 1000.0);
    page.gauge("connections", "Open connections to the API.", gauges.connections as f64);
    page.gauge("connections_limit", "Connections that may be open at a time.", f64::from(gauges.max_connections));
    page.0.into_text()
}

/// All names have the prefix `msk_producer_`.
#[derive(Default)]
struct Page(PrometheusPage);

impl Page {
    fn declare(&mut self, name: &str, kind: &str, help: &str) {
        self.0.declare(&format!("msk_producer_{name}"), kind, help);
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0.sample(&format!("msk_producer_{name}"), labels, value);
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        let name = format!("{name}_total");
        self.declare(&name, "counter", help);
        self.sample(&name, &[], value as f64);
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.declare(name, "gauge", help);
        self.sample(name, &[], value);
    }

    /// Buckets hold all that is at most their bound.
    fn latency(&mut self, totals: &Totals) {
        self.declare(
            "publish_latency_seconds",
            "histogram",
            "From a request's first record to its last acknowledgement.",
        );
        let mut up_to_bound = 0;
        for (bound, count) in LATENCY_BOUNDS_S.iter().zip(totals.latency_buckets) {
            up_to_bound += count;
            self.sample("publish_latency_seconds_bucket", &[("le", &bound.to_string())], up_to_bound as f64);
        }
        self.sample("publish_latency_seconds_bucket", &[("le", "+Inf")], totals.latency_count as f64);
        self.sample("publish_latency_seconds_sum", &[], totals.latency.as_secs_f64());
        self.sample("publish_latency_seconds_count", &[], totals.latency_count as f64);
    }
}
