//! How long a poller has heard nothing, and what the brokers say when they are asked about it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaResult;
use tokio::task::{JoinError, JoinSet};

use super::broker_queries::ANSWER_TIMEOUT;
use super::consumer::GroupConsumer;

/// How long nothing may come before the brokers are asked. A quiet topic costs them two small requests a minute.
const SILENCE: Duration = Duration::from_secs(30);

/// When something came last, and the question to the brokers that is under way.
pub(super) struct Silence {
    since: Instant,
    question: JoinSet<KafkaResult<()>>,
}

impl Default for Silence {
    fn default() -> Self {
        Self { since: Instant::now(), question: JoinSet::new() }
    }
}

impl Silence {
    pub(super) fn broken(&mut self) {
        self.since = Instant::now();
    }

    /// When to ask; nothing while a question is under way.
    pub(super) fn asks_at(&self) -> Option<Instant> {
        self.question.is_empty().then(|| self.since + SILENCE)
    }

    pub(super) async fn answered(&mut self) -> Option<Result<KafkaResult<()>, JoinError>> {
        self.question.join_next().await
    }

    /// Asks the brokers if nothing has come for too long.
    pub(super) fn ask(&mut self, consumer: &Arc<GroupConsumer>, topic: &Arc<str>) {
        if self.asks_at().is_none_or(|at| at > Instant::now()) {
            return;
        }
        let (consumer, topic) = (Arc::clone(consumer), Arc::clone(topic));
        self.question.spawn_blocking(move || consumer.fetch_metadata(Some(&topic), ANSWER_TIMEOUT).map(|_metadata| ()));
    }

    /// Whether the brokers have not answered, and nothing came meanwhile.
    pub(super) fn is_confirmed(&mut self, answer: Result<KafkaResult<()>, JoinError>) -> bool {
        let confirmed = matches!(answer, Ok(Err(_))) && self.since.elapsed() >= SILENCE;
        self.broken();
        confirmed
    }
}
