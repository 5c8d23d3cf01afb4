//! A topic with records on embedded brokers, and `msk-local` as a program.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use msk_local::brokers::EmbeddedBrokers;
use msk_test_kit::Process;
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::DefaultProducerContext;
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use serde_json::Value;

/// How long records may take to be written.
const WRITTEN: Duration = Duration::from_secs(30);

/// A variable that the stage sets.
pub(crate) fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set; run `cargo xtask test peers` or `dist`"))
}

/// A file or folder beside this one.
pub(crate) fn beside(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/peers").join(name)
}

/// A record to be written.
#[derive(Debug, Default)]
pub(crate) struct Written<'a> {
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) headers: &'a [(&'a str, &'a [u8])],
}

/// Writes records to the first partition of a new topic.
pub(crate) fn write(brokers: &EmbeddedBrokers, topic: &str, records: &[Written<'_>]) {
    brokers.create_topic(&format!("{topic}:1").parse().unwrap()).unwrap();
    let mut config = ClientConfig::new();
    let config = config.set("bootstrap.servers", brokers.bootstrap_servers()).set("enable.idempotence", "true");
    let producer: ThreadedProducer<DefaultProducerContext> = config.create().unwrap();
    for written in records {
        let mut record = BaseRecord::<[u8], [u8]>::to(topic).partition(0);
        (record.key, record.payload) = (written.key, written.value);
        let headers = written
            .headers
            .iter()
            .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: Some(*value) }));
        producer.send(record.headers(headers)).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(WRITTEN).unwrap();
}

/// `msk-local --format json`.
pub(crate) fn msk_local(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_msk-local"));
    command.args(["--format", "json"]).args(arguments).env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

/// What a program printed, and its exit code.
pub(crate) fn finished(name: &str, command: &mut Command) -> (Vec<String>, i32) {
    let mut process = Process::start(name, command.stderr(Stdio::piped()));
    let status = process.end();
    (process.rest(), status.code().unwrap_or_else(|| panic!("{name}: {status}")))
}

/// The lines about invocations.
pub(crate) fn invocations(lines: &[String]) -> Vec<Value> {
    let lines = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["event"] == "invocation").collect()
}
