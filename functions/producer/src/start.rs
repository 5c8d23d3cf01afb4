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
    let warm_up_ms = warm_up.duration.as_millis() as u64;
    let [created_ms, token_ms, first_answer_ms, producer_id_ms] = warm_up.milestones.millis();
    let topics = config.topics.iter().count();
    match warm_up.cause {
        None => {
            tracing::info!(
                warm_up_ms,
                created_ms,
                token_ms,
                first_answer_ms,
                producer_id_ms,
                topics,
                "connected to the cluster"
            );
        }
        Some(cause) => {
            let cause = cause.name();
            tracing::error!(
                warm_up_ms,
                created_ms,
                token_ms,
                first_answer_ms,
                producer_id_ms,
                cause,
                "the cluster does not answer yet; starting all the same"
            );
        }
    }
    for topic in &warm_up.missing_topics {
        tracing::error!(topic = %topic, "deployment fault: a topic of TOPICS is missing on the cluster, or hidden from us");
    }
    Ok(Arc::new(App::new(config, publisher, started.elapsed(), Some(warm_up))))
}
