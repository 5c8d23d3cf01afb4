//! Embedded brokers with one topic, a producer, and mappings written as JSON.

use std::sync::Arc;
use std::time::{Duration, Instant};

use msk_local::brokers::EmbeddedBrokers;
use msk_local::esm::config_file::Wanted;
use msk_local::esm::document::MappingDocument;
use msk_local::esm::mapping::Mapping;
use msk_local::esm::metrics::{Counts, Metrics};
use msk_local::esm::running_mapping::{DrainLimits, End, RunningMapping, Shared};
use msk_local::esm::validate::{Strictness, validate};
use msk_local::output::{Format, Reporter};
use msk_test_kit::KeptLines;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Header, Message, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::{Map, Value, json};

use super::function::Function;

pub(crate) const TOPIC: &str = "orders";
/// Bounds every wait; long enough for a loaded machine with two cores.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) struct Harness {
    pub(crate) brokers: EmbeddedBrokers,
    producer: FutureProducer,
    output: KeptLines,
    pub(crate) metrics: Arc<Metrics>,
}

impl Harness {
    pub(crate) fn start(partitions: i32) -> Self {
        // RUST_LOG selects what the emulator logs.
        let _ = tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_test_writer()
            .try_init();
        let brokers = EmbeddedBrokers::start(&[format!("{TOPIC}:{partitions}").parse().unwrap()]).unwrap();
        let producer = ClientConfig::new()
            .set("bootstrap.servers", brokers.bootstrap_servers())
            .set("linger.ms", "0")
            // Whoever writes many at once wants them in order.
            .set("enable.idempotence", "true")
            .set("message.max.bytes", "20000000")
            .create()
            .unwrap();
        Self { brokers, producer, output: KeptLines::default(), metrics: Arc::default() }
    }

    /// Writes `count` small records to a partition, one after the other.
    pub(crate) async fn produce(&self, partition: i32, count: usize) {
        for number in 0..count {
            let value = format!("{{\"number\":{number}}}");
            self.send(partition, Some(b"key"), Some(value.as_bytes()), &[]).await;
        }
    }

    /// Writes `count` small records to a partition at once.
    pub(crate) async fn produce_many(&self, partition: i32, count: usize) {
        let value = |number: usize| format!("{{\"number\":{number}}}");
        let queued: Vec<_> = (0..count)
            .map(|number| {
                let value = value(number);
                let record = FutureRecord::to(TOPIC).partition(partition).key("key").payload(&value);
                self.producer.send_result(record).map_err(|(error, _)| error).unwrap()
            })
            .collect();
        for written in queued {
            within(written).await.unwrap().map_err(|(error, _)| error).unwrap();
        }
    }

