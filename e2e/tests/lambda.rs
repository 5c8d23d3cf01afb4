//! The Lambda host does to a function what Lambda does.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::time::{Duration, Instant};

use msk_e2e::Error;
use msk_e2e::lambda::{Environment, FunctionOptions, InvocationError};
use serde_json::{Value, json};

fn options() -> FunctionOptions {
    FunctionOptions::new(env!("CARGO_BIN_EXE_msk-e2e-function"), Vec::new())
}

async fn start() -> Environment {
    Environment::start(&options()).await.unwrap()
}

async fn answer(environment: &Environment, event: Value) -> Value {
    serde_json::from_slice(&environment.invoke(&event).await.unwrap().payload).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_and_answers_pass_unchanged() {
    let environment = start().await;
    for number in 0..20 {
        let event = json!({"number": number, "text": "é\u{0}\n"});
        assert_eq!(answer(&environment, event.clone()).await, event);
    }
    assert!(environment.init_duration() > Duration::ZERO);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_deadline_kills() {
    let environment = start().await;
    let start = Instant::now();
    let event = json!({"do": "sleep", "ms": 20_000});
    let result = environment.invoke_within(&event, Duration::from_millis(500)).await;
    assert!(matches!(result, Err(InvocationError::TimedOut(_))), "{result:?}");
    assert!((500..3_000).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    assert!(!std::path::Path::new(&format!("/proc/{}", environment.id())).exists());
    let result = environment.invoke(&json!(1)).await;
    assert!(matches!(result, Err(InvocationError::Ended)), "{result:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_and_crashes_are_distinguished() {
    let environment = start().await;
    let result = environment.invoke(&json!({"do": "fail"})).await;
    assert!(matches!(&result, Err(InvocationError::Handler(text)) if text.contains("asked to fail")), "{result:?}");
    assert_eq!(answer(&environment, json!(1)).await, json!(1), "an error does not end the environment");
    let result = environment.invoke(&json!({"do": "exit"})).await;
    assert!(matches!(&result, Err(InvocationError::Exited(status)) if status.contains('3')), "{result:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_init_is_reported_with_its_log() {
    let mut options = options();
    options.variables.push(("FAIL_INIT".to_owned(), "1".to_owned()));
    let Err(Error::Exited { log_tail, .. }) = Environment::start(&options).await else { panic!("it started") };
    assert!(log_tail.contains("asked to fail during init"), "{log_tail}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_function_does_nothing_until_thawed() {
    let environment = start().await;
    answer(&environment, json!(1)).await;
    environment.freeze().await.unwrap();
    let state = std::fs::read_to_string(format!("/proc/{}/status", environment.id())).unwrap();
    assert!(state.contains("State:\tT"), "{state}");
    assert_eq!(answer(&environment, json!(2)).await, json!(2), "an invocation thaws");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_wall_clock_jumps_and_the_monotonic_one_does_not() {
    let environment = Environment::start(&FunctionOptions { movable_clock: true, ..options() }).await.unwrap();
    let before = answer(&environment, json!({"do": "clocks"})).await;
    environment.freeze().await.unwrap();
    environment.advance_clock_ms(20 * 60 * 1_000).unwrap();
    let after = answer(&environment, json!({"do": "clocks"})).await;
    let passed = |name: &str| after[name].as_i64().unwrap() - before[name].as_i64().unwrap();
    assert!((1_200_000..1_210_000).contains(&passed("wall_ms")), "wall clock moved by {} ms", passed("wall_ms"));
    assert!(passed("monotonic_ms") < 10_000, "monotonic clock moved by {} ms", passed("monotonic_ms"));
    // The deadline is given in the function's own wall-clock time.
    let left = after["deadline_ms"].as_i64().unwrap() - after["wall_ms"].as_i64().unwrap();
    assert!((20_000..28_001).contains(&left), "{left} ms left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutting_down_is_bounded() {
    let environment = start().await;
    environment.shut_down(Duration::from_secs(5)).await.unwrap();
    assert!(matches!(environment.invoke(&json!(1)).await, Err(InvocationError::Ended)));
}
