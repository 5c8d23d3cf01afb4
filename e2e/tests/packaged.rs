//! The packaged functions answer invocations, on the processor they were built for. `cargo xtask test arm64` names
//! them in `MSK_E2E_PRODUCER` and `MSK_E2E_CONSUMER` and runs these.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests fail by panicking and print what they measured")]

use std::{fs, net::TcpListener, time::Duration};

use msk_e2e::folder::workspace_dir;
use msk_e2e::lambda::{Environment, FunctionOptions, HttpAnswer, HttpEvent};
use msk_e2e::wait::wait_until;
use rdkafka::mocking::MockCluster;
use serde_json::{Value, json};

/// librdkafka looks again within a second; an emulated processor is slow.
const LOG_LIMIT: Duration = Duration::from_secs(20);

/// The producer, without authentication.
async fn producer(bootstrap_servers: &str) -> Environment {
    let variables = [
        ("KAFKA_BOOTSTRAP_SERVERS", bootstrap_servers),
        ("KAFKA_AUTH", "none"),
        ("TOPICS", "orders"),
        ("DELIVERY_TIMEOUT_MS", "5000"),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    start("producer", variables).await
}

async fn start(name: &str, variables: Vec<(String, String)>) -> Environment {
    let environment =
        Environment::start(&FunctionOptions::new(FunctionOptions::workspace_binary(name), variables)).await.unwrap();
    println!("{name}: init took {:.2?}", environment.init_duration());
    environment
}

async fn answer(environment: &Environment, event: &HttpEvent) -> HttpAnswer {
    let invocation = environment.invoke(&event.build()).await.unwrap();
    println!("answered in {:.2?}", invocation.duration);
    HttpAnswer::parse(&invocation.payload).unwrap()
}

fn record() -> HttpEvent {
    HttpEvent::post_records("orders", &json!({"records": [{"key": "a", "value": {"n": 1}}]}))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "drives packaged functions: run `cargo xtask test arm64`"]
async fn the_producer_writes_to_brokers() {
    let brokers = MockCluster::new(3).unwrap();
    brokers.create_topic("orders", 3, 3).unwrap();
    let environment = producer(&brokers.bootstrap_servers()).await;
    for offset in 0..3 {
        let answer = answer(&environment, &record()).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        assert_eq!(answer.json()["offsets"][0]["offset"], offset, "{}", answer.json());
    }
}

/// A librdkafka that was built without `HAVE_ATOMICS_32_ATOMIC` never notices (librdkafka#5282). A cross-build has its own C
/// compiler, which the flags must reach.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "drives packaged functions: run `cargo xtask test arm64`"]
async fn the_producer_notices_that_all_brokers_are_down() {
    // Bound ports that never accept would look like a slow broker; closed again, they refuse connections.
    let closed = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string());
    let environment = producer(&closed.join(",")).await;
    let health = answer(&environment, &HttpEvent::new("GET", "/healthz")).await;
    assert_eq!(health.status, 200, "{}", health.json());
    let refused = answer(&environment, &record()).await;
    assert_eq!((refused.status, &refused.json()["persisted"]), (503, &json!("no")), "{}", refused.json());
    let noticed = wait_until("ALL_BROKERS_DOWN in the log", LOG_LIMIT, || {
        let log = environment.log();
        std::future::ready(if log.contains("ALL_BROKERS_DOWN") { Ok(()) } else { Err(log) })
    });
    noticed.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "drives packaged functions: run `cargo xtask test arm64`"]
async fn the_consumer_handles_a_batch() {
    let environment = start("consumer", vec![("REPORT_BATCH_ITEM_FAILURES".to_owned(), "true".to_owned())]).await;
    let sample = fs::read_to_string(workspace_dir().join("events/msk-several-partitions.json")).unwrap();
    let event: Value = serde_json::from_str(&sample).unwrap();
    let invocation = environment.invoke(&event).await.unwrap();
    let answer: Value = serde_json::from_slice(&invocation.payload).unwrap();
    assert_eq!(answer, json!({"batchItemFailures": []}), "{}", environment.log());
    let records = event["records"].as_object().unwrap().values().map(|records| records.as_array().unwrap().len());
    let logged = environment.log().lines().filter(|line| line.contains(r#""message":"record""#)).count();
    assert_eq!(logged, records.sum::<usize>(), "{}", environment.log());
}
