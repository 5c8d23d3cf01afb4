//! Metrics under AWS's names, as Prometheus scrapes them.
//!
//! AWS's rules: <https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html>.

use msk_local::brokers::Which;
use msk_local::esm::running_mapping::End;
use msk_test_kit::prometheus::Scrape;
use serde_json::{Value, json};

use super::function::{Function, Reply};
use super::harness::{Harness, TOPIC, until, within};
use super::program::{config, run, start};

/// The metrics that AWS documents for Kafka mappings, and that something on a laptop can change.
const NAMES: [&str; 17] = [
    "SchemaRegistryErrorCount",
    "PolledEventCount",
    "FilteredOutEventCount",
    "InvokedEventCount",
    "FailedInvokeEventCount",
    "DroppedEventCount",
    "OnFailureDestinationDeliveredEventCount",
    "CommittedEventCount",
    "PollingErrorCount",
    "InvokeErrorCount",
    "OnFailureDestinationDeliveryErrorCount",
    "CommitErrorCount",
    "EventPollerThroughputInBytes",
    "OffsetLag",
    "MaxOffsetLag",
    "SumOffsetLag",
    "ProvisionedPollers",
];

fn scrape(url: &str) -> Scrape {
    let mut answer = ureq::get(url).call().unwrap();
    assert_eq!(answer.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    Scrape::parse(&answer.body_mut().read_to_string().unwrap())
}

fn value(scrape: &Scrape, name: &str) -> f64 {
    scrape.samples[&format!("{name}{{function=\"consumer\",topic=\"orders\"}}")]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scrape_has_awss_metrics_and_the_summary_the_same_counts() {
    let harness = Harness::start(2);
    harness.produce(0, 5).await;
    harness.produce(1, 3).await;
    // The second partition stands still at its first record.
    let function = Function::failing_on((1, 0)).await;
    let members = json!({
        "BatchSize": 1, "MaximumBatchingWindowInSeconds": 0,
        "Local": {"metricsPort": 0, "retryBackoffSeconds": 1, "maxRetryBackoffSeconds": 1},
    });
    let (_folder, path) = config(&harness, &function.url, &members);
    let mut emulator = start(&["esm", "run", &path]);
    let url = emulator.line(|line| line["event"] == "metrics")["url"].as_str().unwrap().to_owned();
    assert!(url.starts_with("http://127.0.0.1:"), "{url}");
    harness.until_committed(&[5, -1]).await;
    until("the second partition is tried again", || function.deliveries_of((1, 0)) >= 2).await;
    let scraped = tokio::task::spawn_blocking(move || {
        assert!(ureq::get(&url.replace("/metrics", "/")).call().is_err(), "nothing else is there");
        scrape(&url)
    })
    .await
    .unwrap();
    for name in NAMES {
        let kind = if name.contains("Lag") || name == "ProvisionedPollers" { "gauge" } else { "counter" };
        assert_eq!(scraped.kinds[name], kind, "{name}");
        assert!(value(&scraped, name) >= 0.0, "{name}");
    }
    assert_eq!(scraped.kinds.len(), NAMES.len(), "{:?}", scraped.kinds);
    for (name, expected) in [
        ("PolledEventCount", 8.0),
        ("CommittedEventCount", 5.0),
        ("DroppedEventCount", 0.0),
        ("FilteredOutEventCount", 0.0),
        ("OffsetLag", 3.0),
        ("MaxOffsetLag", 3.0),
        ("SumOffsetLag", 3.0),
        ("ProvisionedPollers", 1.0),
        // Eight keys of 3 bytes and values of 12.
        ("EventPollerThroughputInBytes", 8.0 * 15.0),
    ] {
        assert_eq!(value(&scraped, name), expected, "{name}");
    }
    assert!(value(&scraped, "InvokedEventCount") >= 7.0 && value(&scraped, "InvokeErrorCount") >= 2.0);
    emulator.terminate();
    let summary = emulator.line(|line| line["event"] == "summary");
    for name in NAMES.iter().filter(|name| scraped.kinds[**name] == "counter") {
        assert!(summary[*name].as_f64().unwrap() >= value(&scraped, name), "{name} in {summary}");
    }
    assert_eq!(emulator.end().code(), Some(0));
}

/// A scrape of a mapping with these members, which has invoked its function.
async fn scrape_of(harness: &Harness, function: &Function, mut members: Value) -> Scrape {
    members["Local"] = json!({"metricsPort": 0});
    let (_folder, path) = config(harness, &function.url, &members);
    let emulator = start(&["esm", "run", &path]);
    let url = emulator.line(|line| line["event"] == "metrics")["url"].as_str().unwrap().to_owned();
    until("an invocation", || !function.invocations().is_empty()).await;
    tokio::task::spawn_blocking(move || scrape(&url)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_lag_and_the_sum_are_told_apart() {
    let harness = Harness::start(2);
    harness.produce(0, 3).await;
    harness.produce(1, 2).await;
    let (function, _repaired) = Function::broken().await;
    let scraped = scrape_of(&harness, &function, json!({})).await;
    assert_eq!((value(&scraped, "MaxOffsetLag"), value(&scraped, "SumOffsetLag")), (3.0, 5.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_are_no_more_pollers_than_partitions() {
    let harness = Harness::start(2);
    harness.produce(0, 1).await;
    let function = Function::start(|_, _| Reply::ok()).await;
    let scraped = scrape_of(&harness, &function, json!({"ProvisionedPollerConfig": {"MinimumPollers": 5}})).await;
    assert_eq!(value(&scraped, "ProvisionedPollers"), 2.0);
}

#[tokio::test]
async fn a_record_counts_with_each_attempt_and_a_failed_batch_once() {
    let harness = Harness::start(1);
    harness.produce(0, 3).await;
    let function = Function::start(|number, _| match number {
        0 => Reply::error(),
        1 => Reply::failed(TOPIC, &[(0, 1)]),
        _ => Reply::ok(),
    })
    .await;
    let members = json!({
        "BatchSize": 3, "MaximumBatchingWindowInSeconds": 300, "FunctionResponseTypes": ["ReportBatchItemFailures"],
    });
    assert_eq!(harness.drain(harness.mapping(&function, &members)).await, End::Drained);
    assert_eq!(function.sizes(), [3, 3, 1]);
    let counts = harness.counts();
    assert_eq!((counts.polled_event_count, counts.invoked_event_count), (3, 7));
    assert_eq!((counts.failed_invoke_event_count, counts.invoke_error_count), (3 + 1, 2));
}

#[tokio::test]
async fn errors_while_reading_are_counted() {
    let harness = Harness::start(1);
    let function = Function::start(|_, _| Reply::ok()).await;
    let running = harness.run(harness.mapping(&function, &json!({}))).await;
    harness.brokers.down(Which::All).unwrap();
    until("an error", || harness.counts().polling_error_count > 0).await;
    harness.brokers.up(Which::All).unwrap();
    within(running.stop()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_is_taken_or_none_is_an_error_that_names_the_flag() {
    let harness = Harness::start(1);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let function = Function::broken().await.0;
    for (port, told) in [(json!(port), "cannot be listened on"), (json!(65_536), "out of range")] {
        let (_folder, path) = config(&harness, &function.url, &json!({"Local": {"metricsPort": port}}));
        let output = run(&["esm", "run", &path]);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && text.contains(told), "{text}");
        assert!(text.contains("--metrics-port") && text.contains("Local.metricsPort"), "{text}");
    }
}

/// Without brokers there is no lag to tell, and the counts are still there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_without_brokers_has_no_lag() {
    let harness = Harness::start(1);
    let function = Function::start(|_, _| Reply::ok()).await;
    harness.produce(0, 1).await;
    let (_folder, path) = config(&harness, &function.url, &json!({"Local": {"metricsPort": 0}}));
    let emulator = start(&["esm", "run", &path]);
    let url = emulator.line(|line| line["event"] == "metrics")["url"].as_str().unwrap().to_owned();
    harness.until_committed(&[1]).await;
    harness.brokers.down(Which::All).unwrap();
    let scraped = tokio::task::spawn_blocking(move || scrape(&url)).await.unwrap();
    assert_eq!(value(&scraped, "PolledEventCount"), 1.0);
    assert!(!scraped.samples.keys().any(|name| name.contains("Lag")), "{:?}", scraped.samples);
    drop(emulator);
}
