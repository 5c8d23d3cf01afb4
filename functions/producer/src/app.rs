//! From the environment to a running application: the one path for every way of serving.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use msk_shared::env::{EnvError, EnvReader};
use msk_shared::kafka::{KafkaPublisher, StartError};

use crate::api::router::router;
use crate::api::state::AppState;
use crate::config::Config;

/// How long the Kafka client may take to warm up. Lambda's init phase ends after 10 s; a cluster that is down must not use up that time.
const WARM_UP: Duration = Duration::from_secs(3);

/// A running application.
pub struct App {
    pub router: Router,
    pub(crate) state: Arc<AppState<KafkaPublisher>>,
}

impl App {
    /// Writes the metrics that are held and sends queued records, within `bound`.
    pub(crate) async fn shut_down(&self, bound: Duration) {
        self.state.metrics.write_held();
        self.state.backend.shutdown(bound).await;
    }
}

/// Why the application cannot start. An unreachable cluster is not a reason.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    #[error(transparent)]
    Environment(#[from] EnvError),
    #[error(transparent)]
    Kafka(#[from] StartError),
}

/// Reads the configuration, creates the Kafka client and warms it up.
///
/// # Errors
/// [`InitError`]
pub async fn start(env: EnvReader, started: Instant) -> Result<App, InitError> {
    let config = Config::from_env(env)?;
    let publisher = KafkaPublisher::start(config.publisher_settings())?;
    let warm_up = publisher.warm_up(WARM_UP).await;
    warm_up.log("the cluster", "TOPICS");
    let state = Arc::new(AppState::new(config, publisher, started.elapsed(), Some(warm_up)));
    Ok(App { router: router(Arc::clone(&state)), state })
}
