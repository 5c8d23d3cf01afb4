//! Dead letters in a real topic of embedded brokers: bytes, headers, order, and what happens while the brokers are down.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failing test may panic")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use msk_consumer::batch::Processed;
use msk_consumer::dead_letters::KafkaSink;
use msk_consumer::idempotency::MemoryStore;
use msk_consumer::{BatchProcessor, BatchSettings, DefaultHandler, InvocationContext};
use msk_shared::deadline::Deadline;
use msk_shared::kafka::{KafkaPublisher, KafkaSettings, PublisherSettings};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

type Cluster = MockCluster<'static, DefaultProducerContext>;
type Processor = BatchProcessor<DefaultHandler, KafkaSink<KafkaPublisher>, MemoryStore>;

/// Three embedded brokers with the dead-letter topic.
fn cluster() -> Cluster {
    let cluster = MockCluster::new(3).unwrap();
    cluster.create_topic("orders.dlq", 1, 3).unwrap();
    cluster
}

fn processor(cluster: &Cluster, pattern: &str) -> Processor {
    let kafka = KafkaSettings::plain(cluster.bootstrap_servers());
    let publisher = KafkaPublisher::start(PublisherSettings::new(kafka, "test")).unwrap();
    let dead_letter = KafkaSink::new(publisher, pattern.parse().unwrap());
    let settings = BatchSettings { report_batch_item_failures: true, ..BatchSettings::default() };
    BatchProcessor::new(DefaultHandler, dead_letter, MemoryStore::default(), settings)
}

async fn process(processor: &Processor, event: &str, time: Duration) -> Processed {
    let invocation = InvocationContext { request_id: "test".into(), deadline: Some(Deadline::after(time)) };
    processor.process(event.to_owned(), &invocation).await
}

fn reported(processed: &Processed) -> Vec<String> {
    processed.answer.as_ref().unwrap().failed().map(ToString::to_string).collect()
}

struct ReadBack {
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

impl ReadBack {
    fn texts(&self) -> BTreeMap<&str, String> {
        let text = |value: &Option<Vec<u8>>| String::from_utf8_lossy(value.as_deref().unwrap_or_default()).into_owned();
        self.headers.iter().map(|(name, value)| (name.as_str(), text(value))).collect()
    }
}

/// Reads `count` letters, and looks a little longer for one too many.
fn letters(cluster: &Cluster, topic: &str, count: usize) -> Vec<ReadBack> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .set("group.id", "reader")
        .create()
        .unwrap();
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
    consumer.assign(&partitions).unwrap();
    let give_up = Instant::now() + Duration::from_secs(20);
    let mut letters = Vec::new();
    while letters.len() < count && Instant::now() < give_up {
        letters.extend(consumer.poll(Duration::from_millis(200)).and_then(Result::ok).map(|message| letter(&message)));
    }
    letters.extend(consumer.poll(Duration::from_millis(300)).and_then(Result::ok).map(|message| letter(&message)));
    assert_eq!(letters.len(), count, "letters in {topic}");
    letters
}

fn letter(message: &impl Message) -> ReadBack {
    let headers = message.headers().map_or(Vec::new(), |headers| {
        headers.iter().map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect()
    });
    ReadBack { key: message.key().map(<[u8]>::to_vec), value: message.payload().map(<[u8]>::to_vec), headers }
}

/// A good record, then four kinds of poison.
const EVENT: &str = r#"{"eventSource":"aws:kafka","records":{"orders-2":[
    {"topic":"orders","partition":2,"offset":10,"timestamp":1700000000000,"timestampType":"CREATE_TIME","key":"aw==","value":"e30="},
    {"topic":"orders","partition":2,"offset":11,"timestamp":1700000000001,"timestampType":"CREATE_TIME","key":"aw==","value":"/wD+","headers":[{"raw":[-1,0]},{"none":null},{"a\u0000b":[1]},{"x-dlq-offset":[57]}]},
    {"topic":"orders","partition":2,"offset":12,"timestamp":-1,"value":"*broken*"},
    {"topic":"orders","partition":2,"offset":13,"key":"","value":""},
    {"topic":"orders","partition":2,"offset":14,"headers":[{"n":[999]}]}]}}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letters_hold_the_original_bytes_and_where_they_came_from() {
    let cluster = cluster();
    let processor = processor(&cluster, "kafka:{topic}.dlq");
    for _ in 0..2 {
        let processed = process(&processor, EVENT, Duration::from_secs(30)).await;
        assert!(reported(&processed).is_empty(), "{:?}", processed.answer);
    }
    let letters = letters(&cluster, "orders.dlq", 4);
    assert_eq!(letters[0].key.as_deref(), Some(&b"k"[..]));
    assert_eq!(letters[0].value.as_deref(), Some(&[0xff, 0, 0xfe][..]));
    assert_eq!(letters[0].headers[0], ("raw".to_owned(), Some(vec![0xff, 0])));
    assert_eq!(letters[0].headers[1], ("none".to_owned(), None));
    assert_eq!(letters[0].headers[2].0, "a\u{fffd}b", "a name with NUL");
    assert_eq!(letters[0].headers.iter().filter(|(name, _)| name == "x-dlq-offset").count(), 1);
    let texts = letters[0].texts();
    for (name, value) in [
        ("x-dlq-reason", "undecodable"),
        ("x-dlq-topic", "orders"),
        ("x-dlq-partition", "2"),
        ("x-dlq-offset", "11"),
        ("x-dlq-timestamp", "1700000000001"),
        ("x-dlq-attempts", "1"),
    ] {
        assert_eq!(texts[name], value, "{name}");
    }
    assert!(texts["x-dlq-error"].starts_with("the value is not JSON"));
    assert_eq!((letters[1].key.as_deref(), letters[1].value.as_deref()), (None, Some(&b"*broken*"[..])));
    assert_eq!(letters[1].texts()["x-dlq-timestamp"], "-1");
    assert_eq!((letters[2].key.as_deref(), letters[2].value.as_deref()), (Some(&b""[..]), Some(&b""[..])));
    assert_eq!((letters[3].key.as_deref(), letters[3].value.as_deref()), (None, None), "a tombstone stays one");
    assert_eq!(letters[3].texts()["x-dlq-unreadable-headers"], r#"[{"n":[999]}]"#);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_brokers_are_down_the_record_is_reported_and_afterwards_it_is_kept_once() {
    let cluster = cluster();
    let processor = processor(&cluster, "kafka:orders.dlq");
    (1..=3).for_each(|broker| cluster.broker_down(broker).unwrap());
    let started = Instant::now();
    let processed = process(&processor, EVENT, Duration::from_secs(6)).await;
    assert_eq!(reported(&processed), ["orders-2@11", "orders-2@12", "orders-2@13", "orders-2@14"]);
    assert!(started.elapsed() < Duration::from_secs(6), "answered before the deadline");

    (1..=3).for_each(|broker| cluster.broker_up(broker).unwrap());
    let give_up = Instant::now() + Duration::from_secs(60);
    while !reported(&process(&processor, EVENT, Duration::from_secs(15)).await).is_empty() {
        assert!(Instant::now() < give_up, "the dead letter has not recovered after 60 s");
    }
    let letters = letters(&cluster, "orders.dlq", 4);
    assert_ne!(letters[0].texts()["x-dlq-attempts"], "1", "the failed attempts are counted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_topic_that_is_the_records_own_is_refused() {
    let cluster = cluster();
    let processor = processor(&cluster, "kafka:orders");
    let processed = process(&processor, EVENT, Duration::from_secs(10)).await;
    assert_eq!(reported(&processed).len(), 4);
}
