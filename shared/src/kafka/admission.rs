//! Before anything is sent: the client is replaced when it cannot be trusted, connected when it was not, and records for
//! partitions whose leader is cut off are kept back.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::client::Client;
use super::failure::{FailureCause, PublishFailure};
use super::guard::ReplaceReason;
use super::partitions::partition_of;
use super::publisher::{KafkaPublisher, METADATA_AGE, RESERVE};
use super::record::OutboundRecord;
use super::token::TokenSource;
use crate::deadline::Deadline;
use crate::names::TopicName;

/// How long a request waits for a cluster that was not seen before, or was lost.
pub(super) const CONNECT: Duration = Duration::from_secs(5);
/// The same once several requests in a row have failed: fail fast.
pub(super) const CONNECT_OPEN: Duration = Duration::from_millis(800);

/// Pause between two questions to a source of tokens that fails.
const TOKEN_PAUSE: Duration = Duration::from_millis(300);

/// Asks for a token until there is one or the time is over.
async fn token_in_hand(tokens: &TokenSource, until: Instant) -> Result<(), PublishFailure> {
    const REFUSED: PublishFailure = PublishFailure::not_sent(FailureCause::Authentication);
    loop {
        let source = tokens.clone();
        // Its questions block.
        let asked = tokio::task::spawn_blocking(move || source.token());
        match tokio::time::timeout_at(until.into(), asked).await {
            Ok(Ok(Ok(_))) => return Ok(()),
            Ok(Ok(Err(error))) => tracing::warn!(error = %error, "no MSK IAM token"),
            Ok(Err(_)) | Err(_) => return Err(REFUSED),
        }
        if until.saturating_duration_since(Instant::now()) <= TOKEN_PAUSE {
            return Err(REFUSED);
        }
        tokio::time::sleep(TOKEN_PAUSE).await;
    }
}

impl KafkaPublisher {
    /// The client for one request: replaced when it cannot be trusted, connected when it was not.
    pub(super) async fn admit(&self, deadline: Deadline) -> Result<Arc<Client>, PublishFailure> {
        let patience = CONNECT.min(self.0.settings.delivery_timeout());
        let bound = if self.0.guard.is_open() { CONNECT_OPEN } else { patience };
        let until = Instant::now() + bound.min(deadline.remaining_less(RESERVE));
        let client = self.trusted(until).await?;
        if client.context().is_connected() && client.context().has_producer_id() && !self.0.guard.is_open() {
            return Ok(client);
        }
        client.connect(&self.0.settings.topics, until.saturating_duration_since(Instant::now())).await?;
        Ok(client)
    }

    /// The client, or a new one in its place when it cannot be trusted. A new one starts with a token in hand: librdkafka waits
    /// 10 s after a failed request for one.
    pub(super) async fn trusted(&self, until: Instant) -> Result<Arc<Client>, PublishFailure> {
        let client = self.client();
        let tokens = self.0.settings.kafka.tokens.as_ref();
        // Looked at before a token is asked for: with a new one nobody sees any more that the client's own has ended.
        let reason = self.0.guard.why_replace(&client, tokens);
        if let Some(tokens) = tokens
            && (tokens.has_expired() || client.context().token_failed())
        {
            token_in_hand(tokens, until).await?;
        }
        match reason.or_else(|| self.0.guard.why_replace(&client, tokens)) {
            Some(reason) => self.replace(client, reason).await,
            None => Ok(client),
        }
    }

    /// Puts a new client in the old one's place. The old one ends when its last request has answered.
    async fn replace(&self, old: Arc<Client>, reason: ReplaceReason) -> Result<Arc<Client>, PublishFailure> {
        let _one_at_a_time = self.0.replacing.lock().await;
        let current = self.client();
        if !Arc::ptr_eq(&current, &old) {
            return Ok(current);
        }
        let (config, tokens) = (self.0.config.clone(), self.0.settings.kafka.tokens.clone());
        // Creating one reads certificates and starts threads: never on an async thread.
        let started = tokio::task::spawn_blocking(move || Client::start(&config, tokens)).await;
        let new = started.map_err(|error| error.to_string()).and_then(|started| started.map_err(|e| e.to_string()));
        let new = new.map_err(|error| {
            tracing::error!(error, "the Kafka client cannot be rebuilt");
            PublishFailure::not_sent(FailureCause::Fatal)
        })?;
        old.retire();
        self.0.guard.note_replaced(old.context().auth_failures());
        *self.0.client.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&new);
        tracing::warn!(reason = reason.name(), "the Kafka client was replaced");
        Ok(new)
    }

    /// Says of each record whether it must be kept back because its partition's leader does not answer. Records that may go
    /// anywhere are sent elsewhere.
    pub(super) async fn keep_back(
        &self,
        client: &Arc<Client>,
        records: &mut [OutboundRecord],
        deadline: Deadline,
    ) -> Vec<bool> {
        let bound = || CONNECT_OPEN.min(deadline.remaining_less(RESERVE));
        let mut kept_back = vec![false; records.len()];
        let topics: BTreeSet<TopicName> = records.iter().map(|record| record.topic.clone()).collect();
        for topic in topics {
            let suspects = self.0.partitions.suspects(&topic);
            if suspects.is_empty() {
                continue;
            }
            let count = client.partition_count(&topic, METADATA_AGE, bound()).await.unwrap_or(0);
            let silent = self.silent_partitions(client, &topic, suspects, bound()).await;
            let answering: Vec<i32> =
                (0..count.cast_signed()).filter(|partition| !silent.contains(partition)).collect();
            for (index, record) in records.iter_mut().enumerate().filter(|(_, record)| record.topic == topic) {
                match partition_of(record, count) {
                    Some(partition) => kept_back[index] = silent.contains(&partition),
                    None if answering.is_empty() => kept_back[index] = true,
                    None => record.partition = answering.get(index % answering.len()).copied(),
                }
            }
        }
        kept_back
    }

    /// Asks the leaders of suspect partitions, all at once; those that answer are suspects no longer.
    async fn silent_partitions(
        &self,
        client: &Arc<Client>,
        topic: &TopicName,
        suspects: Vec<i32>,
        bound: Duration,
    ) -> BTreeSet<i32> {
        let asked = suspects
            .into_iter()
            .map(|partition| async move { (partition, client.leader_answers(topic.clone(), partition, bound).await) });
        let mut silent = BTreeSet::new();
        for (partition, answers) in futures_util::future::join_all(asked).await {
            if answers {
                self.0.partitions.clear(topic, partition);
            } else {
                silent.insert(partition);
            }
        }
        silent
    }
}
