//! A step of a saga: takes a request for a payment, decides, and publishes the outcome through the publisher for the next step.
//!
//! - **Redelivery, crash**: a request counts as done only when its outcome is acknowledged by all in-sync replicas. If it comes again,
//!   the same outcome is published again with the same `idempotency-key`, by which a consumer of the outcomes knows it.
//! - **Poison**: a request that is none becomes a dead letter and has no outcome.
//! - **Order**: outcomes of one saga have its id as their key, and so one partition.

use std::time::Duration;

use bytes::Bytes;
use msk_consumer::idempotency::IdempotencyKey;
use msk_consumer::{Outcome, RecordHandler};
use msk_shared::deadline::Deadline;
use msk_shared::env::EnvReader;
use msk_shared::event::Record;
use msk_shared::header::Header;
use msk_shared::kafka::{
    FailureCause, KafkaPublisher, KafkaSettings, OutboundRecord, PublishFailure, Publisher, PublisherSettings,
};
use msk_shared::names::TopicName;
use serde::{Deserialize, Serialize};

/// How long an outcome may take. Less than any sensible timeout of the function, whose deadline ends the attempt in any case.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(10);
/// What this step pays without asking anybody: the business rule of the example.
const LIMIT_CENTS: u64 = 100_000;

/// What a record asks for.
#[derive(Debug, Deserialize)]
struct PaymentRequest {
    saga: String,
    amount_cents: u64,
}

/// What the next step learns.
#[derive(Debug, Serialize)]
struct PaymentOutcome<'r> {
    saga: &'r str,
    step: &'static str,
    result: &'static str,
}

/// Decides on payments.
#[derive(Debug)]
pub struct SagaStep<P> {
    publisher: P,
    outcomes: TopicName,
}

impl SagaStep<KafkaPublisher> {
    /// Reads `APP_OUTCOME_TOPIC` and `KAFKA_*`.
    pub fn from_env(env: &mut EnvReader) -> Option<Self> {
        let kafka = KafkaSettings::from_env(env);
        if env.optional("APP_OUTCOME_TOPIC").is_none() {
            env.problem("APP_OUTCOME_TOPIC is missing: set it to the topic that outcomes are published to");
        }
        let outcomes: TopicName = env.parsed("APP_OUTCOME_TOPIC")?;
        let settings =
            PublisherSettings { topics: vec![outcomes.clone()], ..PublisherSettings::new(kafka?, "saga-step") };
        match KafkaPublisher::start(settings) {
            Ok(publisher) => Some(Self::new(publisher, outcomes)),
            Err(error) => {
                env.problem(error.to_string());
                None
            }
        }
    }
}

impl<P: Publisher> SagaStep<P> {
    /// A step that publishes to the topic `outcomes`.
    pub fn new(publisher: P, outcomes: TopicName) -> Self {
        Self { publisher, outcomes }
    }

    fn outcome_record(&self, request: &PaymentRequest, record: &Record) -> Result<OutboundRecord, serde_json::Error> {
        let result = if request.amount_cents <= LIMIT_CENTS { "accepted" } else { "rejected" };
        let outcome = PaymentOutcome { saga: &request.saga, step: "payment", result };
        let key = format!("payment/{}", IdempotencyKey::for_record(record));
        Ok(OutboundRecord {
            topic: self.outcomes.clone(),
            partition: None,
            key: Some(Bytes::from(request.saga.clone())),
            value: Some(serde_json::to_vec(&outcome)?.into()),
            timestamp_ms: None,
            headers: vec![
                Header { name: "content-type".into(), value: Some(Bytes::from_static(b"application/json")) },
                Header { name: "idempotency-key".into(), value: Some(key.into()) },
            ],
        })
    }
}

impl<P: Publisher> RecordHandler for SagaStep<P> {
    async fn handle(&self, record: &Record) -> Outcome {
        if record.is_tombstone() {
            return Outcome::Skip("a request is never deleted".into());
        }
        let request: PaymentRequest = match record.json() {
            Ok(request) => request,
            Err(error) => return Outcome::Poison(error.into()),
        };
        let outcome = match self.outcome_record(&request, record) {
            Ok(outcome) => outcome,
            Err(error) => return Outcome::Poison(error.into()),
        };
        let results = self.publisher.publish(vec![outcome], Deadline::after(PUBLISH_TIMEOUT)).await;
        match results.into_iter().next() {
            Some(Ok(_)) => Outcome::Done,
            Some(Err(failure)) => failed(failure),
            None => Outcome::Retry("the publisher gave no result".into()),
        }
    }
}

/// What will never be taken is poison; everything else may pass, whether the outcome was written or not.
fn failed(failure: PublishFailure) -> Outcome {
    let error = format!("the outcome was not acknowledged: {}", failure.cause.name());
    match failure.cause {
        FailureCause::RecordTooLarge | FailureCause::Rejected => Outcome::Poison(error.into()),
        _ => Outcome::Retry(error.into()),
    }
}
