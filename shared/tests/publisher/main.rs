//! The publisher against librdkafka's mock cluster: what becomes of records while brokers come, go and misbehave.
//! The mock has no replication; loss is proven on real brokers by the crate `msk-e2e`.
#![cfg(feature = "kafka")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "measured figures belong into the tests' output")]

mod warm_up;

use std::time::{Duration, Instant};

use bytes::Bytes;
use msk_shared::deadline::Deadline;
use msk_shared::kafka::{
    DeliveryTimeout, FailureCause, Header, KafkaPublisher, KafkaSettings, OutboundRecord, Partition, Persisted,
    Publisher, PublisherSettings,
};
use msk_shared::names::TopicName;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

type Cluster = MockCluster<'static, DefaultProducerContext>;

const TOPIC: &str = "orders";

fn cluster() -> Cluster {
    let cluster = MockCluster::new(3).unwrap();
    cluster.create_topic(TOPIC, 4, 3).unwrap();
    cluster
}

fn topic() -> TopicName {
    TopicName::parse(TOPIC).unwrap()
}

fn settings(cluster: &Cluster, delivery_timeout_ms: usize) -> PublisherSettings {
    let mut settings = PublisherSettings::new(KafkaSettings::plain(cluster.bootstrap_servers()), "test");
    settings.delivery_timeout = DeliveryTimeout::new(delivery_timeout_ms).unwrap();
    settings.topics = vec![topic()];
    settings
}

fn publisher(cluster: &Cluster, delivery_timeout_ms: usize) -> KafkaPublisher {
    KafkaPublisher::start(settings(cluster, delivery_timeout_ms)).unwrap()
}

/// Connected, with its producer id and the topic's metadata; what milliseconds do may take seconds on a busy machine.
async fn ready(publisher: &KafkaPublisher) {
    let warm_up = publisher.warm_up(Duration::from_secs(30)).await;
    assert!(warm_up.result.is_ok() && warm_up.missing_topics.is_empty(), "{warm_up:?}");
}

fn record(key: &str, value: &str) -> OutboundRecord {
    OutboundRecord {
        topic: topic(),
        partition: None,
        key: Some(Bytes::copy_from_slice(key.as_bytes())),
        value: Some(Bytes::copy_from_slice(value.as_bytes())),
        timestamp_ms: None,
        headers: Vec::new(),
    }
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(28))
}

/// Takes all brokers down or brings them back.
fn brokers(cluster: &Cluster, up: bool) {
    for id in 1..=3 {
        if up { cluster.broker_up(id) } else { cluster.broker_down(id) }.unwrap();
    }
}

