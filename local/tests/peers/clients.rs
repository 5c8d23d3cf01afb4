//! The Kafka clients of `clients/` with the embedded brokers: each writes, reads in a group, and commits.

use std::process::{Command, Stdio};

use msk_local::brokers::EmbeddedBrokers;

use super::support::{beside, finished, variable};

/// As each client writes and reads them.
fn values(prefix: &str) -> Vec<String> {
    (0..10).map(|index| format!("{prefix}-{index}")).collect()
}

/// What is read after a commit is what was written after it.
fn writes_and_reads(name: &str, client: impl Fn() -> Command) {
    let brokers = EmbeddedBrokers::start(&["orders:1".parse().unwrap()]).unwrap();
    for prefix in ["first", "second"] {
        let mut command = client();
        command.args([brokers.bootstrap_servers(), "orders", "readers", prefix]).stderr(Stdio::piped());
        let (lines, status) = finished(name, &mut command);
        assert_eq!((status, lines), (0, values(prefix)), "{name}");
    }
}

fn node(script: &str) -> Command {
    let mut node = Command::new("node");
    node.arg(beside("clients").join(script)).env("NODE_PATH", variable("PEERS_NODE_MODULES"));
    node
}

fn python(script: &str) -> Command {
    let mut python = Command::new(variable("PEERS_PYTHON"));
    python.arg(beside("clients").join(script)).env("PYTHONDONTWRITEBYTECODE", "1");
    python
}

fn go(client: &str) -> Command {
    let mut go = Command::new(variable("PEERS_GO_CLIENTS"));
    go.arg(client);
    go
}

#[test]
#[ignore = "needs packages of npm; run it with `cargo xtask test peers`"]
fn kafkajs_writes_and_reads() {
    writes_and_reads("KafkaJS", || node("kafkajs.js"));
}

#[test]
#[ignore = "needs packages of PyPI; run it with `cargo xtask test peers`"]
fn kafka_python_writes_and_reads() {
    writes_and_reads("kafka-python", || python("kafka_python.py"));
}

#[test]
#[ignore = "needs Go modules; run it with `cargo xtask test peers`"]
fn kafka_go_writes_and_reads() {
    writes_and_reads("kafka-go", || go("kafka-go"));
}

#[test]
#[ignore = "needs Go modules; run it with `cargo xtask test peers`"]
fn sarama_writes_and_reads() {
    writes_and_reads("Sarama", || go("sarama"));
}

#[test]
#[ignore = "needs Go modules; run it with `cargo xtask test peers`"]
fn franz_go_writes_and_reads() {
    writes_and_reads("franz-go", || go("franz-go"));
}
