//! The function under the Lambda Runtime API.

use msk_test_host::{Extensions, Host};
use serde_json::{Value, json};

use crate::support::{brokers, producer, producer_of, sample};

fn answered(body: &Value) -> Value {
    serde_json::from_str(body["body"].as_str().unwrap()).unwrap()
}

#[test]
fn events_are_answered_and_a_sigterm_ends_it_cleanly() {
    let brokers = brokers();
    let host = Host::start(Extensions::Served);
    let mut process = host.function(producer_of(&brokers));
    for name in ["records-text", "records-base64"] {
        let posted = host.invoke(sample(name));
        assert_eq!((posted.kind.as_str(), &posted.body["statusCode"]), ("response", &json!(200)), "{:?}", posted.body);
        let answer = answered(&posted.body);
        assert_eq!(answer["request_id"], "request-7");
        assert_eq!(answer["offsets"].as_array().map(Vec::len), Some(2), "{answer}");
    }
    let line = process.line(|line| line["message"] == "request");
    assert_eq!(line["span"]["request_id"], "request-7");
    let posted = host.invoke(sample("error-query"));
    assert_eq!((posted.kind.as_str(), &posted.body["statusCode"]), ("response", &json!(400)));
    assert_eq!(posted.body["headers"]["content-type"], "application/problem+json");
    let posted = host.invoke(sample("not-an-http-api-event"));
    assert_eq!((posted.kind.as_str(), &posted.body["errorType"]), ("error", &json!("NotAnHttpEvent")));
    assert_eq!(host.invoke(sample("healthz")).body["statusCode"], 200);
    process.terminate();
    assert_eq!(process.ended().code(), Some(0));
}

#[test]
fn a_host_without_extensions_serves_it_all_the_same() {
    let brokers = brokers();
    let host = Host::start(Extensions::Missing);
    let mut process = host.function(producer_of(&brokers));
    assert_eq!(host.invoke(sample("message-text")).body["statusCode"], 200);
    process.terminate();
    assert_eq!(process.ended().code(), Some(0));
}

#[test]
fn a_cluster_that_is_down_does_not_fail_init() {
    let host = Host::start(Extensions::Served);
    let mut command = producer();
    command.envs([("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1"), ("KAFKA_AUTH", "none"), ("TOPICS", "orders")]);
    let process = host.function(command);
    let started = std::time::Instant::now();
    assert_eq!(host.invoke(sample("healthz")).body["statusCode"], 200);
    assert!(started.elapsed() < std::time::Duration::from_secs(6), "{:?}", started.elapsed());
    let starting = "the cluster does not answer yet; starting all the same";
    let line = process.line(|line| line["message"] == starting);
    assert_eq!((&line["level"], &line["cause"]), (&json!("ERROR"), &json!("brokers_unreachable")), "{line}");
    let posted = host.invoke(sample("message-text"));
    let answer = answered(&posted.body);
    assert_eq!((&posted.body["statusCode"], &answer["persisted"]), (&json!(503), &json!("no")), "{answer}");
}
