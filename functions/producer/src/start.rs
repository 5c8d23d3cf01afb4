//! From the environment to a running application: the one path for every way of serving.

use std::sync::Arc;
use std::time::{Duration, Instant};

use msk_shared::env::{EnvError, EnvReader};
use msk_shared::kafka::{KafkaPublisher, StartError};

use crate::app::App;
use crate::config::Config;

/// How long the Kafka client may take to warm up. Lambda's init phase ends after 10 s; a cluster that is down must not use it up.
const WARM_UP: Duration = Duration::from_secs(3);

/// Why the application cannot start. A cluster that is down is no reason.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The environment.
    #[error(transparent)]
    Environment(#[from] EnvError),
    /// The Kafka client.
    #[error(transparent)]
    Kafka(#[from] StartError),
}

/// Reads the configuration, creates the Kafka client and warms it up.
///
/// # Errors
/// [`InitError`]
pub async fn start(env: EnvReader, started: Instant) -> Result<Arc<App<KafkaPublisher>>, InitError> {
    let config = Config::from_env(env)?;
    let publisher = KafkaPublisher::start(config.publisher_settings())?;
    let warm_up = publisher.warm_up(WARM_UP).await;
    warm_up.log("the cluster");
    Ok(Arc::new(App::new(config, publisher, started.elapsed(), Some(warm_up))))
}
