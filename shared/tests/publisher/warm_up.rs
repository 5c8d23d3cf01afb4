//! Becoming ready: the warm-up and its steps, what `/readyz` is told, and the first acknowledgement.

use std::time::{Duration, Instant};

use msk_shared::env::EnvReader;
use msk_shared::kafka::{
    FailureCause, KafkaPublisher, KafkaSettings, Milestones, NotReady, OutboundRecord, Publisher, PublisherSettings,
};
use msk_shared::names::TopicName;
use rdkafka::types::RDKafkaRespErr;

use crate::{TOPIC, brokers, cluster, publisher, ready, record, settings, soon};

#[tokio::test(flavor = "multi_thread")]
async fn warm_up_of_a_dead_cluster_is_bounded_and_says_why() {
    let cluster = cluster();
    let settings = settings(&cluster, 3_000);
    brokers(&cluster, false);
    let publisher = KafkaPublisher::start(settings).unwrap();
    let started = Instant::now();
    let warm_up = publisher.warm_up(Duration::from_secs(1)).await;
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert_eq!(warm_up.result, Err(FailureCause::BrokersUnreachable));
    let created = warm_up.milestones.created;
    assert!(created.is_some(), "creating a client takes no broker");
    assert_eq!(warm_up.milestones, Milestones { created, ..Milestones::default() }, "no other step was reached");
    let readiness = publisher.readiness(soon()).await;
    assert!(!readiness.is_ready());
    assert_eq!(readiness.brokers, Err(NotReady::NoBroker));
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_is_what_brokers_answer_now_not_what_they_did() {
    let cluster = cluster();
    let publisher = publisher(&cluster, 3_000);
    ready(&publisher).await;
    assert!(publisher.readiness(soon()).await.is_ready());
    let slow = |by| (1..=3).for_each(|id| cluster.broker_round_trip_time(id, by).unwrap());
    // Connected and silent: nothing tells librdkafka that they are down.
    slow(Duration::from_secs(6));
    let started = Instant::now();
    let readiness = publisher.readiness(soon()).await;
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert_eq!(readiness.brokers, Err(NotReady::NoBroker));
    slow(Duration::ZERO);
    let until = Instant::now() + Duration::from_secs(20);
    while !publisher.readiness(soon()).await.is_ready() {
        assert!(Instant::now() < until, "not ready 20 s after the brokers answer again");
    }
}

/// librdkafka chooses whom it asks for metadata: nearly always one of those that hang.
#[tokio::test(flavor = "multi_thread")]
async fn brokers_that_hang_neither_hide_the_one_that_answers_nor_are_held_against_the_client() {
    let cluster = cluster();
    for partition in 0..4 {
        cluster.partition_leader(TOPIC, partition, Some(if partition == 0 { 1 } else { 2 })).unwrap();
    }
    let publisher = publisher(&cluster, 4_000);
    ready(&publisher).await;
    let to = |partition| OutboundRecord { partition: Some(partition), ..record("k", "v") };
    assert!(publisher.publish(vec![to(0)], soon()).await[0].is_ok());
    [1, 3].into_iter().for_each(|id| cluster.broker_round_trip_time(id, Duration::from_secs(6)).unwrap());
    for _ in 0..5 {
        let readiness = publisher.readiness(soon()).await;
        assert!(readiness.is_ready(), "{readiness:?}");
        let started = Instant::now();
        let result = publisher.publish(vec![to(1)], soon()).await.remove(0);
        assert!(result.is_ok() && started.elapsed() < Duration::from_secs(2), "{result:?} {:?}", started.elapsed());
    }
}

/// The client asks for its first topic when it connects: that this one is missing says nothing of the cluster.
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_topic_does_not_make_the_cluster_look_dead() {
    let cluster = cluster();
    cluster.topic_error("ghost", RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART).unwrap();
    cluster.topic_error("hidden", RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED).unwrap();
    let mut settings = settings(&cluster, 2_000);
    let absent = ["ghost", "hidden"].map(|name| TopicName::parse(name).unwrap());
    settings.topics.splice(0..0, absent.clone());
    let publisher = KafkaPublisher::start(settings).unwrap();
    let warm_up = publisher.warm_up(Duration::from_secs(3)).await;
    assert!(warm_up.result.is_ok() && warm_up.duration < Duration::from_secs(2), "{warm_up:?}");
    assert_eq!(warm_up.missing_topics, absent);
    assert!(publisher.readiness(soon()).await.is_ready());
    // Until the client is replaced and every request connects first.
    brokers(&cluster, false);
    for _ in 0..4 {
        assert!(publisher.publish(vec![record("k", "v")], soon()).await[0].is_err());
    }
    brokers(&cluster, true);
    let result = publisher.publish(vec![record("k", "v")], soon()).await.remove(0);
    assert!(result.is_ok(), "{result:?} after {} new clients", publisher.stats().rebuilds);
}

/// The token is the function's own step: it is timed also when no broker takes it.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_token_of_a_dead_cluster_is_timed() {
    let mut env = EnvReader::new([
        ("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1"),
        ("KAFKA_AUTH", "iam"),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ]);
    let kafka = KafkaSettings::from_env(&mut env).unwrap();
    let publisher = KafkaPublisher::start(PublisherSettings::new(kafka, "test")).unwrap();
    let warm_up = publisher.warm_up(Duration::from_secs(2)).await;
    let steps = warm_up.milestones;
    assert!(steps.created.is_some() && steps.created <= steps.token, "{warm_up:?}");
    assert_eq!((steps.first_answer, steps.producer_id), (None, None), "{warm_up:?}");
}

/// Without the two knobs of `properties.rs` every run takes 500 ms or more. One run of a series does so where the
/// machine stands still for a moment.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_acknowledgement_does_not_wait_for_librdkafkas_timer() {
    const SERIES: usize = 3;
    const LONGEST: Duration = Duration::from_millis(450);
    let mut slowest = Vec::new();
    while slowest.len() < SERIES && slowest.last().is_none_or(|slowest| *slowest >= LONGEST) {
        slowest.push(slowest_first_acknowledgement().await);
    }
    assert!(slowest.last() < Some(&LONGEST), "the slowest of each series: {slowest:?}");
}

/// From the creation of a cold client to the acknowledgement of its first record; the slowest of a series.
async fn slowest_first_acknowledgement() -> Duration {
    const RUNS: usize = 50;
    let cluster = cluster();
    let mut times = Vec::new();
    for _ in 0..RUNS {
        let started = Instant::now();
        let publisher = publisher(&cluster, 22_000);
        let warm_up = publisher.warm_up(Duration::from_secs(3)).await;
        assert!(warm_up.result.is_ok(), "{warm_up:?}");
        assert!(publisher.publish(vec![record("k", "v")], soon()).await[0].is_ok());
        let steps = warm_up.milestones;
        let took = started.elapsed();
        let reached = [steps.created, steps.first_answer, steps.producer_id, Some(took)];
        assert!(reached[0].is_some() && reached.is_sorted(), "in this order, all within {took:?}: {warm_up:?}");
        assert_eq!(steps.token, None, "without IAM there is no token");
        times.push(took);
    }
    times.sort();
    println!("first acknowledgement, {RUNS} cold clients: p50 {:?}, maximum {:?}", times[RUNS / 2], times[RUNS - 1]);
    times[RUNS - 1]
}
