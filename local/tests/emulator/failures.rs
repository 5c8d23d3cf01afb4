//! What happens after a failed invocation, end to end.
//!
//! AWS's rules: <https://docs.aws.amazon.com/lambda/latest/dg/kafka-retry-configurations.html>.

use std::time::{Duration, Instant};

use msk_local::esm::running_mapping::{DrainLimits, End};
use serde_json::{Value, json};

use super::function::{Function, Reply};
use super::harness::{Harness, TIMEOUT, TOPIC, until, within};

const PARTIAL: &str = "ReportBatchItemFailures";

fn partial() -> Value {
    json!({"FunctionResponseTypes": [PARTIAL]})
}

#[tokio::test]
async fn each_kind_of_failure_is_followed_by_a_whole_retry() {
    let init_error = json!({"errorType": "Extension.Crash", "errorMessage": "no start"}).to_string();
    let marked = Reply { function_error: true, ..Reply::body("\"x\"") };
    let cases = [
        (Reply::error(), "function_error"),
        (Reply { status: 502, ..Reply::error() }, "function_error"),
        (Reply::body(init_error), "function_error"),
        (marked, "function_error"),
        (Reply::status(408), "timeout"),
        (Reply::status(504), "timeout"),
        (Reply::body("Task timed out after 3.00 seconds"), "timeout"),
        (Reply::status(429), "throttled"),
        (Reply::status(404), "unreachable"),
        (Reply::status(500), "unreachable"),
    ];
    let harness = Harness::start(1);
    harness.produce(0, 3).await;
    let script: Vec<_> = cases.iter().map(|(reply, _)| reply.clone()).collect();
    let function = Function::start(move |number, _| script.get(number).cloned().unwrap_or_else(Reply::ok)).await;
    // The grace keeps `drain` from giving up on the answers that count as unreachable.
    let members = json!({"Local": {"startupGraceSeconds": 60}});
    assert_eq!(harness.drain(harness.mapping(&function, &members)).await, End::Drained);
    assert_eq!(function.sizes(), vec![3; cases.len() + 1]);
    let expected: Vec<_> = cases.iter().map(|(_, outcome)| *outcome).chain(["done"]).collect();
    assert_eq!(harness.outcomes(), expected);
    assert_eq!(harness.committed(1).await, [3]);
}

#[tokio::test]
async fn a_function_that_never_answers_times_out() {
    let harness = Harness::start(1);
    harness.produce(0, 2).await;
    let function = Function::first_then(Reply::ok().after(Duration::from_secs(3600)), Reply::ok()).await;
    let members = json!({"Local": {"functionTimeoutSeconds": 0.3}});
    assert_eq!(harness.drain(harness.mapping(&function, &members)).await, End::Drained);
    assert_eq!(harness.outcomes(), ["timeout", "done"]);
    assert_eq!(harness.committed(1).await, [2]);
}

#[tokio::test]
async fn timeout_holds_for_the_first_invocation() {
    let harness = Harness::start(1);
    harness.produce(0, 2).await;
    let function = Function::start(|_, _| Reply::ok().after(Duration::from_secs(3600))).await;
    let members = json!({
        "MaximumRetryAttempts": 1, "Local": {"functionTimeoutSeconds": 0.3, "startupGraceSeconds": 300},
    });
    assert_eq!(harness.drain(harness.mapping(&function, &members)).await, End::Drained);
    assert_eq!(harness.outcomes(), ["timeout", "timeout"]);
    assert_eq!(harness.counts().dropped_event_count, 2);
}

#[tokio::test]
async fn the_first_invocation_may_have_a_timeout_of_its_own() {
    let harness = Harness::start(1);
    harness.produce(0, 2).await;
    let built = Reply::ok().after(Duration::from_millis(600));
    let function = Function::start(move |_, _| built.clone()).await;
    let members = json!({
        "BatchSize": 1, "MaximumRetryAttempts": 0,
        "Local": {"functionTimeoutSeconds": 0.2, "firstInvocationTimeoutSeconds": 20},
    });
    assert_eq!(harness.drain(harness.mapping(&function, &members)).await, End::Drained);
    assert_eq!(harness.outcomes(), ["done", "timeout"]);
}

