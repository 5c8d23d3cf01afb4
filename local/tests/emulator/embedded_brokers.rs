//! What the embedded brokers do for any client, and where they end.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use msk_local::brokers::{BrokersError, EmbeddedBrokers, Which};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::harness::{TIMEOUT, TOPIC, next_record, within};

pub(crate) fn started(partitions: i32) -> EmbeddedBrokers {
    EmbeddedBrokers::start(&[format!("{TOPIC}:{partitions}").parse().unwrap()]).unwrap()
}

pub(crate) fn client(brokers: &EmbeddedBrokers) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers.bootstrap_servers());
    config
}

fn producer(brokers: &EmbeddedBrokers, compression: &str) -> FutureProducer {
    let mut config = client(brokers);
    config.set("enable.idempotence", "true").set("linger.ms", "0").set("compression.type", compression);
    config.create().unwrap()
}

fn consumer(brokers: &EmbeddedBrokers) -> BaseConsumer {
    consumer_of(brokers, "reader")
}

pub(crate) fn consumer_of(brokers: &EmbeddedBrokers, group: &str) -> BaseConsumer {
    client(brokers).set("group.id", group).create().unwrap()
}

async fn write(producer: &FutureProducer, partition: i32, value: &[u8]) -> i64 {
    let record = FutureRecord::<[u8], [u8]>::to(TOPIC).partition(partition).payload(value);
    within(producer.send(record, TIMEOUT)).await.map_err(|(error, _)| error).unwrap().offset
}

/// Offset, time and value of what a partition holds, up to `count` records.
pub(crate) fn read(brokers: &EmbeddedBrokers, partition: i32, count: usize) -> Vec<(i64, i64, Vec<u8>)> {
    let consumer = consumer(brokers);
    let mut from = TopicPartitionList::new();
    from.add_partition_offset(TOPIC, partition, Offset::Beginning).unwrap();
    consumer.assign(&from).unwrap();
    let mut read = Vec::new();
    while read.len() < count {
        let message = next_record(&consumer);
        read.push((message.offset(), message.timestamp().to_millis().unwrap(), message.payload().unwrap().to_vec()));
    }
    read
}

fn leader(brokers: &EmbeddedBrokers, partition: usize) -> i32 {
    let metadata = consumer(brokers).fetch_metadata(Some(TOPIC), TIMEOUT).unwrap();
    metadata.topics()[0].partitions()[partition].leader()
}

