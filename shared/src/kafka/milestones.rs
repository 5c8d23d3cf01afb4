//! The result of a warm-up, and its log line.

use std::time::Duration;

use super::failure::FailureCause;
use crate::names::TopicName;

/// When the client first reached each step, counted from the start of its creation; `None`: not yet. librdkafka reports neither when
/// a connection was established nor when it was authenticated: both come before the first answer.
///
/// ```
/// use std::time::Duration;
///
/// use msk_shared::kafka::Milestones;
///
/// let milestones = Milestones { created: Some(Duration::from_millis(4)), ..Milestones::default() };
/// let json = serde_json::to_value(milestones)?;
/// assert_eq!((&json["created_ms"], &json["first_answer_ms"]), (&4.into(), &serde_json::Value::Null));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Milestones {
    /// The client existed, its settings and certificates read; it connects in the background.
    #[serde(rename = "created_ms", serialize_with = "in_ms")]
    pub created: Option<Duration>,
    /// An MSK IAM token was signed and handed to librdkafka.
    #[serde(rename = "token_ms", serialize_with = "in_ms")]
    pub token: Option<Duration>,
    /// A broker answered: connected, authenticated, metadata fetched. Never after [`Self::producer_id`].
    #[serde(rename = "first_answer_ms", serialize_with = "in_ms")]
    pub first_answer: Option<Duration>,
    /// The idempotent producer had its id (KIP-98).
    #[serde(rename = "producer_id_ms", serialize_with = "in_ms")]
    pub producer_id: Option<Duration>,
}

/// The result of a warm-up. A warm-up never fails: a cluster that is down must not fail init.
///
/// ```
/// use std::time::Duration;
///
/// use msk_shared::kafka::{KafkaPublisher, KafkaSettings, PublisherSettings};
///
/// # msk_shared::executor::with_threads(1)?.block_on(async {
/// // Nothing listens there.
/// let publisher = KafkaPublisher::start(PublisherSettings::new(KafkaSettings::plain("127.0.0.1:9"), "shop"))?;
/// let warm_up = publisher.warm_up(Duration::from_millis(50)).await;
/// warm_up.log("the cluster", "APP_TOPICS");
/// assert!(warm_up.result.is_err() && warm_up.milestones.first_answer.is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WarmUp {
    /// Whether a broker answered and a producer id was acquired, or why not.
    pub result: Result<(), FailureCause>,
    /// From its start to its end.
    pub duration: Duration,
    /// How long its steps took.
    pub milestones: Milestones,
    /// Topics that the cluster does not have or does not show to this client: a deployment fault.
    pub missing_topics: Vec<TopicName>,
}

impl WarmUp {
    /// Logs the warm-up in one line and each missing topic in another. `cluster` is the subject: `the cluster`; `setting`
    /// is the variable that names the topics.
    pub fn log(&self, cluster: &str, setting: &str) {
        let Milestones { created, token, first_answer, producer_id } = self.milestones;
        let warm_up_ms = whole_ms(self.duration);
        let [created_ms, token_ms, first_answer_ms, producer_id_ms] =
            [created, token, first_answer, producer_id].map(|step| step.map(whole_ms));
        match self.result {
            Ok(()) => tracing::info!(
                warm_up_ms,
                created_ms,
                token_ms,
                first_answer_ms,
                producer_id_ms,
                "connected to {cluster}"
            ),
            Err(cause) => tracing::error!(
                warm_up_ms,
                created_ms,
                token_ms,
                first_answer_ms,
                producer_id_ms,
                cause = cause.name(),
                "{cluster} does not answer yet; starting all the same"
            ),
        }
        for topic in &self.missing_topics {
            tracing::error!(
                %topic,
                "deployment fault: {setting} names a topic that {cluster} does not have, or that this function is not allowed to see"
            );
        }
    }
}

fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn in_ms<S: serde::Serializer>(step: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    serde::Serialize::serialize(&step.map(whole_ms), serializer)
}
