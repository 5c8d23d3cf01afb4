//! How a poller begins again with another client when no broker answers its own.
//!
//! A broker that tells of no broker, as while the controller fences all of them, makes librdkafka 2.12.1 forget every one, for
//! good (its issue 5301). Where brokers are only down for long, what was finished and not committed comes again.

use std::sync::Arc;

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaResult;
use tokio::sync::mpsc;

use super::super::commit::CommitQueue;
use super::super::consumer;
use super::Poller;

impl Poller {
    /// Another client instead of this one. What is in flight is abandoned and not committed, as when partitions are revoked.
    pub(super) fn join_anew(&mut self) -> KafkaResult<()> {
        tracing::warn!(topic = %self.topic, "no broker answers; the poller joins its group anew");
        let partitions: Vec<i32> = self.partitions.keys().copied().collect();
        self.on_revoked(&partitions);
        self.commits = CommitQueue::default();
        let (own_events, group_events) = mpsc::unbounded_channel();
        let consumer = consumer::group_consumer(&self.settings, own_events.clone())?;
        consumer.subscribe(&[&self.topic])?;
        let old = std::mem::replace(&mut self.consumer, Arc::new(consumer));
        (self.own_events, self.group_events) = (own_events, group_events);
        // It waits for the brokers when it is dropped.
        tokio::task::spawn_blocking(move || drop(old));
        Ok(())
    }
}
