//! The state that all requests share.

use std::time::Duration;

use msk_shared::kafka::{KafkaPublisher, Publisher, PublisherStats, WarmUp};

use super::request_metrics::RequestMetrics;
use crate::config::Config;

/// A publisher that also counts.
pub trait Backend: Publisher {
    /// Counters since the start.
    fn stats(&self) -> PublisherStats;
}

impl Backend for KafkaPublisher {
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