    pub(crate) async fn send(
        &self,
        partition: i32,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&str, Option<&[u8]>)],
    ) -> i64 {
        let mut record = FutureRecord::<[u8], [u8]>::to(TOPIC).partition(partition);
        record.key = key;
        record.payload = value;
        if !headers.is_empty() {
            let mut owned = OwnedHeaders::new();
            for (key, value) in headers {
                owned = owned.insert(Header { key, value: *value });
            }
            record = record.headers(owned);
        }
        self.producer.send(record, TIMEOUT).await.map_err(|(error, _)| error).unwrap().offset
    }

    /// Writes a record whose time is given, in milliseconds since 1970.
    pub(crate) async fn send_at(&self, partition: i32, timestamp_ms: i64) {
        let record = FutureRecord::<str, str>::to(TOPIC).partition(partition).payload("{}").timestamp(timestamp_ms);
        self.producer.send(record, TIMEOUT).await.map_err(|(error, _)| error).unwrap();
    }

    /// The values that a topic of one partition holds, with their keys.
    pub(crate) async fn read(&self, topic: &str, count: usize) -> Vec<(Option<Vec<u8>>, Value)> {
        let consumer: rdkafka::consumer::StreamConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.brokers.bootstrap_servers())
            .set("group.id", "reader")
            .create()
            .unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
        consumer.assign(&list).unwrap();
        let mut read = Vec::new();
        while read.len() < count {
            let message = within(consumer.recv()).await.unwrap();
            let value = serde_json::from_slice(message.payload().unwrap()).unwrap();
            read.push((message.key().map(<[u8]>::to_vec), value));
        }
        read
    }

    /// How many records the partitions of a topic have.
    pub(crate) async fn ends(&self, topic: &'static str, partitions: i32) -> Vec<i64> {
        let producer = self.producer.clone();
        let ask = move |partition| producer.client().fetch_watermarks(topic, partition, TIMEOUT).unwrap().1;
        tokio::task::spawn_blocking(move || (0..partitions).map(ask).collect()).await.unwrap()
    }

    /// A mapping of the topic to the function; `members` override short timeouts.
    pub(crate) fn mapping(&self, function: &Function, members: &Value) -> Mapping {
        self.mapping_to(&function.url, members)
    }

    pub(crate) fn mapping_to(&self, url: &str, members: &Value) -> Mapping {
        validate(&self.document(url, members), Strictness::Strict).unwrap()
    }

    pub(crate) fn document(&self, url: &str, members: &Value) -> MappingDocument {
        let text = self.document_text(url, members);
        MappingDocument::read(&text, "test", Wanted::default(), Map::new()).unwrap()
    }

    pub(crate) fn document_text(&self, url: &str, members: &Value) -> String {
        let mut document = json!({
            "FunctionName": "consumer",
            "Topics": [TOPIC],
            "StartingPosition": "TRIM_HORIZON",
            "ProvisionedPollerConfig": {},
            "Local": {
                "invokeUrl": url,
                "bootstrapServers": self.brokers.bootstrap_servers(),
                "retryBackoffSeconds": 0.01,
                "maxRetryBackoffSeconds": 0.05,
                "functionTimeoutSeconds": 20,
                "startupGraceSeconds": 0,
                // Tests of the classic protocol say so.
                "kafkaOptions": {"group.protocol": "consumer"},
            },
        });
        merge(&mut document, members);
        document.to_string()
    }

    pub(crate) async fn run(&self, mapping: Mapping) -> RunningMapping {
        let reporter = Reporter::new(Format::Json, false, false, Box::new(self.output.clone()));
        let shared = Shared { metrics: Arc::clone(&self.metrics), ..Shared::new(Arc::new(reporter)) };
        let mut running = RunningMapping::start(mapping, &shared).await.unwrap();
        within(running.joined()).await.unwrap();
        running
    }

    /// Runs the mapping until the topic is drained.
    pub(crate) async fn drain(&self, mapping: Mapping) -> End {
        let mut running = self.run(mapping).await;
        let limits = DrainLimits { deadline: Some(TIMEOUT), records: None };
        let end = running.drain(limits, std::future::pending()).await.unwrap();
        within(running.stop()).await;
        end
    }

    /// The lines that the emulator printed.
    pub(crate) fn lines(&self) -> Vec<Value> {
        self.output.lines()
    }

    pub(crate) fn outcomes(&self) -> Vec<String> {
        let lines = self.lines();
        let invocations = lines.iter().filter(|line| line["event"] == "invocation");
        invocations.map(|line| line["outcome"].as_str().unwrap().to_owned()).collect()
    }

    pub(crate) fn counts(&self) -> Counts {
        self.metrics.counts()
    }

    /// The committed position of each partition; -1 where there is none.
    pub(crate) async fn committed(&self, partitions: i32) -> Vec<i64> {
        let servers = self.brokers.bootstrap_servers().to_owned();
        tokio::task::spawn_blocking(move || committed(&servers, partitions)).await.unwrap()
    }

    /// Waits until the committed positions are these.
    pub(crate) async fn until_committed(&self, expected: &[i64]) {
        let partitions = i32::try_from(expected.len()).unwrap();
        let started = Instant::now();
        loop {
            let committed = self.committed(partitions).await;
            if committed == expected {
                return;
            }
            assert!(started.elapsed() < TIMEOUT, "committed {committed:?}, not {expected:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn committed(servers: &str, partitions: i32) -> Vec<i64> {
    let client: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("group.id", format!("msk-local.consumer.{TOPIC}"))
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition(TOPIC, partition);
    }
    let found = client.committed_offsets(list, TIMEOUT).unwrap();
    let position = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| match element.offset() {
        Offset::Offset(position) => position,
        _ => -1,
    };
    found.elements().iter().map(position).collect()
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

/// The result of `future`, within [`TIMEOUT`].
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(TIMEOUT, future).await.expect("this should have ended long ago")
}

/// The next record of an assigned partition. Errors are about brokers that are away for a while.
pub(crate) fn next_record(consumer: &BaseConsumer) -> OwnedMessage {
    let started = Instant::now();
    loop {
        assert!(started.elapsed() < TIMEOUT, "there is no record");
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            return message.detach();
        }
    }
}

/// Waits until the condition holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < TIMEOUT, "{what} has not happened");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
