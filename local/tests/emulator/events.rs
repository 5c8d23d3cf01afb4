//! Single events: printed, saved, and sent again.

use std::process::{Command, Output};

use msk_local::esm::running_mapping::End;
use msk_shared::event::MskEvent;
use serde_json::json;

use super::function::{Function, Reply};
use super::harness::{Harness, TOPIC};

/// `msk-local esm` with these arguments, to its end.
fn esm(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_msk-local"));
    command.args(["--format", "json", "esm"]).args(arguments).env_remove("RUST_LOG").output().unwrap()
}

/// The events that it printed.
fn events(output: &Output) -> Vec<MskEvent> {
    assert!(output.status.success(), "{output:?}");
    let text = std::str::from_utf8(&output.stdout).unwrap();
    text.lines().map(|line| MskEvent::parse(line.to_owned()).unwrap()).collect()
}

fn places(event: &MskEvent) -> Vec<(i32, i64)> {
    event.records().map(|record| (record.partition(), record.offset())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn render_prints_what_the_mapping_would_send_and_changes_nothing() {
    let harness = Harness::start(2);
    harness.produce(0, 5).await;
    harness.produce(1, 3).await;
    let servers = harness.brokers.bootstrap_servers();
    let flags = ["--topics", TOPIC, "--function", "consumer", "--bootstrap-servers", servers];
    let rendered = events(&esm(&[&["render", "--batch-size", "4"][..], &flags].concat()));
    assert_eq!(rendered.iter().map(MskEvent::len).collect::<Vec<_>>(), [4, 4]);
    let mut all: Vec<_> = rendered.iter().flat_map(places).collect();
    all.sort_unstable();
    assert_eq!(all, [(0, 0), (0, 1), (0, 2), (0, 3), (0, 4), (1, 0), (1, 1), (1, 2)]);
    assert_eq!(rendered[0].bootstrap_servers.as_deref(), Some(servers));
    assert_eq!(harness.committed(2).await, [-1, -1]);
    let some = events(&esm(&[&["render", "--max-records", "3"][..], &flags].concat()));
    assert_eq!(some.iter().map(MskEvent::len).sum::<usize>(), 3);
    // Behind what the group has committed.
    let function = Function::start(|_, _| Reply::ok()).await;
    assert_eq!(harness.drain(harness.mapping(&function, &json!({}))).await, End::Drained);
    assert_eq!(esm(&[&["render"][..], &flags].concat()).stdout, b"");
    harness.produce(1, 1).await;
    assert_eq!(places(&events(&esm(&[&["render"][..], &flags].concat()))[0]), [(1, 3)]);
    let latest = ["--consumer-group-id", "another", "--starting-position", "LATEST"];
    assert_eq!(esm(&[&["render"][..], &flags, &latest].concat()).stdout, b"");
}

#[test]
fn render_makes_a_sample_event_from_flags_alone() {
    let sample = ["--value", r#"{"n":1}"#, "--key", "k", "--header", "a=b=c", "--partition", "2", "--offset", "7"];
    let rendered = events(&esm(&[&["render", "--topics", "a-b", "--count", "2"][..], &sample].concat()));
    let records: Vec<_> = rendered[0].records().collect();
    assert_eq!(records.iter().map(|record| record.id().to_string()).collect::<Vec<_>>(), ["a-b-2@7", "a-b-2@8"]);
    assert_eq!(records[0].key().unwrap().as_deref(), Some(b"k".as_slice()));
    assert_eq!(records[0].value().unwrap().as_deref(), Some(br#"{"n":1}"#.as_slice()));
    assert_eq!(records[0].header_text("a"), Some("b=c"));
    assert!(records[0].timestamp_ms().unwrap() > 1_700_000_000_000);
    let tombstone = events(&esm(&["render", "--topics", "orders", "--tombstone", "--key", "k"]));
    assert!(tombstone[0].records().next().unwrap().is_tombstone());
    assert_eq!(
        esm(&["render", "--topics", "orders", "--value", "v", "--bootstrap-servers", "x:1"]).status.code(),
        Some(2)
    );
    let large = "v".repeat(100_000);
    let output = esm(&["render", "--topics", "orders", "--count", "100", "--value", &large]);
    assert!(
        output.status.code() == Some(1) && String::from_utf8_lossy(&output.stderr).contains("6291456"),
        "{output:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recorded_events_are_replayed_byte_for_byte() {
    let harness = Harness::start(1);
    harness.produce(0, 5).await;
    let folder = tempfile::tempdir().unwrap();
    let (saved, servers) = (folder.path().join("saved"), harness.brokers.bootstrap_servers());
    let flags = ["--topics", TOPIC, "--batch-size", "3", "--bootstrap-servers", servers];
    let recorded = esm(&[&["record", "--folder", saved.to_str().unwrap()][..], &flags].concat());
    assert!(recorded.status.success(), "{recorded:?}");
    let files = ["orders-0@0.json", "orders-0@3.json"].map(|name| saved.join(name).to_str().unwrap().to_owned());
    let function = Function::start(|number, event| match number {
        0 => Reply::status(404),
        3 => Reply::failed(TOPIC, &event.records[..1]),
        _ => Reply::ok(),
    })
    .await;
    let flags = ["--function", "consumer", "--invoke-url", &function.url, "--retry-backoff", "0.01"];
    let replayed = esm(&[&["replay", &files[0], &files[1]][..], &flags].concat());
    assert_eq!(replayed.status.code(), Some(0), "{replayed:?}");
    let sent: Vec<_> = function.invocations().into_iter().skip(1).map(|received| received.body).collect();
    let on_disk = files.each_ref().map(|file| std::fs::read(file).unwrap());
    assert!(sent.iter().zip(&on_disk).all(|(sent, saved)| sent == saved) && sent.len() == 2);
    // A record fails.
    let replayed = esm(&[&["replay", &files[0], "--report-batch-item-failures"][..], &flags].concat());
    assert_eq!(replayed.status.code(), Some(4), "{replayed:?}");
    let line: serde_json::Value = serde_json::from_slice(&replayed.stdout).unwrap();
    assert_eq!(
        (&line["outcome"], &line["retried"], &line["offsets"]),
        (&json!("reported"), &json!(1), &json!("orders-0@0..2"))
    );
    assert_eq!(harness.committed(1).await, [-1], "nothing of this concerns the group");
}

#[test]
fn replay_says_when_the_function_is_not_there_and_when_a_file_is_no_event() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    std::fs::write(path, "{}").unwrap();
    let output = esm(&["replay", path, "--function", "consumer"]);
    assert!(
        output.status.code() == Some(1) && String::from_utf8_lossy(&output.stderr).contains("is not an MSK event"),
        "{output:?}"
    );
    std::fs::write(path, esm(&["render", "--topics", TOPIC]).stdout).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}/");
    let output = esm(&["replay", path, "--invoke-url", &url, "--startup-grace", "0.2", "--retry-backoff", "0.1"]);
    assert_eq!(output.status.code(), Some(5), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("--invoke-url"), "{output:?}");
}