/// Reads partition `partition` from its start, `count` records.
fn read(cluster: &Cluster, partition: i32, count: usize) -> Vec<rdkafka::message::OwnedMessage> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .set("group.id", "reader")
        .create()
        .unwrap();
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(TOPIC, partition, Offset::Beginning).unwrap();
    consumer.assign(&assignment).unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    let mut messages = Vec::new();
    while messages.len() < count && Instant::now() < until {
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(200)) {
            messages.push(message.detach());
        }
    }
    messages
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_is_read_back_byte_by_byte() {
    let cluster = cluster();
    let publisher = publisher(&cluster, 22_000);
    type FieldBytes<'a> = Option<&'a [u8]>;
    let cases: Vec<(FieldBytes<'_>, FieldBytes<'_>)> = vec![
        (None, None),
        (None, Some(b"")),
        (Some(b""), None),
        (Some(b""), Some(b"")),
        (Some(b"null"), Some(b"null")),
        (Some(&[0, 255, 10]), Some(&[0; 1000])),
    ];
    let headers = vec![
        Header { name: "a".into(), value: Some(Bytes::from_static(&[200, 0, 1])) },
        Header { name: "a".into(), value: None },
        Header { name: "b".into(), value: Some(Bytes::new()) },
    ];
    let records = cases
        .iter()
        .map(|(key, value)| OutboundRecord {
            topic: topic(),
            partition: Some(2),
            key: key.map(Bytes::copy_from_slice),
            value: value.map(Bytes::copy_from_slice),
            timestamp_ms: Some(1_700_000_000_123),
            headers: headers.clone(),
        })
        .collect();
    let results = publisher.publish(records, soon()).await;
    let offsets: Vec<i64> = results.iter().map(|r| r.as_ref().unwrap().offset).collect();
    assert_eq!(offsets, (0..6).collect::<Vec<i64>>(), "one partition, in the order of the request");
    assert!(results.iter().all(|r| r.as_ref().unwrap().partition == 2));

    let read = read(&cluster, 2, cases.len());
    for (message, (key, value)) in read.iter().zip(&cases) {
        assert_eq!((message.key(), message.payload()), (*key, *value));
        assert_eq!(message.timestamp().to_millis(), Some(1_700_000_000_123));
        let seen: Vec<(&str, Option<&[u8]>)> = message.headers().unwrap().iter().map(|h| (h.key, h.value)).collect();
        assert_eq!(seen, [("a", Some(&[200u8, 0, 1][..])), ("a", None), ("b", Some(&[][..]))]);
    }
    assert_eq!(read.len(), cases.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_cluster_is_answered_in_time_and_a_returned_one_is_used_at_once() {
    let cluster = cluster();
    let publisher = publisher(&cluster, 3_000);
    ready(&publisher).await;
    brokers(&cluster, false);
    let (mut slowest, mut fastest) = (Duration::ZERO, Duration::MAX);
    for attempt in 0..6 {
        let started = Instant::now();
        let results = publisher.publish(vec![record("k", "v")], soon()).await;
        let took = started.elapsed();
        let failure = results[0].unwrap_err();
        let is_the_record_s = matches!(
            failure.cause,
            FailureCause::RecordTooLarge | FailureCause::PartitionMissing | FailureCause::Rejected
        );
        assert!(!is_the_record_s, "{failure:?}");
        slowest = slowest.max(took);
        fastest = fastest.min(took);
        assert!(took < Duration::from_secs(4), "delivery timeout 3 s: attempt {attempt} took {took:?}");
        if attempt >= 4 {
            assert!(took < Duration::from_secs(2), "after several failures it must fail fast, took {took:?}");
            assert_eq!(failure.persisted, Persisted::No);
        }
    }
    // Each attempt can be held up by two busy cores, not all of them.
    assert!(fastest < Duration::from_secs(1), "none failed within a second: {fastest:?}");
    brokers(&cluster, true);
    let result = publisher.publish(vec![record("k", "v")], soon()).await.remove(0);
    assert!(result.is_ok(), "the next request after the brokers returned: {result:?}");
    println!("slowest answer while down: {slowest:?}");
}

/// The mock moves no leader, so a broker that is down is a leader that is cut off.
#[tokio::test(flavor = "multi_thread")]
async fn a_cut_off_leader_fails_its_own_partitions_fast_and_no_other() {
    let cluster = cluster();
    for partition in 0..4 {
        cluster.partition_leader(TOPIC, partition, Some(if partition == 1 { 2 } else { 1 })).unwrap();
    }
    let publisher = publisher(&cluster, 4_000);
    ready(&publisher).await;
    cluster.broker_down(2).unwrap();
    let to = |partition| OutboundRecord { partition: Some(partition), ..record("k", "v") };
    let mut times = Vec::new();
    for _ in 0..5 {
        let started = Instant::now();
        let results = publisher.publish(vec![to(0), to(1)], soon()).await;
        times.push(started.elapsed());
        assert!(results[0].is_ok(), "the other leader's partition goes on: {:?}", results[0]);
        assert!(results[1].is_err());
    }
    println!("partition cut off, delivery timeout 4 s: {times:?}");
    // librdkafka gives a record up after 3 s: that is what the first three wait for.
    assert!(times[3..].iter().all(|took| *took < Duration::from_secs(2)), "fast after the third failure: {times:?}");
    let anywhere = OutboundRecord { key: None, ..record("", "v") };
    let results = publisher.publish(vec![anywhere; 40], soon()).await;
    assert!(results.iter().all(Result::is_ok), "records without a key go where a leader answers");
    cluster.broker_up(2).unwrap();
    let until = Instant::now() + Duration::from_secs(10);
    while let Err(failure) = publisher.publish(vec![to(1)], soon()).await.remove(0) {
        assert!(Instant::now() < until, "still failing 10 s after the leader returned: {failure:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_topic_and_a_missing_partition_are_told_apart() {
    let cluster = cluster();
    let mut settings = settings(&cluster, 3_000);
    settings.topics = vec![topic()];
    let publisher = KafkaPublisher::start(settings).unwrap();
    ready(&publisher).await;
    let partitions = publisher.partitions(&topic(), soon()).await.unwrap();
    assert_eq!(Partition::count(&partitions), 4);
    let mut to_nowhere = record("k", "v");
    to_nowhere.partition = Some(9);
    let failure = publisher.publish(vec![to_nowhere], soon()).await[0].unwrap_err();
    assert_eq!((failure.cause, failure.persisted), (FailureCause::PartitionMissing, Persisted::No));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clusters_leaders_and_copies_are_told() {
    let cluster = cluster();
    for partition in 0..3 {
        cluster.partition_leader(TOPIC, partition, Some(partition + 1)).unwrap();
    }
    cluster.partition_leader(TOPIC, 3, None).unwrap();
    let publisher = publisher(&cluster, 3_000);
    let partitions = publisher.partitions(&topic(), soon()).await.unwrap();
    let shown: Vec<_> = partitions.iter().map(|partition| (partition.id, partition.leader)).collect();
    assert_eq!(shown, [(0, Some(1)), (1, Some(2)), (2, Some(3)), (3, None)]);
    for partition in partitions.iter() {
        let mut brokers: Vec<i32> = partition.replicas.iter().map(|replica| replica.broker).collect();
        brokers.sort_unstable();
        assert_eq!(brokers, [1, 2, 3], "{partition:?}");
        assert!(partition.replicas.iter().all(|replica| replica.in_sync), "{partition:?}");
    }
}

/// Callers who name partitions that are not there: each learns what holds now, all together ask about twice a second.
#[tokio::test(flavor = "multi_thread")]
async fn callers_cannot_make_a_storm_of_metadata_requests() {
    let cluster = cluster();
    let publisher = publisher(&cluster, 3_000);
    ready(&publisher).await;
    let started = Instant::now();
    let ask = || async { publisher.partitions_now(&topic(), soon()).await.map(|all| Partition::count(&all)) };
    let counts = futures_util::future::join_all((0..50).map(|_| ask())).await;
    assert!(counts.iter().all(|count| *count == Ok(4)), "{counts:?}");
    for _ in 0..3 {
        assert_eq!(ask().await, Ok(4));
    }
    // The first at once, the fifty together at most one more, three one after the other: half a second apart.
    let paused = Duration::from_millis(3 * 500);
    assert!(started.elapsed() >= paused, "{:?}", started.elapsed());
    brokers(&cluster, false);
    let started = Instant::now();
    let soon = Deadline::after(Duration::from_millis(4_000));
    let failure = publisher.partitions_now(&topic(), soon).await.unwrap_err();
    assert_eq!(failure.persisted, Persisted::No);
    assert!(started.elapsed() < Duration::from_millis(2_900), "within the deadline: {:?}", started.elapsed());
    let late = Deadline::after(Duration::from_millis(1_500));
    assert_eq!(publisher.partitions_now(&topic(), late).await.unwrap_err().cause, FailureCause::NoTimeLeft);
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_refusals_keep_their_meaning() {
    let cluster = cluster();
    let publisher = publisher(&cluster, 4_000);
    ready(&publisher).await;
    // What a record is refused for counts once it is refused alone: the second time.
    let cases = [
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, 2, FailureCause::RecordTooLarge),
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, 1, FailureCause::TopicAuthorization),
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP, 2, FailureCause::TimestampOutOfRange),
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_RECORD, 2, FailureCause::Rejected),
    ];
    for (error, times, cause) in cases {
        cluster.request_errors(RDKafkaApiKey::Produce, &vec![error; times]);
        let failure = publisher.publish(vec![record("k", "v")], soon()).await[0].unwrap_err();
        assert_eq!((failure.cause, failure.persisted), (cause, Persisted::No), "{error:?}");
        let until = Instant::now() + Duration::from_secs(5);
        while let Err(next) = publisher.publish(vec![record("k", "v")], soon()).await.remove(0) {
            assert!(Instant::now() < until, "still failing 5 s after {error:?}: {next:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_batch_is_written_record_by_record_in_order() {
    let cluster = cluster();
    let publisher = publisher(&cluster, 4_000);
    ready(&publisher).await;
    // The first batch is refused whatever is in it: none of its records is at fault.
    cluster.request_errors(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE; 1]);
    let records = |from: usize| (from..from + 50).map(|n| record(&format!("k{n}"), &n.to_string())).collect();
    let results = publisher.publish(records(0), soon()).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    // The topic has refused something: records of one key leave one by one, and are in order whatever is refused.
    cluster.request_errors(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE; 1]);
    let same_key: Vec<_> = (0..50).map(|n| record("k", &n.to_string())).collect();
    let results = publisher.publish(same_key, soon()).await;
    let refused: Vec<usize> = (0..50).filter(|index| results[*index].is_err()).collect();
    assert_eq!(refused.len(), 1, "one record was refused alone: {results:?}");
    let offsets: Vec<i64> = results.iter().filter_map(|result| Some(result.as_ref().ok()?.offset)).collect();
    assert!(offsets.is_sorted() && offsets.len() == 49, "{offsets:?}");
    assert_eq!(publisher.stats().rebuilds, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_its_key_has_overtaken_is_left_to_its_sender() {
    let cluster = cluster();
    let publisher = publisher(&cluster, 4_000);
    ready(&publisher).await;
    // Two do not fit into one batch (`batch.size`): the first is refused while the others are on their way.
    let large = "v".repeat(600_000);
    let records: Vec<_> = (0..3).map(|_| record("k", &large)).collect();
    cluster.request_errors(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE; 1]);
    let results = publisher.publish(records.clone(), soon()).await;
    let failure = results[0].unwrap_err();
    assert_eq!((failure.cause, failure.persisted), (FailureCause::Overtaken, Persisted::No), "{results:?}");
    assert!(results[1].is_ok() && results[2].is_ok(), "{results:?}");
    // Sent again by its sender it is written, behind the others.
    let again = publisher.publish(records[..1].to_vec(), soon()).await;
    assert!(again[0].unwrap().offset > results[2].unwrap().offset, "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fatal_error_replaces_the_client_and_the_next_request_succeeds() {
    let cluster = cluster();
    let publisher = publisher(&cluster, 4_000);
    ready(&publisher).await;
    for round in 1..=3 {
        cluster.request_errors(
            RDKafkaApiKey::Produce,
            &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER; 1],
        );
        let first = publisher.publish(vec![record("k", "v")], soon()).await.remove(0);
        let started = Instant::now();
        let next = publisher.publish(vec![record("k", "v")], soon()).await.remove(0);
        assert!(next.is_ok(), "round {round}: {first:?} then {next:?}");
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_too_little_time_nothing_is_enqueued() {
    let cluster = cluster();
    let publisher = publisher(&cluster, 4_000);
    ready(&publisher).await;
    let failure = publisher.publish(vec![record("k", "late")], Deadline::after(Duration::from_millis(1900))).await[0]
        .unwrap_err();
    assert_eq!((failure.cause, failure.persisted), (FailureCause::NoTimeLeft, Persisted::No));
    assert_eq!(publisher.stats().queue_depth, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_comes_before_the_deadline_and_what_it_calls_unwritten_stays_so() {
    let cluster = cluster();
    let publisher = publisher(&cluster, 22_000);
    let mut record = record("k", "late");
    record.partition = Some(0);
    // The partition's leader is connected: what follows is sent to it at once.
    assert!(publisher.publish(vec![record.clone()], soon()).await[0].is_ok());
    for id in 1..=3 {
        cluster.broker_round_trip_time(id, Duration::from_secs(6)).unwrap();
    }
    let started = Instant::now();
    let failure =
        publisher.publish(vec![record.clone(); 3], Deadline::after(Duration::from_secs(4))).await[0].unwrap_err();
    assert!(started.elapsed() < Duration::from_millis(3700), "{:?}", started.elapsed());
    assert_eq!(failure.cause, FailureCause::TimedOut);
    assert_eq!(failure.persisted, Persisted::Unknown, "it was sent, so it may have been written");
    for id in 1..=3 {
        cluster.broker_round_trip_time(id, Duration::ZERO).unwrap();
    }
    assert!(publisher.publish(vec![record], soon()).await[0].is_ok(), "a new client took over");
    assert_eq!(publisher.stats().rebuilds, 1);
}