#[tokio::test]
async fn retries_end_and_the_batch_is_dropped_and_committed() {
    let harness = Harness::start(1);
    harness.produce(0, 2).await;
    let function = Function::start(|_, _| Reply::error()).await;
    assert_eq!(harness.drain(harness.mapping(&function, &json!({"MaximumRetryAttempts": 2}))).await, End::Drained);
    assert_eq!(function.sizes(), [2, 2, 2]);
    assert_eq!(harness.counts().dropped_event_count, 2);
    assert_eq!(harness.committed(1).await, [2]);
}

#[tokio::test]
async fn without_a_limit_and_a_destination_retries_do_not_end() {
    let harness = Harness::start(1);
    harness.produce(0, 1).await;
    // With a destination the eleventh would be the last.
    let function = Function::start(|number, _| if number < 12 { Reply::error() } else { Reply::ok() }).await;
    assert_eq!(harness.drain(harness.mapping(&function, &json!({}))).await, End::Drained);
    assert_eq!(function.sizes(), [1; 13]);
    assert_eq!((harness.counts().dropped_event_count, harness.committed(1).await), (0, vec![1]));
}

#[tokio::test]
async fn what_a_mapping_leaves_out_is_without_limit_or_off() {
    let harness = Harness::start(1);
    let unset = json!({"MaximumRetryAttempts": -1, "MaximumRecordAgeInSeconds": -1});
    for members in [json!({}), unset] {
        let policy = harness.mapping_to("http://127.0.0.1:9/", &members).failures;
        assert_eq!((policy.max_retries, policy.max_record_age), (None, None), "{members}");
        assert_eq!((policy.bisect, policy.report_batch_item_failures), (false, None), "{members}");
    }
}

#[tokio::test]
async fn throttles_and_an_unreachable_endpoint_use_up_no_retry() {
    let harness = Harness::start(1);
    harness.produce(0, 1).await;
    let function = Function::start(|number, _| match number {
        0..=4 => Reply::status(429),
        5..=9 => Reply::status(404),
        10 => Reply::error(),
        _ => Reply::ok(),
    })
    .await;
    assert_eq!(harness.drain(harness.mapping(&function, &json!({"MaximumRetryAttempts": 1}))).await, End::Drained);
    assert_eq!(function.sizes().len(), 12);
    assert_eq!(harness.counts().dropped_event_count, 0);
}

#[tokio::test]
async fn a_poison_record_is_found_by_halving() {
    let harness = Harness::start(1);
    harness.produce(0, 4).await;
    let function = Function::failing_on((0, 0)).await;
    let members = json!({"BisectBatchOnFunctionError": true, "MaximumRetryAttempts": 0, "BatchSize": 4});
    assert_eq!(harness.drain(harness.mapping(&function, &members)).await, End::Drained);
    assert_eq!(function.sizes(), [4, 2, 1, 1, 2]);
    assert_eq!(harness.counts().dropped_event_count, 1);
    assert_eq!(harness.committed(1).await, [4]);
}

#[tokio::test]
async fn old_records_are_given_up_before_they_are_sent() {
    let harness = Harness::start(1);
    harness.produce(0, 1).await;
    let function = Function::start(|_, _| Reply::ok()).await;
    let mut mapping = harness.mapping(&function, &json!({"MaximumRecordAgeInSeconds": 60}));
    // AWS's smallest age is a minute, too long to wait for.
    mapping.failures.max_record_age = Some(Duration::ZERO);
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(harness.drain(mapping).await, End::Drained);
    assert_eq!(function.sizes(), [0; 0]);
    assert_eq!((harness.counts().dropped_event_count, harness.committed(1).await), (1, vec![1]));
}

#[tokio::test]
async fn only_reported_records_are_delivered_again_and_block_the_commit() {
    let harness = Harness::start(2);
    harness.produce(0, 6).await;
    harness.produce(1, 6).await;
    let function = Function::start(|_, invocation| {
        let failing = [(0, 2), (0, 4)];
        let failed: Vec<_> = invocation.records.iter().copied().filter(|record| failing.contains(record)).collect();
        Reply::failed(TOPIC, &failed)
    })
    .await;
    let mut running = harness.run(harness.mapping(&function, &partial())).await;
    // Offsets 3 and 5 of partition 0 are done, and still must not be committed.
    harness.until_committed(&[2, 6]).await;
    while function.deliveries_of((0, 4)) < 4 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(harness.committed(2).await, [2, 6]);
    for (record, times) in [((0, 1), 1), ((0, 3), 1), ((0, 5), 1), ((1, 0), 1), ((1, 5), 1)] {
        assert_eq!(function.deliveries_of(record), times, "{record:?}");
    }
    let retries: Vec<_> = function.batches().into_iter().filter(|batch| batch.len() == 2).collect();
    assert!(retries.iter().all(|batch| *batch == [(0, 2), (0, 4)]), "{retries:?}");
    let limits = DrainLimits { records: None, deadline: Some(Duration::from_millis(200)) };
    assert_eq!(running.drain(limits, std::future::pending()).await.unwrap(), End::Deadline);
    within(running.stop()).await;
}

