//! What stands around the API: its metrics for Prometheus, and browsers.

use std::collections::BTreeMap;

use msk_test_kit::Process;
use msk_test_kit::prometheus::Scrape;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use serde_json::Value;

use crate::support::{Brokers, Connection, brokers, exchange, post, server};

/// A server with metrics, its address and that of the metrics.
fn with_metrics(brokers: &Brokers) -> (Process, String, String) {
    let (process, address) = server(brokers, &["--metrics", "127.0.0.1:0"]);
    let metrics = process.line(|line| line["message"] == "listening for metrics");
    let metrics = metrics["address"].as_str().unwrap().to_owned();
    (process, address, metrics)
}

/// Every sample of a scrape by its name with labels.
fn scrape(address: &str) -> BTreeMap<String, f64> {
    let (status, head, page) = Connection::open(address).exchange_text("GET /metrics HTTP/1.1\r\nhost: h\r\n\r\n");
    assert_eq!(status, 200, "{head}");
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    let scrape = Scrape::parse(&page);
    for (name, kind) in &scrape.kinds {
        assert!(name.starts_with("msk_producer_"), "{name}");
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
    }
    scrape.samples
}

#[test]
fn a_scrape_sees_every_request_and_what_the_cloudwatch_lines_say() {
    let brokers = brokers();
    let (mut process, address, metrics) = with_metrics(&brokers);
    let before = scrape(&metrics);
    assert_eq!(before["msk_producer_requests_total"], 0.0);
    let mut connection = Connection::open(&address);
    for _ in 0..250 {
        assert_eq!(connection.post(r#"{"records":[{"value":1},{"value":22}]}"#).0, 200);
    }
    assert_eq!(connection.post("{").0, 400);
    assert_eq!(connection.exchange("GET /topics HTTP/1.1\r\nhost: h\r\n\r\n").0, 200);
    let after = scrape(&metrics);
    let expected = [
        ("requests_total", 251.0),
        ("records_published_total", 500.0),
        ("bytes_published_total", 750.0),
        ("records_overtaken_total", 0.0),
        ("publish_latency_seconds_count", 250.0),
        ("publish_latency_seconds_bucket{le=\"+Inf\"}", 250.0),
        ("queue_depth", 0.0),
        ("connections", 1.0),
        ("connections_limit", 1024.0),
        ("token_refreshes_total", 0.0),
        ("client_rebuilds_total", 0.0),
        ("auth_failures_total", 0.0),
    ];
    for (name, value) in expected {
        assert_eq!(after[&format!("msk_producer_{name}")], value, "{name}");
    }
    assert!(after["msk_producer_publish_latency_seconds_sum"] > 0.0);
    assert!(after["msk_producer_init_seconds"] > 0.0);
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/CONTAINERS.md")).unwrap();
    for name in after.keys() {
        let family = name.split('{').next().unwrap();
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| family.strip_suffix(end)).unwrap_or(family);
        assert!(page.contains(&format!("`{family}`")), "{family} is not on the page");
    }
    let buckets: Vec<f64> =
        after.iter().filter(|(name, _)| name.contains("_bucket")).map(|(_, count)| *count).collect();
    assert!(buckets.len() > 10 && buckets.iter().all(|count| *count <= 250.0), "{buckets:?}");

    // The same figures went to CloudWatch.
    process.terminate();
    assert_eq!(process.end().code(), Some(0));
    let lines = process.json_lines();
    let sum = |name: &str| lines.iter().filter_map(|line| line[name].as_f64()).sum::<f64>();
    for (emf, name) in [
        ("Requests", "requests_total"),
        ("RecordsPublished", "records_published_total"),
        ("BytesPublished", "bytes_published_total"),
    ] {
        assert_eq!(sum(emf), after[&format!("msk_producer_{name}")], "{emf}");
    }
}

#[test]
fn failed_records_are_counted_by_their_code() {
    let brokers = brokers();
    let (_process, address, metrics) = with_metrics(&brokers);
    let refused = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    brokers.request_errors(RDKafkaApiKey::Produce, &[refused; 100]);
    let (status, _, problem) = post(&address, r#"{"records":[{"value":1}]}"#);
    assert_eq!(status, 503, "{problem}");
    let samples = scrape(&metrics);
    assert_eq!(samples["msk_producer_records_failed_total{error_code=\"50302\"}"], 1.0);
    assert_eq!(samples["msk_producer_auth_failures_total"], 1.0);
}

#[test]
fn the_metrics_are_not_where_callers_are_and_nothing_else_is_where_they_are() {
    let brokers = brokers();
    let (_process, address, metrics) = with_metrics(&brokers);
    assert_eq!(exchange(&address, "GET /metrics HTTP/1.1\r\nhost: h\r\n\r\n").0, 404);
    assert_eq!(exchange(&metrics, "GET /healthz HTTP/1.1\r\nhost: h\r\n\r\n").0, 404);
    assert_eq!(exchange(&metrics, "POST /metrics HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n\r\n").0, 405);
}

/// The headers of an answer that browsers look for.
fn cors_headers(head: &str) -> BTreeMap<String, String> {
    let named = head.lines().filter_map(|line| line.split_once(": "));
    let named = named.map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    named.filter(|(name, _)| name.starts_with("access-control-") || name == "vary").collect()
}

fn request(method: &str, path: &str, headers: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nhost: h\r\n{headers}content-length: 0\r\n\r\n")
}

#[test]
fn pages_of_the_listed_origins_may_call_and_others_may_not() {
    let brokers = brokers();
    let flags = ["--cors-origin", "https://shop.example", "--cors-origin=http://localhost:3000"];
    let (_process, address) = server(&brokers, &flags);
    let preflight = |path: &str, origin: &str| {
        let headers = format!(
            "origin: {origin}\r\naccess-control-request-method: POST\r\naccess-control-request-headers: content-type, kafka-header-a\r\n"
        );
        let (status, head, _) = exchange(&address, &request("OPTIONS", path, &headers));
        (status, cors_headers(&head))
    };
    for origin in ["https://shop.example", "http://localhost:3000"] {
        let (status, headers) = preflight("/topics/orders", origin);
        assert_eq!((status, headers["access-control-allow-origin"].as_str()), (204, origin));
        assert!(headers["access-control-allow-methods"].contains("POST"), "{headers:?}");
        assert_eq!(headers["access-control-allow-headers"], "content-type, kafka-header-a");
        assert_eq!((headers["vary"].as_str(), headers.contains_key("access-control-max-age")), ("origin", true));
    }
    for origin in ["https://shop.example.evil", "https://evil.example", "null"] {
        let (_, headers) = preflight("/topics/orders", origin);
        assert_eq!(headers.keys().collect::<Vec<_>>(), ["vary"], "{origin}");
    }
    assert_eq!(preflight("/nothing", "https://shop.example").0, 404, "a browser takes that as a no");
    // The answers themselves, problems too.
    for path in ["/topics", "/topics/other"] {
        let (_, head, _) = exchange(&address, &request("GET", path, "origin: https://shop.example\r\n"));
        let headers = cors_headers(&head);
        assert_eq!(headers["access-control-allow-origin"], "https://shop.example", "{path}");
        assert!(headers["access-control-expose-headers"].contains("x-request-id"), "{headers:?}");
    }
}

#[test]
fn a_star_allows_every_origin_and_without_the_option_none_is_allowed() {
    let brokers = brokers();
    let (_any, any) = server(&brokers, &["--cors-origin", "*"]);
    let (_none, none) = server(&brokers, &[]);
    let asked = request("GET", "/topics", "origin: https://a.example\r\n");
    let of = |address: &str| -> (Value, BTreeMap<String, String>) {
        let (_, head, body) = exchange(address, &asked);
        (body, cors_headers(&head))
    };
    let (topics, headers) = of(&any);
    assert_eq!((headers["access-control-allow-origin"].as_str(), headers.get("vary")), ("*", None));
    assert_eq!(of(&none), (topics, BTreeMap::new()));
}
