//! A poller: one member of the consumer group that turns records into batches, keeps at most five of them in flight
//! and at most one per partition, and commits what is finished.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::topic_partition_list::TopicPartitionList;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};

use super::batch::{Due, PolledRecord, Taken, Waiting};
use super::commit::{CommitQueue, CommitTracker};
use super::delivery::{ASSIGNMENT_SHIFT, Courier, Finished};
use super::kafka::{self, GroupConsumer, GroupEvent};

/// Concurrent invocations of one poller on AWS.
const MAX_IN_FLIGHT: usize = 5;
/// How long a stopping poller waits for its invocations; what is not over then is delivered again later.
const STOP_GRACE: Duration = Duration::from_secs(5);
/// How long the last commit, and then leaving the group, may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// What others see of a poller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct PollerState {
    /// It is a member of the group and was told its partitions.
    pub(super) joined: bool,
    /// It has read its partitions to their end, and everything is delivered and committed.
    pub(super) idle: bool,
    /// How many partitions it has.
    pub(super) partitions: usize,
}

/// The poller's own side of a partition.
struct Partition {
    tracker: CommitTracker,
    /// Records of the batch in flight that are not finished.
    in_flight: usize,
    /// Everything there was has been polled.
    at_end: bool,
}

/// One member of the consumer group.
pub(super) struct Poller {
    topic: Arc<str>,
    consumer: Arc<GroupConsumer>,
    courier: Arc<Courier>,
    group_events: mpsc::UnboundedReceiver<GroupEvent>,
    progress: mpsc::UnboundedReceiver<Finished>,
    partitions: BTreeMap<i32, Partition>,
    /// Partitions whose reading is paused. librdkafka keeps a pause when a partition is lost and comes back, so it is
    /// remembered here and not with the partition.
    paused: BTreeSet<i32>,
    waiting: Waiting,
    deliveries: JoinSet<()>,
    batches: u64,
    assignments: u64,
    joined: bool,
    commits: CommitQueue,
    /// Results of commits come back among the group's events.
    own_events: mpsc::UnboundedSender<GroupEvent>,
    state: watch::Sender<PollerState>,
}

impl Poller {
    pub(super) fn new(
        consumer: GroupConsumer,
        courier: Courier,
        (own_events, group_events): (mpsc::UnboundedSender<GroupEvent>, mpsc::UnboundedReceiver<GroupEvent>),
        progress: mpsc::UnboundedReceiver<Finished>,
        state: watch::Sender<PollerState>,
    ) -> Self {
        Self {
            topic: courier.mapping.topic.as_str().into(),
            consumer: Arc::new(consumer),
            waiting: Waiting::new(courier.mapping.batching, courier.envelope.clone()),
            courier: Arc::new(courier),
            group_events,
            progress,
            partitions: BTreeMap::new(),
            paused: BTreeSet::new(),
            deliveries: JoinSet::new(),
            batches: 0,
            assignments: 0,
            joined: false,
            commits: CommitQueue::default(),
            own_events,
            state,
        }
    }

