//! Stage `peers`: what others have published as clients sends to `producer --http`, and what is read back is what it sent.
//! Each client is a script in this folder with two commands: `send URL` sends, `check FILE` gets the records as JSON and
//! fails if they are not what it sent.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use msk_test_kit::{PATIENCE, Process};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::{Value, json};

use crate::support::{Brokers, brokers, listening, producer_of};

/// Runs a script of this folder; both variables are set by the stage.
fn script(name: &str) -> Command {
    let (program, variable) = match name.rsplit_once('.') {
        Some((_, "py")) => (variable("PEERS_PYTHON"), None),
        _ => ("node".to_owned(), Some(("NODE_PATH", variable("PEERS_NODE_MODULES")))),
    };
    let mut command = Command::new(program);
    command.arg(format!("{}/tests/process/peers/{name}", env!("CARGO_MANIFEST_DIR"))).envs(variable);
    command
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set; run `cargo xtask test peers`"))
}

/// Lets a client send to a partition of its own topic, and checks the records that came of it.
fn round_trip(name: &str, compatibility: &str, records: usize) {
    let brokers = brokers();
    let (_process, address) = listening(producer_of(&brokers).env("COMPATIBILITY", compatibility));
    // One partition keeps the order in which they were sent.
    let url = format!("http://{address}/topics/orders/partitions/0");
    finish(name, script(name).args(["send", &url]));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("records.json");
    std::fs::write(&file, Value::from(read(&brokers, records)).to_string()).unwrap();
    finish(name, script(name).arg("check").arg(file));
}

fn finish(name: &str, command: &mut Command) {
    let mut process = Process::start(name, command.stderr(Stdio::piped()));
    let status = process.end_within(PATIENCE);
    let lines = process.rest().join("\n");
    assert!(status.is_some_and(|status| status.success()), "{name}: {status:?}\n{lines}");
}

/// The records of the first partition, bytes as base64.
fn read(brokers: &Brokers, count: usize) -> Vec<Value> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers.bootstrap_servers()).set("group.id", "peers");
    let consumer: BaseConsumer = config.create().unwrap();
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset("orders", 0, Offset::Beginning).unwrap();
    consumer.assign(&partitions).unwrap();
    let base64 = |bytes: Option<&[u8]>| bytes.map(|bytes| STANDARD.encode(bytes));
    let mut records = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while records.len() < count {
        assert!(Instant::now() < deadline, "{} of {count} records came", records.len());
        let Some(message) = consumer.poll(Duration::from_millis(100)) else { continue };
        let message = message.unwrap();
        let headers: Vec<_> =
            message.headers().into_iter().flat_map(Headers::iter).map(|h| json!([h.key, base64(h.value)])).collect();
        records.push(json!({"key": base64(message.key()), "value": base64(message.payload()), "headers": headers}));
    }
    records
}

#[test]
#[ignore = "needs the SDK; stage `peers` runs it"]
fn cloudevents_sdk_for_python() {
    round_trip("cloudevents_sdk.py", "strict", 12);
}

#[test]
#[ignore = "needs the SDK; stage `peers` runs it"]
fn cloudevents_sdk_for_javascript() {
    round_trip("cloudevents_sdk.js", "strict", 12);
}

#[test]
#[ignore = "needs the package; stage `peers` runs it"]
fn kafka_rest() {
    round_trip("kafka_rest.js", "confluent", 4);
}
