//! The state that all requests share.

use std::future::Future;
use std::time::Duration;

use msk_shared::deadline::Deadline;
use msk_shared::kafka::{KafkaPublisher, Publisher, PublisherStats, WarmUp};
use msk_shared::names::TopicName;

use super::request_metrics::RequestMetrics;
use crate::config::Config;

/// A publisher that also counts, and knows the limits of topics.
pub trait Backend: Publisher {
    /// A topic's `max.message.bytes`, when the cluster tells it; asked after a record was refused for its size.
    fn max_message_bytes(&self, topic: &TopicName, deadline: Deadline) -> impl Future<Output = Option<usize>> + Send;

    /// Counters since the start.
    fn stats(&self) -> PublisherStats;
}

impl Backend for KafkaPublisher {
    async fn max_message_bytes(&self, topic: &TopicName, deadline: Deadline) -> Option<usize> {
        KafkaPublisher::max_message_bytes(self, topic, deadline).await
    }

    fn stats(&self) -> PublisherStats {
        self.stats()
    }
}

/// The state that all requests share.
#[derive(Debug)]
pub struct AppState<B> {
    pub(crate) config: Config,
    pub(crate) backend: B,
    pub(crate) metrics: RequestMetrics,
    pub(crate) warm_up: Option<WarmUp>,
}

impl<B: Backend> AppState<B> {
    /// `init` is how long the start took, `warm_up` how the Kafka client's went.
    pub fn new(config: Config, backend: B, init: Duration, warm_up: Option<WarmUp>) -> Self {
        let metrics = RequestMetrics::new(&config.metrics_namespace, init);
        Self { config, backend, metrics, warm_up }
    }
}