    /// Polls until stopped, then lets what is in flight end and commits it.
    ///
    /// # Errors
    /// The client's error when it cannot go on.
    pub(super) async fn run(mut self) -> KafkaResult<()> {
        let mut stop = self.courier.stop.clone();
        let topic = Arc::clone(&self.topic);
        self.consumer.subscribe(&[&topic])?;
        let mut give_up_at = None;
        let result = loop {
            let stopping = *stop.borrow();
            if stopping && self.deliveries.is_empty() {
                break Ok(());
            }
            let wake_at = if stopping {
                let at = *give_up_at.get_or_insert_with(|| Instant::now() + STOP_GRACE);
                if at <= Instant::now() {
                    break Ok(());
                }
                Some(at)
            } else {
                earliest(self.dispatch(), self.commits.retry_at())
            };
            let consumer = Arc::clone(&self.consumer);
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop), if !stopping => {}
                Some(records) = self.progress.recv() => self.on_finished(&records),
                Some(ended) = self.deliveries.join_next() => self.on_over(ended),
                Some(event) = self.group_events.recv() => self.on_group_event(event),
                message = consumer.recv() => {
                    if let Err(error) = self.on_polled(message) {
                        break Err(error);
                    }
                }
                () = sleep_until(wake_at) => {}
            }
            self.on_group_events();
            self.commit();
            self.flow();
            self.publish();
        };
        self.close().await;
        result
    }

    fn on_polled(&mut self, message: KafkaResult<BorrowedMessage<'_>>) -> KafkaResult<()> {
        // Callbacks ran before the record was handed out: they come first.
        self.on_group_events();
        let message = match message {
            Ok(message) => message,
            Err(error) => return self.on_error(error),
        };
        let Some(partition) = self.partitions.get_mut(&message.partition()) else { return Ok(()) };
        partition.at_end = false;
        let number = partition.tracker.polled(message.offset());
        let record = kafka::record(&message, &self.topic);
        self.waiting.push(PolledRecord::new(record, number, Instant::now()));
        self.courier.metrics.polled.add(1);
        Ok(())
    }

    fn on_error(&mut self, error: KafkaError) -> KafkaResult<()> {
        if let Some(partition) = kafka::end_of_partition(&error) {
            if let Some(partition) = self.partitions.get_mut(&partition) {
                partition.at_end = true;
            }
            return Ok(());
        }
        if kafka::is_fatal(&error) {
            return Err(error);
        }
        // The client keeps trying by itself.
        self.courier.metrics.polling_errors.add(1);
        tracing::warn!(%error, topic = %self.topic, "polling failed; it is tried again");
        Ok(())
    }

    fn on_group_events(&mut self) {
        while let Ok(event) = self.group_events.try_recv() {
            self.on_group_event(event);
        }
    }

    fn on_group_event(&mut self, event: GroupEvent) {
        match event {
            GroupEvent::Assigned(partitions) => self.on_assigned(&partitions),
            GroupEvent::Revoked(partitions) => self.on_revoked(&partitions),
            GroupEvent::Committed(result) => self.on_committed(result),
        }
    }

    fn on_assigned(&mut self, partitions: &[i32]) {
        self.joined = true;
        self.assignments += 1;
        for number in partitions {
            self.courier.ownership.gained(*number, self.assignments);
            let partition = Partition {
                tracker: CommitTracker::starting_at(self.assignments << ASSIGNMENT_SHIFT),
                in_flight: 0,
                at_end: false,
            };
            self.partitions.insert(*number, partition);
        }
        tracing::info!(topic = %self.topic, ?partitions, "partitions assigned");
    }

    /// What is in flight is abandoned and not committed, so the next owner gets it again: at least once.
    fn on_revoked(&mut self, partitions: &[i32]) {
        for number in partitions {
            self.courier.ownership.lost(*number);
            self.partitions.remove(number);
            self.waiting.forget(*number);
            self.commits.forget(*number);
        }
        tracing::info!(topic = %self.topic, ?partitions, "partitions revoked");
    }

    /// A delivery is over; what it finished comes first.
    fn on_over(&mut self, ended: Result<(), JoinError>) {
        self.on_all_finished();
        if let Err(error) = ended
            && error.is_panic()
        {
            // Its records would block their partitions for ever: the poller ends as well, which is seen.
            std::panic::resume_unwind(error.into_panic());
        }
    }

    fn on_all_finished(&mut self) {
        while let Ok(records) = self.progress.try_recv() {
            self.on_finished(&records);
        }
    }

    fn on_finished(&mut self, records: &[(i32, u64)]) {
        for (number, record) in records {
            let Some(partition) = self.partitions.get_mut(number) else { continue };
            if !partition.tracker.finish(*record) {
                continue;
            }
            partition.in_flight = partition.in_flight.saturating_sub(1);
            if partition.in_flight == 0 {
                self.waiting.release(*number);
            }
            if let Some(commit) = partition.tracker.take() {
                self.commits.push(*number, commit);
            }
        }
    }

    /// Starts every batch that is due; says when to look again.
    fn dispatch(&mut self) -> Option<Instant> {
        while self.deliveries.len() < MAX_IN_FLIGHT {
            match self.waiting.due(Instant::now()) {
                Due::Never => return None,
                Due::At(moment) => return Some(moment),
                Due::Now => match self.waiting.take() {
                    Some(Taken::Batch(records)) => self.start(records),
                    Some(Taken::Oversize(record)) => self.refuse(*record),
                    None => return None,
                },
            }
        }
        None
    }

    fn start(&mut self, records: Vec<PolledRecord>) {
        for record in &records {
            if let Some(partition) = self.partitions.get_mut(&record.record.partition()) {
                partition.in_flight += 1;
            }
        }
        self.batches += 1;
        self.deliveries.spawn(Arc::clone(&self.courier).deliver(self.batches, records));
    }

    fn refuse(&mut self, record: PolledRecord) {
        if let Some(partition) = self.partitions.get_mut(&record.record.partition()) {
            partition.in_flight += 1;
        }
        tracing::warn!(
            record = %record.record.id(),
            event_bytes = record.json_bytes,
            limit_bytes = super::batch::MAX_EVENT_BYTES,
            "MaximumPayloadSizeExceeded: the record is too large for an event"
        );
        self.deliveries.spawn(Arc::clone(&self.courier).give_up_oversize(record));
    }

    fn commit(&mut self) {
        let Some(positions) = self.commits.next(Instant::now()) else { return };
        let (list, consumer) = (kafka::offsets(&self.topic, &positions), Arc::clone(&self.consumer));
        let done = self.own_events.clone();
        // librdkafka reports an asynchronous commit only to a callback that the client library does not set.
        tokio::task::spawn_blocking(move || {
            let result = list.and_then(|list| consumer.commit(&list, CommitMode::Sync));
            drop(consumer);
            let _ = done.send(GroupEvent::Committed(result));
        });
    }

    fn on_committed(&mut self, result: KafkaResult<()>) {
        match result {
            Ok(()) => self.courier.metrics.committed.add(self.commits.succeeded()),
            Err(error) => {
                self.commits.failed(Instant::now());
                self.courier.metrics.commit_errors.add(1);
                tracing::warn!(%error, topic = %self.topic, "a commit failed; it is tried again");
            }
        }
    }

    /// Stops reading partitions that have two batches waiting, and goes on when less than one is left.
    fn flow(&mut self) {
        let (mut pause, mut resume) = (TopicPartitionList::new(), TopicPartitionList::new());
        for number in self.partitions.keys() {
            if self.waiting.is_full(*number) && self.paused.insert(*number) {
                pause.add_partition(&self.topic, *number);
            } else if self.waiting.has_room(*number) && self.paused.remove(number) {
                resume.add_partition(&self.topic, *number);
            }
        }
        for (list, result) in [(&pause, self.consumer.pause(&pause)), (&resume, self.consumer.resume(&resume))] {
            if let (false, Err(error)) = (list.count() == 0, result) {
                tracing::warn!(%error, topic = %self.topic, "reading could not be paused or resumed");
            }
        }
    }

    fn publish(&self) {
        let delivered = self.waiting.is_empty() && self.deliveries.is_empty();
        let state = PollerState {
            joined: self.joined,
            idle: self.joined
                && delivered
                && self.commits.is_empty()
                && self.partitions.values().all(|partition| partition.at_end),
            partitions: self.partitions.len(),
        };
        self.state.send_if_modified(|current| std::mem::replace(current, state) != state);
    }

    /// Commits what is finished, leaves the group, and gives up on either after [`CLOSE_TIMEOUT`].
    async fn close(mut self) {
        self.deliveries.abort_all();
        self.on_all_finished();
        let (last, records) = self.commits.take_all();
        let list = kafka::offsets(&self.topic, &last);
        let (consumer, topic) = (Arc::clone(&self.consumer), Arc::clone(&self.topic));
        let metrics = Arc::clone(&self.courier.metrics);
        // Both calls block, and the consumer waits for the brokers when it is dropped.
        drop(self);
        let closing = tokio::task::spawn_blocking(move || {
            if !last.is_empty() {
                match list.and_then(|list| consumer.commit(&list, CommitMode::Sync)) {
                    Ok(()) => metrics.committed.add(records),
                    Err(error) => {
                        metrics.commit_errors.add(1);
                        tracing::warn!(%error, %topic, "the last commit failed; its records will be delivered again");
                    }
                }
            }
            drop(consumer);
        });
        if tokio::time::timeout(CLOSE_TIMEOUT, closing).await.is_err() {
            tracing::warn!("the brokers did not answer while the consumer group was left");
        }
    }
}

fn earliest(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}

async fn sleep_until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}
