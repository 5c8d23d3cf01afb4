//! What the cluster says of a topic's settings: how large a message it takes, and whether it is compacted.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::error::KafkaResult;
use tokio::sync::OnceCell;

use super::kafka_client::{ClientSettings, QuietContext, client_settings};
use super::mapping::Mapping;
use crate::brokers;

/// Apache Kafka's `message.max.bytes`, and MSK's: what a topic takes that says nothing itself.
const DEFAULT_BYTES: usize = 1_048_588;
/// A cluster that does not answer is not waited for.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// The head of a record batch (Kafka protocol, "Record Batch", version 2).
const BATCH_HEAD: usize = 61;

/// A topic's `max.message.bytes`, asked once.
pub(super) struct TopicLimit {
    client: ClientSettings,
    bytes: OnceCell<Option<usize>>,
}

impl TopicLimit {
    /// Will ask with the settings of `client`.
    pub(super) fn new(client: ClientSettings) -> Self {
        Self { client, bytes: OnceCell::new() }
    }

    /// The topic's limit. `None` when the cluster does not tell it: then the broker's own answer decides.
    pub(super) async fn bytes(&self, topic: &str) -> Option<usize> {
        let ask = async || {
            // They cannot be asked and refuse nothing: they stand for a cluster with the defaults.
            if is_embedded(&self.client).await {
                return Some(DEFAULT_BYTES);
            }
            let values = setting(&self.client, &[topic], "max.message.bytes").await;
            values
                .inspect_err(|error| tracing::debug!(%error, topic, "max.message.bytes is not known"))
                .ok()
                .and_then(|values| values.into_iter().flatten().next()?.parse().ok())
        };
        *self.bytes.get_or_init(ask).await
    }
}

/// Which of the mappings' topics are compacted. `None` where the cluster does not tell.
pub async fn compacted(mappings: &[Mapping], bootstrap_servers: &str) -> Vec<Option<bool>> {
    let Some(first) = mappings.first() else { return Vec::new() };
    let topics: Vec<&str> = mappings.iter().map(|mapping| mapping.topic.as_str()).collect();
    match setting(&client_settings(first, bootstrap_servers), &topics, "cleanup.policy").await {
        Ok(policies) => {
            policies.into_iter().map(|policy| Some(policy?.split(',').any(|word| word.trim() == "compact"))).collect()
        }
        Err(error) => {
            tracing::debug!(%error, "cleanup.policy is not known");
            vec![None; topics.len()]
        }
    }
}

/// Whether the brokers are the embedded ones.
async fn is_embedded(client: &ClientSettings) -> bool {
    let Ok(admin) = client.create::<AdminClient<QuietContext>>() else {
        return false;
    };
    let id = tokio::task::spawn_blocking(move || admin.inner().fetch_cluster_id(ANSWER_TIMEOUT)).await;
    id.ok().flatten().is_some_and(|id| id == brokers::CLUSTER_ID)
}

/// One setting of each topic; `None` for a topic that does not tell it.
async fn setting(client: &ClientSettings, topics: &[&str], name: &str) -> KafkaResult<Vec<Option<String>>> {
    let admin: AdminClient<QuietContext> = client.create()?;
    let options = AdminOptions::new().request_timeout(Some(ANSWER_TIMEOUT));
    let asked: Vec<ResourceSpecifier<'_>> = topics.iter().map(|topic| ResourceSpecifier::Topic(topic)).collect();
    let answers = admin.describe_configs(&asked, &options).await?;
    Ok(answers.into_iter().map(|answer| answer.ok()?.get(name)?.value.clone()).collect())
}

/// What a topic's limit counts: the batch that a single message without headers makes, not compressed.
pub(super) fn batch_bytes(key: Option<usize>, value: usize) -> usize {
    // Attributes, time and offset within the batch, and the number of headers: a byte each.
    let record = 4 + key.map_or(1, |key| varint_bytes(key) + key) + varint_bytes(value) + value;
    BATCH_HEAD + varint_bytes(record) + record
}

/// The length of a length, as a zigzag varint.
fn varint_bytes(length: usize) -> usize {
    let bits = usize::BITS - (length * 2).leading_zeros();
    bits.div_ceil(7).max(1) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By the layout of the protocol, part by part.
    #[test]
    fn a_batch_is_counted_as_brokers_count_it() {
        assert_eq!(batch_bytes(None, 0), 61 + 1 + 6);
        assert_eq!(batch_bytes(Some(3), 5), 61 + 1 + 4 + 4 + 6);
        assert_eq!(batch_bytes(None, 63), 61 + 2 + 4 + 1 + 1 + 63);
        assert_eq!(batch_bytes(None, 64), 61 + 2 + 4 + 1 + 2 + 64);
        assert_eq!(batch_bytes(Some(0), 1_000_000), 61 + 3 + 4 + 1 + 3 + 1_000_000);
    }
}