#[tokio::test]
async fn checkpoint_semantics_deliver_everything_from_the_first_reported_record_on() {
    let harness = Harness::start(1);
    harness.produce(0, 5).await;
    let function = Function::first_then(Reply::failed(TOPIC, &[(0, 2)]), Reply::failed(TOPIC, &[])).await;
    let members = json!({"FunctionResponseTypes": [PARTIAL], "Local": {"partialBatchSemantics": "checkpoint"}});
    assert_eq!(harness.drain(harness.mapping(&function, &members)).await, End::Drained);
    assert_eq!(function.batches(), [vec![(0, 0), (0, 1), (0, 2), (0, 3), (0, 4)], vec![(0, 2), (0, 3), (0, 4)]]);
}

#[tokio::test]
async fn a_malformed_answer_repeats_the_whole_batch_and_says_what_is_wrong() {
    let identifier = |identifier: Value| json!({"batchItemFailures": [{"itemIdentifier": identifier}]}).to_string();
    let cases = [
        (identifier(json!({"partition": "orders-0", "offset": 99})), "no offset 99"),
        (identifier(json!({"partition": "orders", "offset": 0})), "no partition \"orders\""),
        (identifier(json!("orders-0@0")), "is a JSON string"),
        (identifier(json!({"topic-partition": "orders-0", "offset": 0})), "name it \"partition\""),
        (identifier(Value::Null), "itemIdentifier is null"),
        (identifier(json!({"partition": "orders-0", "offset": "0"})), "must be a whole number"),
        ("oops".to_owned(), "not JSON"),
    ];
    let harness = Harness::start(1);
    harness.produce(0, 2).await;
    let script: Vec<_> = cases.iter().map(|(body, _)| body.clone()).collect();
    let function = Function::start(move |number, _| Reply::body(script.get(number).cloned().unwrap_or_default())).await;
    assert_eq!(harness.drain(harness.mapping(&function, &partial())).await, End::Drained);
    assert_eq!(function.sizes(), vec![2; cases.len() + 1]);
    for (line, (body, mistake)) in harness.lines().iter().zip(&cases) {
        assert_eq!(line["outcome"], "malformed_answer", "{body}");
        assert!(line["detail"].as_str().unwrap().contains(mistake), "{body}: {line}");
    }
}

#[tokio::test]
async fn answers_that_mean_done() {
    for body in ["", "null", "{}", r#"{"batchItemFailures":[]}"#, r#"{"batchItemFailures":null}"#] {
        let harness = Harness::start(1);
        harness.produce(0, 2).await;
        let function = Function::start(move |_, _| Reply::body(body)).await;
        assert_eq!(harness.drain(harness.mapping(&function, &partial())).await, End::Drained, "{body}");
        assert_eq!(function.sizes(), [2], "{body}");
        assert_eq!(harness.committed(1).await, [2], "{body}");
    }
}

#[tokio::test]
async fn without_report_batch_item_failures_the_answer_is_not_looked_at() {
    let harness = Harness::start(1);
    harness.produce(0, 2).await;
    let function = Function::start(|_, _| Reply::failed(TOPIC, &[(0, 0)])).await;
    assert_eq!(harness.drain(harness.mapping(&function, &json!({}))).await, End::Drained);
    assert_eq!(function.sizes(), [2]);
}

