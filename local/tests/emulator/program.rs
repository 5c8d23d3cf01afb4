//! The program as its user runs it: output, signals, exit codes, and recovery after a kill.

use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use msk_test_kit::Process;
use msk_test_kit::process::Signal;
use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::{Value, json};

use super::function::{Function, Reply};
use super::harness::{Harness, TIMEOUT, TOPIC, until};

/// Starts `msk-local --format json`.
pub(crate) fn start(arguments: &[&str]) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_msk-local"));
    Process::start("msk-local", command.args(["--format", "json"]).args(arguments))
}

/// A mapping's file and its folder.
pub(crate) fn config(harness: &Harness, url: &str, members: &Value) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mapping.json");
    std::fs::write(&path, harness.document_text(url, members)).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_between_success_and_commit_redelivers_and_skips_nothing() {
    let harness = Harness::start(2);
    harness.produce(0, 4).await;
    harness.produce(1, 4).await;
    let function = Function::start(|_, _| Reply::ok()).await;
    let (_folder, path) = config(&harness, &function.url, &json!({"BatchSize": 3}));
    // No commit succeeds until the program is dead.
    harness.brokers.refuse_commits(u32::MAX);
    let mut first = start(&["esm", "run", &path]);
    until("everything is delivered", || function.batches().concat().len() == 8).await;
    first.line(|line| line["outcome"] == "done");
    first.kill();
    harness.brokers.refuse_commits(0);
    assert_eq!(harness.committed(2).await, [-1, -1]);
    harness.produce(0, 1).await;
    let _second = start(&["esm", "run", &path]);
    harness.until_committed(&[5, 4]).await;
    for partition in 0..2 {
        for offset in 0..4 {
            assert!(function.deliveries_of((partition, offset)) >= 2, "{partition}@{offset}");
        }
    }
    assert_eq!(function.deliveries_of((0, 4)), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn up_runs_brokers_and_mappings_until_it_is_asked_to_stop() {
    let function = Function::start(|_, _| Reply::ok()).await;
    let mut up = start(&[
        "up",
        "--topics",
        "orders:2,payments:1",
        "--function",
        "consumer",
        "--invoke-url",
        &function.url,
        "--records",
    ]);
    let ready = up.line(|_| true);
    assert_eq!(ready["ready"], true);
    assert_eq!(ready["topics"], json!(["orders", "payments"]));
    assert!(ready["note"].as_str().unwrap().contains("64 MiB"), "{ready}");
    let servers = ready["bootstrap_servers"].as_str().unwrap();
    let producer: FutureProducer = ClientConfig::new().set("bootstrap.servers", servers).create().unwrap();
    for topic in ["orders", "payments"] {
        let sent = Instant::now();
        producer.send(FutureRecord::to(topic).key("k").payload("v"), TIMEOUT).await.unwrap();
        let line = up.line(|line| line["event"] == "record");
        assert_eq!((&line["topic"], &line["offset"], &line["outcome"]), (&json!(topic), &json!(0), &json!("done")));
        assert!(sent.elapsed() < Duration::from_secs(2), "{:?}", sent.elapsed());
    }
    up.terminate();
    let summary = up.line(|line| line["event"] == "summary");
    assert_eq!((&summary["end"], &summary["CommittedEventCount"]), (&json!("stopped"), &json!(2)));
    assert_eq!(up.end().code().unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_function_of_up_has_every_record_from_a_group_of_its_own() {
    let function = Function::start(|_, _| Reply::ok()).await;
    let flags = ["--functions", "consumer,payments", "--invoke-url", &function.url, "--records"];
    let mut up = start(&[&["up", "--topics", "orders:1"], &flags[..]].concat());
    let ready = up.line(|_| true);
    assert_eq!(ready["topics"], json!(["orders"]));
    let servers = ready["bootstrap_servers"].as_str().unwrap();
    let producer: FutureProducer = ClientConfig::new().set("bootstrap.servers", servers).create().unwrap();
    producer.send(FutureRecord::to("orders").key("k").payload("v"), TIMEOUT).await.unwrap();
    let mut by = [(); 2].map(|()| {
        let line = up.line(|line| line["event"] == "record");
        assert_eq!((&line["topic"], &line["offset"], &line["outcome"]), (&json!("orders"), &json!(0), &json!("done")));
        line["function"].as_str().unwrap().to_owned()
    });
    by.sort();
    assert_eq!(by, ["consumer", "payments"]);
    up.terminate();
    assert_eq!(up.line(|line| line["event"] == "summary")["CommittedEventCount"], 2);
    assert_eq!(up.end().code(), Some(0));
}

#[test]
fn functions_that_would_share_a_group_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mapping.yaml");
    std::fs::write(&path, "AmazonManagedKafkaEventSourceConfig: {ConsumerGroupId: mine}\n").unwrap();
    let path = path.to_str().unwrap();
    for (arguments, words) in [
        (["up", "--topics", "orders", "--functions", "a,a", "--records"].as_slice(), "names `a` twice"),
        (&["up", path, "--topics", "orders", "--functions", "a,b"], "a consumer group of its own"),
        (&["up", "--topics", "orders", "--functions", "a", "--consumer-group-id", "mine"], "--consumer-group-id"),
        (&["up", "--topics", "orders", "--functions", "a", "--function-name", "b"], "--function-name"),
    ] {
        let output = run(arguments);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && text.contains(words), "{arguments:?}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drain_says_with_its_exit_code_how_it_went() {
    let harness = Harness::start(1);
    let always_fails = Function::start(|_, _| Reply::error()).await;
    let works = Function::start(|_, _| Reply::ok()).await;
    let cases: &[(&str, Value, &[&str], &str, i32)] = &[
        (&always_fails.url, json!({}), &["--deadline", "1"], "deadline", 3),
        ("http://127.0.0.1:9/", json!({}), &[], "unreachable", 5),
        (
            &always_fails.url,
            json!({"MaximumRetryAttempts": 1, "BatchSize": 1}),
            &["--max-records", "1"],
            "records_reached",
            4,
        ),
        (&works.url, json!({}), &[], "drained", 0),
    ];
    harness.produce(0, 5).await;
    for (url, members, flags, end, code) in cases {
        let (_folder, path) = config(&harness, url, members);
        let mut drain = start(&[&["esm", "drain", &path], *flags].concat());
        assert_eq!(drain.line(|line| line["event"] == "summary")["end"], *end);
        assert_eq!(drain.end().code().unwrap(), *code, "{end}");
    }
    assert_eq!(harness.committed(1).await, [5]);
}

/// It ends when so many are committed; what was delivered meanwhile is committed, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bound_of_records_ends_soon_after_it_is_reached() {
    let harness = Harness::start(1);
    harness.produce(0, 200).await;
    let function = Function::start(|_, _| Reply::ok().after(Duration::from_millis(100))).await;
    let (_folder, path) = config(&harness, &function.url, &json!({"BatchSize": 5}));
    let output = run(&["esm", "drain", &path, "--max-records", "10"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let committed = harness.committed(1).await[0];
    // All of them would take 4 s.
    assert!((10..100).contains(&committed) && committed % 5 == 0, "{committed}");
}

/// A group that has committed goes on from there, whatever position the mapping names
/// (<https://docs.aws.amazon.com/lambda/latest/dg/kafka-starting-positions.html>).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_starting_position_counts_for_a_new_group_only() {
    let harness = Harness::start(1);
    harness.produce(0, 3).await;
    let function = Function::start(|_, _| Reply::ok()).await;
    let (_folder, path) = config(&harness, &function.url, &json!({"StartingPosition": "LATEST"}));
    assert_eq!(run(&["esm", "drain", &path]).status.code(), Some(0));
    assert_eq!((function.sizes(), harness.committed(1).await), (Vec::new(), vec![3]));
    harness.produce(0, 1).await;
    assert_eq!(run(&["esm", "drain", &path, "--starting-position", "TRIM_HORIZON"]).status.code(), Some(0));
    assert_eq!(function.batches().concat(), [(0, 3)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_dropped_is_told_on_standard_error() {
    let harness = Harness::start(1);
    harness.produce(0, 1).await;
    let function = Function::start(|_, _| Reply::error()).await;
    let (_folder, path) = config(&harness, &function.url, &json!({"MaximumRetryAttempts": 0}));
    let output = run(&["esm", "drain", &path]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(4) && told.contains("records are dropped"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn brokers_that_are_full_say_so() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_msk-local"));
    command.args(["--format", "json", "brokers", "--topics", "large:1"]).stderr(Stdio::piped());
    let mut brokers = Process::start("msk-local", &mut command);
    let ready = brokers.line(|line| line["bootstrap_servers"].is_string());
    let mut config = ClientConfig::new();
    let producer: FutureProducer =
        config.set("bootstrap.servers", ready["bootstrap_servers"].as_str().unwrap()).create().unwrap();
    let value = vec![b'x'; 900_000];
    // Together above the 64 MiB that they keep.
    for _ in 0..76 {
        producer.send(FutureRecord::<[u8], _>::to("large").payload(&value), TIMEOUT).await.unwrap();
    }
    brokers.terminate();
    assert_eq!(brokers.end().code(), Some(0));
    let told = brokers.rest();
    assert!(told.iter().any(|line| line.contains("the embedded brokers are full")), "{told:?}");
}

#[tokio::test]
async fn a_missing_topic_and_missing_brokers_are_errors_that_say_what_to_change() {
    let harness = Harness::start(1);
    let started = Instant::now();
    let flags = ["--function", "consumer", "--bootstrap-servers"];
    let servers = harness.brokers.bootstrap_servers();
    let run = |topic: &str, servers: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_msk-local"))
            .args(["esm", "run", "--topic", topic])
            .args(flags)
            .arg(servers)
            .env_remove("RUST_LOG")
            .output()
            .unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, text) = run("missing", servers);
    assert_eq!((code, text.lines().count()), (1, 1), "{text}");
    assert!(text.contains("topic `missing` does not exist"), "{text}");
    // Many connections are refused before the program gives up; it says so once.
    let (code, text) = run(TOPIC, "127.0.0.1:1,127.0.0.1:2,127.0.0.1:3");
    assert_eq!((code, text.lines().count()), (1, 1), "{text}");
    for part in ["127.0.0.1:1,127.0.0.1:2,127.0.0.1:3 do not answer", "Connection refused", "check --bootstrap-servers"]
    {
        assert_eq!(text.matches(part).count(), 1, "{part}: {text}");
    }
    assert!(started.elapsed() < TIMEOUT);
}

#[test]
fn a_cause_is_said_once_and_settings_that_the_client_refuses_are_no_silent_brokers() {
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_msk-local")).args(arguments).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, text) = run(&["esm", "validate", "no/such/file.json"]);
    assert!(code == 1 && text.matches("No such file").count() == 1, "{text}");
    let flags = ["--topic", TOPIC, "--function", "consumer", "--bootstrap-servers", "127.0.0.1:1"];
    let (code, text) = run(&[&["esm", "run", "--kafka-option", "no.such.option=1"][..], &flags].concat());
    assert!(code == 1 && text.matches("No such configuration property").count() == 1, "{text}");
    assert!(text.contains("check --kafka-option (Local.kafkaOptions)") && !text.contains("do not answer"), "{text}");
}

#[test]
fn a_signal_does_not_wait_for_brokers_that_are_silent() {
    for (command, code) in [("run", 0), ("drain", 130)] {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = silent.local_addr().unwrap().to_string();
        let (send, connected) = channel();
        std::thread::spawn(move || send.send(silent.accept()));
        let flags = ["--topic", TOPIC, "--function", "consumer", "--bootstrap-servers", &address];
        let mut program = start(&[&["esm", command][..], &flags].concat());
        // It listens for signals before it connects.
        let _connection = connected.recv_timeout(TIMEOUT).unwrap();
        program.signal(Signal::SIGINT).unwrap();
        assert_eq!(program.end().code().unwrap(), code, "{command}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn never_reached_is_exit_5_by_default_too() {
    let harness = Harness::start(1);
    harness.produce(0, 1).await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://user:hidden@127.0.0.1:{port}/");
    let servers = harness.brokers.bootstrap_servers();
    let flags = ["--topic", TOPIC, "--invoke-url", &url, "--bootstrap-servers", servers, "--retry-backoff", "0.1"];
    // The deadline passes long before the time to start does.
    let output =
        run(&[&["esm", "drain", "--deadline", "5", "--kafka-option", "group.protocol=consumer"][..], &flags].concat());
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(5), "{text}");
    assert!(text.contains("the function never answered") && text.contains("--invoke-url"), "{text}");
    assert!(text.contains(&format!("http://127.0.0.1:{port}/")) && !text.contains("hidden"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_timestamp_begins_with_the_first_record_of_that_time() {
    let harness = Harness::start(2);
    for (partition, ms) in [(0, 0), (0, 1_000), (0, 2_500), (1, 500), (1, 1_999)] {
        harness.send_at(partition, 1_700_000_000_000 + ms).await;
    }
    let function = Function::start(|_, _| Reply::ok()).await;
    let flags = ["--topic", TOPIC, "--function", "consumer", "--invoke-url", &function.url];
    let flags = [&flags[..], &["--bootstrap-servers", harness.brokers.bootstrap_servers()]].concat();
    // 1,700,000,001 seconds since 1970.
    let position = ["--starting-position", "AT_TIMESTAMP", "--starting-position-timestamp", "2023-11-14T22:13:21Z"];
    let output = run(&[&["esm", "drain"][..], &flags, &position].concat());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8(output.stderr).unwrap());
    let mut delivered = function.batches().concat();
    delivered.sort_unstable();
    assert_eq!(delivered, [(0, 1), (0, 2), (1, 1)]);
}

/// Two mappings of one endpoint share its environments.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bound_of_an_endpoint_holds_for_all_topics() {
    let function = Function::start(|_, _| Reply::ok().after(Duration::from_millis(50))).await;
    let flags =
        ["--function", "consumer", "--invoke-url", &function.url, "--max-concurrency", "1", "--batch-size", "1"];
    let mut up = start(&[&["up", "--topics", "orders:2,payments:2"][..], &flags].concat());
    let ready = up.line(|_| true);
    let servers = ready["bootstrap_servers"].as_str().unwrap();
    let producer: FutureProducer = ClientConfig::new().set("bootstrap.servers", servers).create().unwrap();
    for number in 0..16 {
        let topic = if number % 2 == 0 { "orders" } else { "payments" };
        producer.send(FutureRecord::to(topic).key("k").payload("v").partition(number / 2 % 2), TIMEOUT).await.unwrap();
    }
    until("everything is delivered", || function.batches().concat().len() == 16).await;
    up.terminate();
    assert_eq!(up.end().code(), Some(0));
    assert_eq!(function.most_at_once(), 1);
}

#[test]
fn up_takes_a_configuration_file_and_needs_no_name_for_one_url() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mapping.yaml");
    std::fs::write(&path, "Topics: [payments]\nStartingPosition: TRIM_HORIZON\nBatchSize: 7\n").unwrap();
    let url = "http://127.0.0.1:9/2015-03-31/functions/function/invocations";
    // The last of two equal flags counts.
    let flags = ["--batch-size", "0", "--batch-size", "5", "--invoke-url", url];
    let mut up = start(&[&["up", path.to_str().unwrap()][..], &flags].concat());
    assert_eq!(up.line(|_| true)["topics"], json!(["payments"]));
    up.terminate();
    assert_eq!(up.end().code(), Some(0));
}

/// Embedded brokers ask nobody who they are; a registry does.
#[test]
fn up_forgets_how_to_sign_in_at_the_brokers_and_not_at_the_registry() {
    let folder = tempfile::tempdir().unwrap();
    let (path, secret) = (folder.path().join("mapping.json"), folder.path().join("secret.json"));
    std::fs::write(&secret, r#"{"username": "reader", "password": "hidden"}"#).unwrap();
    let [brokers, registry] =
        ["brokers", "registry"].map(|name| format!("arn:aws:secretsmanager:eu-west-1:1:secret:{name}"));
    let mapping = json!({
        "FunctionName": "fn", "Topics": ["orders"], "StartingPosition": "TRIM_HORIZON",
        "SourceAccessConfigurations": [{"Type": "SASL_SCRAM_512_AUTH", "URI": brokers}],
        "AmazonManagedKafkaEventSourceConfig": {"SchemaRegistryConfig": {
            "SchemaRegistryURI": "https://127.0.0.1:9/", "EventRecordFormat": "JSON",
            "AccessConfigs": [{"Type": "BASIC_AUTH", "URI": registry}],
            "SchemaValidationConfigs": [{"Attribute": "VALUE"}],
        }},
        "Local": {"invokeUrl": "http://127.0.0.1:9/", "secrets": {&brokers: "not-there.json", &registry: secret}},
    });
    std::fs::write(&path, mapping.to_string()).unwrap();
    let mut up = start(&["up", path.to_str().unwrap()]);
    assert_eq!(up.line(|_| true)["topics"], json!(["orders"]));
    up.terminate();
    assert_eq!(up.end().code(), Some(0));
}

#[test]
fn a_missing_destination_topic_names_the_flag_that_creates_it() {
    let flags = ["--topics", TOPIC, "--function", "consumer", "--on-failure-destination", "kafka://dead"];
    let output = run(&[&["up"][..], &flags].concat());
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && text.contains("--other-topics dead"), "{text}");
}

/// Runs `msk-local` to its end.
pub(crate) fn run(arguments: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_msk-local")).args(arguments).env_remove("RUST_LOG").output().unwrap()
}
