//! What the HTTP forwarder promises, against a real endpoint on this machine.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failing test may panic")]

mod endpoint;

use std::time::{Duration, Instant};

use endpoint::Endpoint;
use msk_consumer::dead_letters::NoSink;
use msk_consumer::idempotency::MemoryStore;
use msk_consumer::{BatchProcessor, BatchSettings, InvocationContext, Outcome};
use msk_consumer_examples::http_client::HttpClient;
use msk_consumer_examples::http_forwarder::HttpForwarder;
use msk_shared::event::{Header, MskEvent, Record, TombstoneStyle};
use msk_test_kit::{Extensions, FunctionHost, clean};

type Forwarding = BatchProcessor<HttpForwarder, NoSink, MemoryStore>;

/// An execution environment of its own: another one knows nothing of what this one did.
fn environment(endpoint: &Endpoint) -> Forwarding {
    let settings = BatchSettings { report_batch_item_failures: true, ..BatchSettings::default() };
    let forwarder = HttpForwarder::new(endpoint.url().parse().unwrap(), HttpClient::without_tls());
    BatchProcessor::new(forwarder, NoSink, MemoryStore::default(), settings)
}

fn record(partition: i32, offset: i64, value: &str) -> Record {
    Record::new("orders", partition, offset).with_value(Some(value.as_bytes().to_vec()))
}

/// The records that are to be delivered again.
async fn deliver(forwarding: &Forwarding, records: &[Record]) -> Vec<String> {
    let event = MskEvent::new(records.iter().cloned()).to_json(TombstoneStyle::Omit);
    let invocation = InvocationContext { request_id: "test".to_owned(), deadline: None };
    let processed = forwarding.process(event, &invocation).await;
    processed.answer.unwrap().failed().map(ToString::to_string).collect()
}

#[tokio::test]
async fn records_arrive_as_they_are_with_their_identity_and_again_with_the_same() {
    let endpoint = Endpoint::start(|_| "200 OK\r\n".to_owned());
    let content_type = Header { name: "content-type".into(), value: Some(b"application/json".to_vec().into()) };
    let records =
        [record(0, 7, "{\"a\": 1}").with_headers([content_type]), record(0, 8, "é\0"), Record::new("orders", 0, 9)];
    // The second environment stands for one that comes after a crash.
    for _ in 0..2 {
        assert!(deliver(&environment(&endpoint), &records).await.is_empty());
    }
    let posted = endpoint.received();
    assert_eq!(posted.len(), 4, "the tombstone is not posted");
    assert_eq!((posted[0].body.as_slice(), posted[1].body.as_slice()), (&b"{\"a\": 1}"[..], "é\0".as_bytes()));
    assert_eq!(posted[0].header("content-type"), Some("application/json"));
    for (first, again) in [(0, 2), (1, 3)] {
        let key = posted[first].header("idempotency-key");
        assert!(key.is_some_and(|key| key.contains("orders-0@")), "{key:?}");
        assert_eq!(posted[again].header("idempotency-key"), key);
    }
    assert_ne!(posted[0].header("idempotency-key"), posted[1].header("idempotency-key"));
}

#[tokio::test]
async fn what_the_endpoint_refuses_is_poison_and_what_it_fails_at_is_retried() {
    for (status, is_poison) in [
        ("400 Bad Request", true),
        ("404 Not Found", true),
        ("500 Oops", false),
        ("302 Found", false),
        ("408 Late", false),
    ] {
        let endpoint =
            Endpoint::start(move |body| if body == b"bad" { format!("{status}\r\n") } else { "204 Done\r\n".into() });
        let records = [record(0, 0, "good"), record(0, 1, "bad"), record(0, 2, "good"), record(1, 0, "good")];
        let forwarding = environment(&endpoint);
        let event = MskEvent::new(records).to_json(TombstoneStyle::Omit);
        let invocation = InvocationContext { request_id: "test".to_owned(), deadline: None };
        let processed = forwarding.process(event, &invocation).await;
        // Without a dead-letter sink poison is reported, too.
        let failed: Vec<String> = processed.answer.unwrap().failed().map(ToString::to_string).collect();
        assert_eq!(failed, ["orders-0@1", "orders-0@2"], "{status}");
        let metrics = processed.metrics.unwrap().to_json();
        assert_eq!(metrics["RecordsPoisoned"].as_f64(), Some(f64::from(u8::from(is_poison))), "{status}");
    }
}

