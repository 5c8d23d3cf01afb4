//! The state that all requests share.

use std::time::Duration;

use msk_shared::kafka::{KafkaPublisher, Publisher, PublisherStats, WarmUp};

use crate::config::Config;
use crate::metrics::Metrics;

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
pub struct App<B> {
    pub(crate) config: Config,
    pub(crate) backend: B,
    pub(crate) metrics: Metrics,
    pub(crate) warm_up: Option<WarmUp>,
}

impl<B: Backend> App<B> {
    /// A started application; `init` is how long the start took, `warm_up` how the Kafka client's went.
    pub fn new(config: Config, backend: B, init: Duration, warm_up: Option<WarmUp>) -> Self {
        let metrics = Metrics::new(&config.metrics_namespace, init);
        Self { config, backend, metrics, warm_up }
    }

    /// The publisher, to be shut down at the end.
    pub fn publisher(&self) -> &B {
        &self.backend
    }
}
