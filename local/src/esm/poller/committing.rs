//! How a poller commits: in the background, one commit at a time, and a last one before it leaves the group.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::KafkaResult;

use super::super::chaos::DecisionPoint;
use super::super::chaos_settings::ChaosFault;
use super::super::consumer::{self, GroupEvent};
use super::Poller;

/// How long the last commit and leaving the group may take in total.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

impl Poller {
    /// Sends what may be committed, unless a commit is under way.
    pub(super) fn commit(&mut self) {
        let Some(positions) = self.commits.next(Instant::now()) else { return };
        if self.is_lost(&positions) {
            self.commits.failed(Instant::now());
            self.delivery.metrics.update(|counts| counts.commit_error_count += 1);
            return self.delivery.log.error("LostCommit", "chaos: the commit did not reach the brokers");
        }
        let (list, consumer) = (consumer::offsets(&self.topic, &positions), Arc::clone(&self.consumer));
        let done = self.own_events.clone();
        // librdkafka reports an asynchronous commit only to a callback that the client library does not set.
        tokio::task::spawn_blocking(move || {
            let result = list.and_then(|list| consumer.commit(&list, CommitMode::Sync));
            drop(consumer);
            let _ = done.send(GroupEvent::Committed(result));
        });
    }

    /// Whether the commit of these positions is lost on request. The last one before the end never is: nobody would repeat it.
    fn is_lost(&mut self, positions: &BTreeMap<i32, i64>) -> bool {
        let attempt = self.lost_commits + 1;
        let lost = positions.first_key_value().is_some_and(|(partition, offset)| {
            let at = DecisionPoint { partition: *partition, offset: *offset, attempt };
            self.delivery.chaos.strikes(ChaosFault::LostCommit, at)
        });
        self.lost_commits = if lost { attempt } else { 0 };
        lost
    }

    pub(super) fn on_committed(&mut self, result: KafkaResult<()>) {
        match result {
            Ok(()) => {
                let records = self.commits.succeeded();
                self.delivery.metrics.update(|counts| counts.committed_event_count += records);
            }
            Err(error) => {
                self.commits.failed(Instant::now());
                if consumer::is_rebalance(&error) {
                    self.commits.refused_by_rebalance();
                }
                self.delivery.metrics.update(|counts| counts.commit_error_count += 1);
                self.delivery.log.kafka_error(&error);
                tracing::warn!(%error, topic = %self.topic, "a commit failed; it will be retried");
            }
        }
    }

    /// Commits what is finished and leaves the group, within [`CLOSE_TIMEOUT`].
    pub(super) async fn close(mut self) {
        self.deliveries.abort_all();
        self.on_all_finished();
        let (last, records) = self.commits.take_all();
        let list = consumer::offsets(&self.topic, &last);
        let (consumer, topic) = (Arc::clone(&self.consumer), Arc::clone(&self.topic));
        let (metrics, log) = (Arc::clone(&self.delivery.metrics), self.delivery.log.clone());
        // Both calls block, and the consumer waits for the brokers when it is dropped.
        drop(self);
        let closing = tokio::task::spawn_blocking(move || {
            if !last.is_empty() {
                match list.and_then(|list| consumer.commit(&list, CommitMode::Sync)) {
                    Ok(()) => metrics.update(|counts| counts.committed_event_count += records),
                    Err(error) => {
                        metrics.update(|counts| counts.commit_error_count += 1);
                        log.kafka_error(&error);
                        tracing::warn!(%error, %topic, "the last commit failed; its records will be redelivered");
                    }
                }
            }
            drop(consumer);
        });
        if tokio::time::timeout(CLOSE_TIMEOUT, closing).await.is_err() {
            tracing::warn!("the brokers did not answer while the poller was leaving the consumer group");
        }
    }
}