#[tokio::test]
async fn a_pause_that_the_endpoint_asks_for_is_kept_by_all_lanes() {
    let endpoint = Endpoint::start(|body| match body {
        b"first" => "429 Too Many Requests\r\nRetry-After: 120\r\n".to_owned(),
        _ => "200 OK\r\n".to_owned(),
    });
    let forwarding = environment(&endpoint);
    assert_eq!(deliver(&forwarding, &[record(0, 0, "first")]).await, ["orders-0@0"]);
    let started = Instant::now();
    let others = [record(1, 0, "second"), record(2, 0, "third")];
    assert_eq!(deliver(&forwarding, &others).await, ["orders-1@0", "orders-2@0"]);
    assert!(started.elapsed() < Duration::from_secs(1), "a long pause is not waited for");
    assert_eq!(endpoint.received().len(), 1, "nothing is posted in the pause");
}

#[tokio::test]
async fn a_short_pause_is_waited_for() {
    let endpoint = Endpoint::start(|body| match body {
        b"first" => "503 Busy\r\nRetry-After: 1\r\n".to_owned(),
        _ => "200 OK\r\n".to_owned(),
    });
    let forwarding = environment(&endpoint);
    let started = Instant::now();
    assert_eq!(deliver(&forwarding, &[record(0, 0, "first")]).await, ["orders-0@0"]);
    assert!(deliver(&forwarding, &[record(1, 0, "second")]).await.is_empty());
    assert!(started.elapsed() >= Duration::from_millis(900), "{:?}", started.elapsed());
}

#[tokio::test]
async fn the_status_counts_whatever_becomes_of_the_body() {
    let endpoint = Endpoint::serve(|_| ("200 OK\r\n".to_owned(), vec![b'x'; 4 * 1024 * 1024 + 1]));
    assert!(deliver(&environment(&endpoint), &[record(0, 7, "{}")]).await.is_empty());
    assert_eq!(endpoint.received().len(), 1);
}

/// No resolver is asked: a label has 63 letters at most.
#[tokio::test]
async fn a_name_without_an_address_is_told_as_such() {
    let url = format!("http://{}.invalid/", "a".repeat(64));
    let request = http::Request::get(url).body(bytes::Bytes::new()).unwrap();
    let outcome = HttpClient::without_tls().send(request).await.unwrap_err();
    assert!(
        matches!(&outcome, Outcome::Retry(error) if error.to_string().ends_with("its name has no address")),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn an_endpoint_that_is_gone_loses_nothing() {
    let endpoint = Endpoint::start(|_| "200 OK\r\n".to_owned());
    let forwarding = environment(&endpoint);
    endpoint.stop();
    assert_eq!(deliver(&forwarding, &[record(0, 0, "a"), record(1, 0, "b")]).await, ["orders-0@0", "orders-1@0"]);
}

#[test]
fn what_is_wrong_with_its_environment_is_reported_together_with_the_consumers() {
    for (url, says) in [(None, "APP_URL is missing"), (Some("ftp://c4n4ry.example/"), "APP_URL must be an address")] {
        let mut command = clean(env!("CARGO_BIN_EXE_http-forwarder"));
        command.env("ORDERING", "x").envs(url.map(|url| ("APP_URL", url)));
        let host = FunctionHost::start(Extensions::Served);
        let mut process = host.function(command);
        let (_, document) = host.start_fault();
        let message = document["errorMessage"].as_str().unwrap();
        assert!(message.contains(says) && message.contains("ORDERING") && !message.contains("c4n4ry"), "{message}");
        assert_eq!(process.end().code(), Some(1));
    }
}
