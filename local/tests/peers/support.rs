//! A topic with records on embedded brokers, and `msk-local` as a program.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use msk_local::brokers::EmbeddedBrokers;
use msk_test_kit::{PATIENCE, Process};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Header, OwnedHeaders, OwnedMessage};
use rdkafka::producer::DefaultProducerContext;
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
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
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Written<'a> {
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) headers: &'a [(&'a str, &'a [u8])],
}

/// Writes records to the first partition of a new topic.
pub(crate) fn write(brokers: &EmbeddedBrokers, topic: &str, records: &[Written<'_>]) {
    brokers.create_topic(&format!("{topic}:1").parse().unwrap()).unwrap();
    let placed: Vec<_> = records.iter().map(|written| (0, *written)).collect();
    send(brokers, topic, &placed);
}

/// Writes records to partitions of a topic that exists, in this order.
pub(crate) fn send(brokers: &EmbeddedBrokers, topic: &str, records: &[(i32, Written<'_>)]) {
    let mut config = ClientConfig::new();
    let config = config.set("bootstrap.servers", brokers.bootstrap_servers()).set("enable.idempotence", "true");
    let producer: ThreadedProducer<DefaultProducerContext> = config.create().unwrap();
    for (partition, written) in records {
        let mut record = BaseRecord::<[u8], [u8]>::to(topic).partition(*partition);
        (record.key, record.payload) = (written.key, written.value);
        let headers = written
            .headers
            .iter()
            .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: Some(*value) }));
        producer.send(record.headers(headers)).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(WRITTEN).unwrap();
}

/// The committed position of each partition; -1 where there is none.
pub(crate) fn committed(brokers: &EmbeddedBrokers, topic: &str, partitions: i32) -> Vec<i64> {
    let group = format!("msk-local.function.{topic}");
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition(topic, partition);
    }
    let found = consumer(brokers, &group).committed_offsets(list, PATIENCE).unwrap();
    let elements = found.elements();
    let positions = elements.iter().map(|element| match element.offset() {
        Offset::Offset(position) => position,
        _ => -1,
    });
    positions.collect()
}

/// The records of a topic of one partition.
pub(crate) fn read(brokers: &EmbeddedBrokers, topic: &str) -> Vec<OwnedMessage> {
    let consumer = consumer(brokers, "reader");
    let (_, end) = consumer.fetch_watermarks(topic, 0, PATIENCE).unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
    consumer.assign(&list).unwrap();
    let (mut records, started) = (Vec::new(), Instant::now());
    while records.len() < usize::try_from(end).unwrap() {
        assert!(started.elapsed() < PATIENCE, "{topic}: {} of {end} records", records.len());
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            records.push(message.detach());
        }
    }
    records
}

fn consumer(brokers: &EmbeddedBrokers, group: &str) -> BaseConsumer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers.bootstrap_servers()).set("group.id", group).create().unwrap()
}

/// `msk-local --format json`.
pub(crate) fn msk_local(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_msk-local"));
    command.args(["--format", "json"]).args(arguments).env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

/// `esm drain` of a topic into a function.
pub(crate) fn drain(brokers: &EmbeddedBrokers, url: &str, topic: &str, flags: &[&str]) -> Command {
    let mut drain = msk_local(&["esm", "drain", "--topics", topic, "--invoke-url", url]);
    drain.args(["--function-name", "function"]);
    drain.args(["--bootstrap-servers", brokers.bootstrap_servers(), "--kafka-option", "group.protocol=consumer"]);
    drain.args(["--minimum-pollers", "1", "--report-batch-item-failures", "--retry-backoff", "0.05"]);
    // The window keeps the records in one batch.
    drain.args(["--maximum-batching-window-in-seconds", "1", "--deadline", "50"]).args(flags);
    drain
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
