//! The producer's publisher while the embedded brokers crash, move leaders and lose answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use msk_local::brokers::{BrokerChaos, EmbeddedBrokers};
use msk_local::output::{Format, Reporter};
use msk_shared::deadline::Deadline;
use msk_shared::kafka::{KafkaPublisher, KafkaSettings, OutboundRecord, Persisted, Publisher, PublisherSettings};
use msk_shared::names::TopicName;
use msk_test_kit::KeptLines;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::harness::{TIMEOUT, TOPIC, next_record, until, within};

const SEED: u64 = 3;
const PARTITIONS: i32 = 6;
/// At least so many, and then until every kind of fault was seen.
const RECORDS: usize = 320;
const KINDS: [&str; 5] = ["crash", "delay", "leader_move", "lost_response", "restart"];

fn record(number: usize) -> OutboundRecord {
    OutboundRecord {
        topic: TopicName::parse(TOPIC).unwrap(),
        partition: None,
        key: Some(Bytes::from(format!("key-{}", number % 50))),
        value: Some(Bytes::from(number.to_string())),
        timestamp_ms: None,
        headers: Vec::new(),
    }
}

fn kinds(output: &KeptLines) -> BTreeSet<String> {
    let lines = output.lines();
    let faults = lines.iter().filter(|line| line["event"] == "broker_chaos");
    faults.map(|line| line["fault"].as_str().unwrap().to_owned()).collect()
}

/// Each value with the places where it is.
fn read_all(servers: &str) -> BTreeMap<usize, Vec<(i32, i64)>> {
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", servers).set("group.id", "reader").create().unwrap();
    let mut read = BTreeMap::<usize, Vec<(i32, i64)>>::new();
    for partition in 0..PARTITIONS {
        // It may have to learn first who leads now.
        let ends = std::iter::repeat_with(|| consumer.fetch_watermarks(TOPIC, partition, TIMEOUT));
        let (first, end) = ends.take(20).find_map(Result::ok).expect("the brokers answer");
        let mut from = TopicPartitionList::new();
        from.add_partition_offset(TOPIC, partition, Offset::Offset(first)).unwrap();
        consumer.assign(&from).unwrap();
        for offset in first..end {
            let message = next_record(&consumer);
            assert_eq!(message.offset(), offset);
            let value = std::str::from_utf8(message.payload().unwrap()).unwrap().parse().unwrap();
            read.entry(value).or_default().push((partition, offset));
        }
    }
    read
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_answered_is_true_while_brokers_crash_and_answers_are_lost() {
    let output = KeptLines::default();
    let reporter = Arc::new(Reporter::new(Format::Json, false, false, Box::new(output.clone())));
    let topics = [format!("{TOPIC}:{PARTITIONS}").parse().unwrap()];
    let brokers = EmbeddedBrokers::start_with_chaos(&topics, BrokerChaos { seed: SEED, reporter }).unwrap();
    let settings = PublisherSettings::new(KafkaSettings::plain(brokers.bootstrap_servers()), "test");
    let publisher = KafkaPublisher::start(settings).unwrap();
    assert!(within(publisher.warm_up(TIMEOUT)).await.result.is_ok());
    assert_eq!(kinds(&output), BTreeSet::new(), "no fault comes before the first record");

    let (mut written, mut not_written, mut answered) = (BTreeMap::new(), BTreeSet::new(), 0);
    let publish_all = async {
        while answered < RECORDS || kinds(&output).len() < KINDS.len() {
            // Eight requests of one record at a time.
            let eight = answered..answered + 8;
            let sent = eight.clone().map(|number| {
                let publisher = publisher.clone();
                async move { publisher.publish(vec![record(number)], Deadline::after(Duration::from_secs(28))).await }
            });
            for (number, mut results) in eight.zip(outputs(sent).await) {
                match results.remove(0) {
                    Ok(delivery) => _ = written.insert(number, (delivery.partition, delivery.offset)),
                    Err(failure) if failure.persisted == Persisted::No => _ = not_written.insert(number),
                    Err(_) => {}
                }
            }
            answered += 8;
        }
    };
    tokio::time::timeout(Duration::from_secs(180), publish_all).await.expect("faults of every kind in time");

    brokers.end_chaos();
    let count = |fault: &str| output.lines().iter().filter(|line| line["fault"] == fault).count();
    until("every broker is back", || count("crash") == count("restart")).await;
    let servers = brokers.bootstrap_servers().to_owned();
    let read = tokio::task::spawn_blocking(move || read_all(&servers)).await.unwrap();
    for (number, place) in &written {
        assert_eq!(read.get(number), Some(&vec![*place]), "record {number} was answered `written`");
    }
    for number in &not_written {
        assert_eq!(read.get(number), None, "record {number} was answered `not written`");
    }
    assert_eq!(kinds(&output), KINDS.map(str::to_owned).into());
    assert!(written.len() >= RECORDS * 9 / 10, "{} of {answered} were written", written.len());
}

/// What all of them give, in order; they run at once.
async fn outputs<F>(futures: impl Iterator<Item = F>) -> Vec<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    let tasks: Vec<_> = futures.map(tokio::spawn).collect();
    let mut all = Vec::new();
    for task in tasks {
        all.push(task.await.unwrap());
    }
    all
}
