//! Faults on request: what each kind does, that a seed repeats them, and what is refused.

use std::collections::BTreeSet;
use std::time::Duration;

use msk_local::esm::running_mapping::End;
use serde_json::{Value, json};

use super::function::{Function, Reply};
use super::harness::Harness;
use super::program::{config, run};

/// The members of a mapping that makes these faults, and no others.
fn members(faults: &Value) -> Value {
    let mut chaos = json!({
        "seed": 5, "duplicatePercent": 0, "rebalancePercent": 0, "lostCommitPercent": 0, "throttlePercent": 0,
        "timeoutPercent": 0, "lostResponsePercent": 0,
    });
    chaos.as_object_mut().unwrap().extend(faults.as_object().unwrap().clone());
    // Batches are always full and of one partition, so they always begin with the same records.
    json!({
        "BatchSize": 10, "MaximumBatchingWindowInSeconds": 300,
        "Local": {"singlePartitionBatches": true, "chaos": chaos},
    })
}

/// The faults of a run, by place.
type Faults = BTreeSet<(String, i64, i64, i64)>;

fn faults(lines: &[Value]) -> Faults {
    let number = |line: &Value, member: &str| line[member].as_i64().unwrap();
    let faults = lines.iter().filter(|line| line["event"] == "chaos").map(|line| {
        assert_eq!((&line["function"], &line["topic"]), (&json!("consumer"), &json!("orders")), "{line}");
        let fault = line["fault"].as_str().unwrap().to_owned();
        (fault, number(line, "partition"), number(line, "offset"), number(line, "attempt"))
    });
    faults.collect()
}

/// Drains 200 records of two partitions with these faults. All are delivered and committed, whatever happens.
async fn drained(members: &Value, function: &Function) -> Harness {
    let harness = Harness::start(2);
    harness.produce_many(0, 100).await;
    harness.produce_many(1, 100).await;
    assert_eq!(harness.drain(harness.mapping(function, members)).await, End::Drained);
    assert_eq!(harness.committed(2).await, [100, 100]);
    let seen: BTreeSet<_> = function.batches().concat().into_iter().collect();
    assert_eq!(seen.len(), 200, "every record was delivered");
    let told = faults(&harness.lines()).len() as u64;
    assert!(told > 0, "no fault was made");
    let counted: u64 = harness.counts().chaos_faults.values().sum();
    assert!(counted >= told, "{counted} counted, {told} told");
    harness
}

async fn ok() -> Function {
    Function::start(|_, _| Reply::ok()).await
}

#[tokio::test]
async fn throttles_and_timeouts_keep_the_event_from_the_function() {
    for (fault, outcome) in [("throttle", "throttled"), ("timeout", "timeout")] {
        let function = ok().await;
        let harness = drained(&members(&json!({(format!("{fault}Percent")): 50})), &function).await;
        assert_eq!(function.batches().len(), 20, "each batch reached the function once");
        let missed = harness.outcomes().iter().filter(|told| *told == outcome).count();
        assert!(missed > 3 && missed as u64 == harness.counts().chaos_faults[fault], "{missed}: {fault}");
    }
}

#[tokio::test]
async fn duplicates_and_lost_responses_give_the_function_more_than_it_needs() {
    for (fault, member) in [("duplicate", "duplicatePercent"), ("lost_response", "lostResponsePercent")] {
        let function = ok().await;
        let harness = drained(&members(&json!({(member): 50})), &function).await;
        let made = harness.counts().chaos_faults[fault];
        assert_eq!(function.batches().len() as u64, 20 + made, "{fault}");
        let timeouts = harness.outcomes().iter().filter(|told| *told == "timeout").count() as u64;
        assert_eq!(timeouts, if fault == "lost_response" { made } else { 0 }, "{fault}");
    }
}

#[tokio::test]
async fn a_lost_commit_is_counted_and_repeated() {
    let function = ok().await;
    let harness = drained(&members(&json!({"lostCommitPercent": 60})), &function).await;
    let counts = harness.counts();
    assert_eq!(counts.commit_error_count, counts.chaos_faults["lost_commit"]);
    assert_eq!(counts.committed_event_count, 200);
    assert_eq!(function.batches().len(), 20, "nothing is delivered again for that alone");
}

/// The batch in flight is delivered again, by whoever has the partition then.
async fn a_rebalance_comes_in_the_middle_of_a_batch(protocol: &str) {
    // On a busy machine a member takes many times the usual few milliseconds to lose its partitions.
    let function = Function::start(|_, _| Reply::ok().after(Duration::from_millis(300))).await;
    let mut members = members(&json!({"rebalancePercent": 10}));
    members["Local"]["kafkaOptions"] = json!({"group.protocol": protocol});
    let harness = drained(&members, &function).await;
    let made = harness.counts().chaos_faults["rebalance"];
    assert!(made > 0 && function.batches().len() > 20, "{made} rebalances, {} invocations", function.batches().len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebalance_comes_in_the_middle_of_a_batch_with_the_classic_protocol() {
    a_rebalance_comes_in_the_middle_of_a_batch("classic").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebalance_comes_in_the_middle_of_a_batch_with_the_consumer_protocol() {
    a_rebalance_comes_in_the_middle_of_a_batch("consumer").await;
}

#[tokio::test]
async fn a_seed_repeats_its_faults_however_fast_the_function_is() {
    let faults_with = async |seed: i64, pause: u64| {
        let function = Function::start(move |_, _| Reply::ok().after(Duration::from_millis(pause))).await;
        let percent = json!({
            "seed": seed, "duplicatePercent": 20, "throttlePercent": 20, "timeoutPercent": 20, "lostResponsePercent": 20,
        });
        faults(&drained(&members(&percent), &function).await.lines())
    };
    let first = faults_with(5, 0).await;
    assert_eq!(first, faults_with(5, 7).await);
    assert_ne!(first, faults_with(6, 0).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn impossible_faults_are_refused_by_name_and_a_seed_alone_is_enough() {
    let harness = Harness::start(1);
    let (_folder, path) = config(&harness, "http://127.0.0.1:9/", &json!({}));
    let validate = |flags: &[&str]| {
        let output = run(&[&["esm", "validate", &path], flags].concat());
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    for (flags, told) in [
        (&["--chaos-timeout", "5"][..], "Local.chaos.seed (--chaos): required"),
        (
            &["--chaos", "1", "--chaos-throttle", "90.5"],
            "Local.chaos.throttlePercent (--chaos-throttle): 90.5 is out of range",
        ),
        (&["--chaos", "1", "--chaos-duplicate", "nan"], "--chaos-duplicate"),
        (&["--chaos", "1", "--chaos-rebalance", "101"], "from 0 to 100 percent"),
        (&["--chaos", "1", "--chaos-lost-commit=-1"], "--chaos-lost-commit"),
        (&["--chaos=-1"], "Local.chaos.seed (--chaos)"),
    ] {
        let (code, text) = validate(flags);
        assert!(code == 1 && text.contains(told), "{flags:?}: {text}");
    }
    assert_eq!(validate(&["--chaos", "1"]), (0, String::new()));
    let members = json!({"Local": {"chaos": {"seed": 1, "duplicates": 3, "throttlePercent": "often"}}});
    let (_folder, path) = config(&harness, "http://127.0.0.1:9/", &members);
    let text = String::from_utf8(run(&["esm", "validate", &path]).stderr).unwrap();
    assert!(text.contains("Local.chaos.duplicates") && text.contains("Local.chaos.throttlePercent"), "{text}");
}