#[test]
fn three_brokers_on_loopback_have_three_replicas_of_each_topic_and_make_no_topic_unasked() {
    let brokers = started(6);
    let addresses: Vec<_> = brokers.bootstrap_servers().split(',').collect();
    assert_eq!(addresses.len(), 3);
    assert!(addresses.iter().all(|address| address.starts_with("127.0.0.1:")), "{addresses:?}");
    let metadata = consumer(&brokers).fetch_metadata(None, TIMEOUT).unwrap();
    let mut ids: Vec<i32> = metadata.brokers().iter().map(|broker| broker.id()).collect();
    ids.sort_unstable();
    assert_eq!(ids, [1, 2, 3]);
    let partitions = metadata.topics()[0].partitions();
    assert_eq!(partitions.iter().map(|partition| partition.leader()).collect::<Vec<_>>(), [1, 2, 3, 1, 2, 3]);
    assert!(partitions.iter().all(|partition| partition.replicas().len() == 3 && partition.isr().len() == 3));
    let unknown = consumer(&brokers).fetch_metadata(Some("nope"), TIMEOUT).unwrap();
    assert!(unknown.topics()[0].error().is_some() && unknown.topics()[0].partitions().is_empty());
    let again = brokers.create_topic(&"orders:6".parse().unwrap());
    assert!(matches!(again, Err(BrokersError::TopicExists(topic)) if topic == TOPIC));
    assert!(matches!(brokers.down(Which::One(4)), Err(BrokersError::NoBroker(4))));
    assert!(matches!(brokers.move_leader(TOPIC, 0, 0), Err(BrokersError::NoBroker(0))));
    assert!(matches!(brokers.move_leader(TOPIC, 6, 1), Err(BrokersError::NoPartition(_, 6))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_compression_is_read_back_with_real_times() {
    let brokers = started(1);
    let value = [b'x'; 5_000];
    let now = || i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let before = now();
    for (offset, compression) in (0..).zip(["none", "gzip", "snappy", "lz4", "zstd"]) {
        assert_eq!(write(&producer(&brokers, compression), 0, &value).await, offset);
    }
    let read = read(&brokers, 0, 5);
    for (offset, time, bytes) in &read {
        assert!((before..=now()).contains(time) && bytes == &value, "{offset}: {time}, {} bytes", bytes.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_time_is_looked_up_as_the_first_record_of_it() {
    let brokers = started(2);
    let producer = producer(&brokers, "lz4");
    for time in [1_000, 2_000, 3_000] {
        let record = FutureRecord::<str, str>::to(TOPIC).partition(0).payload("v").timestamp(time);
        within(producer.send(record, TIMEOUT)).await.map_err(|(error, _)| error).unwrap();
    }
    for (time, partition, offset) in [
        (0, 0, Offset::Offset(0)),
        (1_001, 0, Offset::Offset(1)),
        (3_000, 0, Offset::Offset(2)),
        (3_001, 0, Offset::End),
        (0, 1, Offset::End),
    ] {
        let mut wanted = TopicPartitionList::new();
        wanted.add_partition_offset(TOPIC, partition, Offset::Offset(time)).unwrap();
        let found = consumer(&brokers).offsets_for_times(wanted, TIMEOUT).unwrap();
        assert_eq!(found.elements()[0].offset(), offset, "{time} in partition {partition}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_the_bound_the_oldest_records_go_and_readers_go_on() {
    const BOUND: usize = 1024 * 1024;
    let topics = [format!("{TOPIC}:2").parse().unwrap()];
    let brokers = EmbeddedBrokers::start_bounded(&topics, BOUND, None).unwrap();
    let producer = producer(&brokers, "none");
    assert_eq!(write(&producer, 1, b"of the small partition").await, 0);
    let value = |number: i64| [&number.to_be_bytes()[..], &[b'x'; 9_992]].concat();
    for number in 0..400 {
        assert_eq!(write(&producer, 0, &value(number)).await, number);
    }
    let reader = consumer(&brokers);
    let (first, end) = reader.fetch_watermarks(TOPIC, 0, TIMEOUT).unwrap();
    // An eighth of the bound is made free at once.
    let kept = usize::try_from(end - first).unwrap() * 10_000;
    assert!(end == 400 && (BOUND * 3 / 4..=BOUND).contains(&kept), "{first}..{end}: {kept} bytes");
    // The largest partition pays.
    assert_eq!(reader.fetch_watermarks(TOPIC, 1, TIMEOUT).unwrap(), (0, 1));
    let read = read(&brokers, 0, usize::try_from(end - first).unwrap());
    for (offset, (number, _, bytes)) in (first..end).zip(&read) {
        assert!(offset == *number && bytes == &value(offset), "{offset}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn brokers_that_come_back_have_their_records_and_leaders_that_move_take_new_ones() {
    let brokers = started(3);
    let producer = producer(&brokers, "none");
    assert_eq!(write(&producer, 0, b"before").await, 0);
    brokers.down(Which::All).unwrap();
    let record = FutureRecord::<[u8], [u8]>::to(TOPIC).partition(0).payload(b"while they are down");
    let waiting = producer.send_result(record).map_err(|(error, _)| error).unwrap();
    brokers.up(Which::All).unwrap();
    assert_eq!(within(waiting).await.unwrap().map_err(|(error, _)| error).unwrap().offset, 1);
    assert_eq!(leader(&brokers, 0), 1);
    // Others lead while the first broker is away.
    brokers.down(Which::One(1)).unwrap();
    brokers.move_leader(TOPIC, 0, 3).unwrap();
    assert_eq!(write(&producer, 0, b"at another leader").await, 2);
    brokers.up(Which::One(1)).unwrap();
    assert_eq!(leader(&brokers, 0), 3);
    let values: Vec<_> = read(&brokers, 0, 3).into_iter().map(|(_, _, value)| value).collect();
    assert_eq!(values, [&b"before"[..], b"while they are down", b"at another leader"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_follows_leaders_that_move() {
    let brokers = started(1);
    let producer = producer(&brokers, "none");
    let consumer = consumer(&brokers);
    let mut from = TopicPartitionList::new();
    from.add_partition_offset(TOPIC, 0, Offset::Beginning).unwrap();
    consumer.assign(&from).unwrap();
    for (number, leader) in (0..).zip([2, 3, 1, 2]) {
        assert_eq!(write(&producer, 0, b"v").await, number);
        let asked = Instant::now();
        assert_eq!(next_record(&consumer).offset(), number);
        // It would take until the next refresh of the metadata if the answer of the old leader were not understood: minutes.
        assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
        brokers.move_leader(TOPIC, 0, leader).unwrap();
    }
}

/// Whatever was sent before a client closes is written (KAFKA-3703), though nobody waits for it.
#[tokio::test]
async fn what_a_producer_sends_without_waiting_is_written_when_it_closes_at_once() {
    const COUNT: usize = 200;
    let brokers = started(1);
    let mut config = client(&brokers);
    config.set("acks", "0").set("batch.num.messages", "1").set("linger.ms", "0");
    let producer: FutureProducer = config.create().unwrap();
    let sent = (0..COUNT).map(|number| {
        let value = number.to_string();
        producer
            .send_result(FutureRecord::<[u8], _>::to(TOPIC).partition(0).payload(&value))
            .map_err(|(error, _)| error)
            .unwrap()
    });
    // Sent is all that can be known.
    for sent in sent.collect::<Vec<_>>() {
        within(sent).await.unwrap().map_err(|(error, _)| error).unwrap();
    }
    drop(producer);
    let values = tokio::task::spawn_blocking(move || read(&brokers, 0, COUNT)).await.unwrap();
    let numbers: Vec<_> = values.into_iter().map(|(.., value)| String::from_utf8(value).unwrap()).collect();
    assert_eq!(numbers, (0..COUNT).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[test]
fn a_broker_that_comes_back_after_others_took_over_is_in_sync_again() {
    let brokers = started(3);
    let in_sync = || {
        let metadata = consumer(&brokers).fetch_metadata(Some(TOPIC), TIMEOUT).unwrap();
        metadata.topics()[0].partitions().iter().map(|partition| partition.isr().len()).collect::<Vec<_>>()
    };
    brokers.fail_over(1).unwrap();
    assert_eq!((in_sync(), leader(&brokers, 0) == 1), (vec![2; 3], false));
    brokers.up(Which::One(1)).unwrap();
    assert_eq!(in_sync(), [3; 3]);
}
