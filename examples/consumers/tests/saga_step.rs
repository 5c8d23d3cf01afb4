//! What the saga's step promises, on embedded brokers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failing test may panic")]

use std::sync::Mutex;
use std::time::{Duration, Instant};

use msk_consumer::dead_letters::{DeadLetter, DeadLetterError, DeadLetterSink};
use msk_consumer::idempotency::MemoryStore;
use msk_consumer::{BatchProcessor, BatchSettings, InvocationContext, Outcome, RecordHandler};
use msk_consumer_examples::saga_step::SagaStep;
use msk_shared::deadline::Deadline;
use msk_shared::event::{Header, MskEvent, Record, TombstoneStyle};
use msk_shared::kafka::{KafkaPublisher, KafkaSettings, PublisherSettings};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

const OUTCOMES: &str = "payment-outcomes";

type Cluster = MockCluster<'static, DefaultProducerContext>;

/// Keeps the coordinates of dead letters.
#[derive(Default)]
struct Letters(Mutex<Vec<(Option<i64>, &'static str)>>);

impl DeadLetterSink for Letters {
    async fn send(&self, letter: &DeadLetter, _: Deadline) -> Result<(), DeadLetterError> {
        self.0.lock().unwrap().push((letter.offset, letter.reason.name()));
        Ok(())
    }
}

fn cluster() -> Cluster {
    let cluster = MockCluster::new(3).unwrap();
    cluster.create_topic(OUTCOMES, 1, 3).unwrap();
    cluster
}

/// An execution environment of its own.
fn environment<H: RecordHandler>(handler: H) -> BatchProcessor<H, Letters, MemoryStore> {
    let settings = BatchSettings { report_batch_item_failures: true, ..BatchSettings::default() };
    BatchProcessor::new(handler, Letters::default(), MemoryStore::default(), settings)
}

fn step(cluster: &Cluster) -> SagaStep<KafkaPublisher> {
    let kafka = KafkaSettings::plain(cluster.bootstrap_servers());
    SagaStep::new(KafkaPublisher::start(PublisherSettings::new(kafka, "test")).unwrap(), OUTCOMES.parse().unwrap())
}

async fn deliver<H: RecordHandler>(
    to: &BatchProcessor<H, Letters, MemoryStore>,
    records: impl IntoIterator<Item = Record>,
    deadline: Option<Deadline>,
) -> Vec<String> {
    let invocation = InvocationContext { request_id: "test".to_owned(), deadline };
    let processed = to.process(MskEvent::new(records).to_json(TombstoneStyle::Omit), &invocation).await;
    processed.answer.unwrap().failed().map(ToString::to_string).collect()
}

fn request(offset: i64, value: &str) -> Record {
    Record::new("payments", 0, offset).with_value(Some(value.as_bytes().to_vec()))
}

/// The outcomes as another consumer's records.
fn outcomes(cluster: &Cluster, count: usize) -> Vec<Record> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .set("group.id", "reader")
        .create()
        .unwrap();
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(OUTCOMES, 0, Offset::Beginning).unwrap();
    consumer.assign(&partitions).unwrap();
    let give_up = Instant::now() + Duration::from_secs(20);
    let mut outcomes = Vec::new();
    while outcomes.len() < count && Instant::now() < give_up {
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(200)) else { continue };
        let headers = message.headers().unwrap().iter();
        let headers = headers.map(|header| Header {
            name: header.key.to_owned(),
            value: header.value.map(|value| value.to_vec().into()),
        });
        outcomes.push(
            Record::new(OUTCOMES, 0, message.offset())
                .with_key(message.key().map(<[u8]>::to_vec))
                .with_value(message.payload().map(<[u8]>::to_vec))
                .with_headers(headers),
        );
    }
    assert_eq!(outcomes.len(), count);
    outcomes
}

/// The next step of the saga: notes what it acts upon.
#[derive(Default)]
struct NextStep(Mutex<Vec<String>>);

impl RecordHandler for NextStep {
    async fn handle(&self, record: &Record) -> Outcome {
        self.0.lock().unwrap().push(record.text().unwrap().into_owned());
        Outcome::Done
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_request_has_one_effect_on_the_next_step_also_after_a_crash() {
    let cluster = cluster();
    let requests = [
        request(0, r#"{"saga": "o-1", "amount_cents": 1990}"#),
        request(1, "no request"),
        request(2, r#"{"saga": "o-2", "amount_cents": 100001}"#),
        Record::new("payments", 0, 3),
    ];
    // The second environment comes after a crash of the first: it knows nothing of what was published.
    for _ in 0..2 {
        let environment = environment(step(&cluster));
        assert!(deliver(&environment, requests.clone(), None).await.is_empty());
        assert_eq!(*environment.dead_letters().0.lock().unwrap(), [(Some(1), "undecodable")]);
    }
    let outcomes = outcomes(&cluster, 4);
    assert_eq!(outcomes[0].key().unwrap().as_deref(), Some(&b"o-1"[..]));
    assert_eq!(outcomes[0].header_text("idempotency-key"), outcomes[2].header_text("idempotency-key"));
    assert_ne!(outcomes[0].header_text("idempotency-key"), outcomes[1].header_text("idempotency-key"));

    let next = environment(NextStep::default());
    assert!(deliver(&next, outcomes, None).await.is_empty());
    assert_eq!(
        *next.handler().0.lock().unwrap(),
        [
            r#"{"saga":"o-1","step":"payment","result":"accepted"}"#,
            r#"{"saga":"o-2","step":"payment","result":"rejected"}"#
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_brokers_are_down_a_request_is_not_done() {
    let cluster = cluster();
    let environment = environment(step(&cluster));
    let requests =
        || [request(0, r#"{"saga": "o-1", "amount_cents": 5}"#), request(1, r#"{"saga": "o-1", "amount_cents": 6}"#)];
    (1..=3).for_each(|broker| cluster.broker_down(broker).unwrap());
    let soon = Deadline::after(Duration::from_secs(3));
    assert_eq!(deliver(&environment, requests(), Some(soon)).await, ["payments-0@0", "payments-0@1"]);
    (1..=3).for_each(|broker| cluster.broker_up(broker).unwrap());
    let later = Deadline::after(Duration::from_secs(60));
    assert!(deliver(&environment, requests(), Some(later)).await.is_empty());
}