#[tokio::test]
async fn drain_gives_up_on_an_endpoint_that_never_comes_up() {
    let harness = Harness::start(1);
    harness.produce(0, 1).await;
    // A port that was free a moment ago, and that nobody listens on.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mapping = harness.mapping_to(&format!("http://127.0.0.1:{port}/"), &json!({}));
    assert_eq!(within(harness.drain(mapping)).await, End::Unreachable);
    assert_eq!(harness.committed(1).await, [-1]);
    assert!(harness.outcomes().iter().all(|outcome| outcome == "unreachable"));
}

#[tokio::test]
async fn records_that_cannot_be_delivered_are_told_once_with_what_to_do() {
    let harness = Harness::start(2);
    harness.produce(0, 2).await;
    harness.produce(1, 1).await;
    let (function, repaired) = Function::broken().await;
    let members = json!({"Local": {"singlePartitionBatches": true}});
    let running = harness.run(harness.mapping(&function, &members)).await;
    let stalled = || harness.lines().into_iter().filter(|line| line["event"] == "stalled").collect::<Vec<_>>();
    until("it is told", || !stalled().is_empty()).await;
    let before = function.sizes().len();
    // Of both partitions, which fail on.
    until("they fail again", || function.sizes().len() > before + 10).await;
    let [line] = stalled().try_into().unwrap();
    let expected = json!(["consumer", TOPIC, "function_error"]);
    assert_eq!(json!([line["function"], line["topic"], line["cause"]]), expected, "{line}");
    assert!(line["waiting_s"].as_u64().unwrap() >= 2 && line["records"].as_u64().unwrap() >= 1, "{line}");
    assert!(line["advice"].as_str().unwrap().contains("--maximum-retry-attempts"), "{line}");
    repaired.store(true, std::sync::atomic::Ordering::SeqCst);
    harness.until_committed(&[2, 1]).await;
    within(running.stop()).await;
}

#[tokio::test]
async fn commits_that_fail_are_repeated() {
    let harness = Harness::start(1);
    harness.produce(0, 3).await;
    let function = Function::start(|_, _| Reply::ok()).await;
    harness.brokers.refuse_commits(2);
    assert_eq!(
        tokio::time::timeout(TIMEOUT, harness.drain(harness.mapping(&function, &json!({})))).await.unwrap(),
        End::Drained
    );
    assert_eq!((function.sizes(), harness.committed(1).await), (vec![3], vec![3]));
    assert!(harness.counts().commit_error_count >= 1);
    assert_eq!(harness.counts().committed_event_count, 3);
}

#[tokio::test]
async fn brokers_that_go_away_and_come_back_are_read_on() {
    use msk_local::brokers::Which;
    let harness = Harness::start(2);
    let function = Function::start(|_, _| Reply::ok()).await;
    let running = harness.run(harness.mapping(&function, &json!({}))).await;
    harness.produce(0, 2).await;
    harness.until_committed(&[2, -1]).await;
    harness.brokers.down(Which::All).unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    harness.brokers.up(Which::All).unwrap();
    harness.produce(1, 3).await;
    harness.until_committed(&[2, 3]).await;
    within(running.stop()).await;
}

#[tokio::test]
async fn drain_keeps_its_deadline_while_the_brokers_are_silent() {
    use msk_local::brokers::Which;
    let harness = Harness::start(2);
    let function = Function::start(|_, _| Reply::error()).await;
    let mapping = harness.mapping(&function, &json!({}));
    let (mut first, mut second) = (harness.run(mapping.clone()).await, harness.run(mapping).await);
    let never = std::future::pending::<()>;
    let patient = DrainLimits { records: None, deadline: Some(TIMEOUT) };
    let (one, other) = tokio::join!(first.drain(patient, never()), second.drain(patient, never()));
    assert_eq!((one.unwrap(), other.unwrap()), (End::Drained, End::Drained));
    // One member has something to do from now on; the other one asks the brokers how far that is.
    harness.produce(0, 1).await;
    until("the invocation", || function.deliveries_of((0, 0)) > 0).await;
    harness.brokers.down(Which::All).unwrap();
    let started = Instant::now();
    let limits = DrainLimits { records: None, deadline: Some(Duration::from_secs(1)) };
    let (one, other) = tokio::join!(first.drain(limits, never()), second.drain(limits, never()));
    assert_eq!((one.unwrap(), other.unwrap()), (End::Deadline, End::Deadline));
    // An answer is waited for ten seconds.
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    harness.brokers.up(Which::All).unwrap();
    within(first.stop()).await;
    within(second.stop()).await;
}
