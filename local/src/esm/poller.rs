//! A poller: one member of the consumer group that turns records into batches, keeps at most five batches in flight and
//! at most one per partition, and commits what is finished.

mod committing;
mod converting;
mod receiving;
mod rejoining;
mod status;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::TopicPartitionList;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};

use super::batch_delivery::{BatchDelivery, Finished};
use super::batcher::{BatchDue, Batcher, NextBatch};
use super::chaos::DecisionPoint;
use super::commit::{CommitQueue, CommitTracker, DeliveryTicket};
use super::consumer::{self, GroupConsumer, GroupEvent};
use super::conversion_queue::ConversionQueue;
use super::group_offsets::GroupOffsets;
use super::kafka_client::ClientSettings;
use super::msk_event::{MAX_EVENT_BYTES, PolledRecord};
use super::schema_registry::registry_client::RegistryError;
use super::schema_registry::schema_store::SchemaStore;
use super::silence::Silence;

/// Concurrent invocations of one poller on AWS.
const MAX_IN_FLIGHT: usize = 5;
/// How long a stopping poller waits for its invocations; records of those that take longer are redelivered by the next run.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// Records of a blocked partition that are remembered for its commits, 16 bytes each; ten times the largest batch.
const MAX_UNCOMMITTED: usize = 100_000;

/// The state of a poller, for the running mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct PollerState {
    /// Whether it is a member of the group and has been assigned its partitions.
    pub(super) joined: bool,
    /// Whether it has read its partitions to their end, and everything is delivered and committed.
    pub(super) idle: bool,
    pub(super) partitions: usize,
}

/// Why a poller cannot continue.
#[derive(Debug, thiserror::Error)]
pub(super) enum PollerError {
    #[error(transparent)]
    Client(#[from] KafkaError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// A partition while it is assigned to the poller.
struct Partition {
    tracker: CommitTracker,
    /// Records of the batch in flight that are not finished.
    in_flight: usize,
    /// Whether every record so far has been polled.
    at_end: bool,
    paused: bool,
    /// The offset of the last record that was polled.
    consumed: Option<i64>,
    /// The offset of the last record that is finished, with all before it.
    processed: Option<i64>,
}

impl Partition {
    fn new(tracker: CommitTracker) -> Self {
        Self { tracker, in_flight: 0, at_end: false, paused: false, consumed: None, processed: None }
    }
}

/// One member of the consumer group.
pub(super) struct Poller {
    topic: Arc<str>,
    settings: ClientSettings,
    consumer: Arc<GroupConsumer>,
    silence: Silence,
    delivery: Arc<BatchDelivery>,
    group_events: mpsc::UnboundedReceiver<GroupEvent>,
    progress: mpsc::UnboundedReceiver<Finished>,
    partitions: BTreeMap<i32, Partition>,
    /// Records on their way to the batcher.
    converting: ConversionQueue,
    batcher: Batcher,
    deliveries: JoinSet<()>,
    batches: u64,
    assignments: u64,
    joined: bool,
    commits: CommitQueue,
    /// Commits in a row that were lost on request.
    lost_commits: u32,
    /// Results of commits arrive as group events.
    own_events: mpsc::UnboundedSender<GroupEvent>,
    offsets: Arc<GroupOffsets>,
    /// When the system log is told next where the partitions stand.
    status_at: Option<Instant>,
    state: watch::Sender<PollerState>,
}

impl Poller {
    /// A poller, and a receiver of its state. `delivery` makes its delivery from the progress channel.
    pub(super) fn new(
        settings: &ClientSettings,
        offsets: Arc<GroupOffsets>,
        registry: Option<Arc<SchemaStore>>,
        delivery: impl FnOnce(mpsc::UnboundedSender<Finished>) -> BatchDelivery,
    ) -> KafkaResult<(Self, watch::Receiver<PollerState>)> {
        let (own_events, group_events) = mpsc::unbounded_channel();
        let consumer = consumer::group_consumer(settings, own_events.clone())?;
        let (finished, progress) = mpsc::unbounded_channel();
        let delivery = Arc::new(delivery(finished));
        let (state, observed) = watch::channel(PollerState::default());
        let poller = Self {
            topic: delivery.mapping.topic.as_str().into(),
            settings: settings.clone(),
            consumer: Arc::new(consumer),
            silence: Silence::default(),
            batcher: Batcher::new(delivery.mapping.batching, delivery.envelope.clone()),
            converting: ConversionQueue::new(registry),
            delivery: Arc::clone(&delivery),
            group_events,
            progress,
            partitions: BTreeMap::new(),
            deliveries: JoinSet::new(),
            batches: 0,
            assignments: 0,
            joined: false,
            commits: CommitQueue::default(),
            lost_commits: 0,
            own_events,
            offsets,
            status_at: delivery.log.status_interval().map(|interval| Instant::now() + interval),
            state,
        };
        Ok((poller, observed))
    }

    /// Polls until stopped, then lets invocations in flight end and commits what they finished. It returns an error only if
    /// the client cannot continue, or a schema can never be used.
    pub(super) async fn run(mut self) -> Result<(), PollerError> {
        let mut stop = self.delivery.stop.clone();
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
                let commit_at = self.commits.retry_at();
                self.silence.ask(&self.consumer, &self.topic);
                self.dispatch().into_iter().chain(commit_at).chain(self.status_at).chain(self.silence.asks_at()).min()
            };
            let consumer = Arc::clone(&self.consumer);
            let mut deaf = false;
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop), if !stopping => {}
                Some(tickets) = self.progress.recv() => self.on_finished(&tickets),
                Some(ended) = self.deliveries.join_next() => self.on_delivery_ended(ended),
                Some(event) = self.group_events.recv() => self.on_group_event(event),
                message = consumer.recv() => {
                    if let Err(error) = self.on_polled(message) {
                        break Err(error.into());
                    }
                }
                fetched = self.converting.fetched() => {
                    if let Err(error) = self.on_fetched(fetched) {
                        break Err(error.into());
                    }
                }
                Some(answer) = self.silence.answered(), if !stopping => {
                    deaf = self.silence.is_confirmed(answer);
                }
                () = sleep_until(wake_at) => {}
            }
            // The last of a consumer waits for the brokers when it is dropped: not here.
            drop(consumer);
            if deaf && let Err(error) = self.join_anew() {
                break Err(error.into());
            }
            self.on_group_events();
            self.commit();
            self.tell_status();
            self.pause_or_resume();
            self.publish();
        };
        self.close().await;
        result
    }

    fn on_group_events(&mut self) {
        while let Ok(event) = self.group_events.try_recv() {
            self.on_group_event(event);
        }
    }

    fn on_group_event(&mut self, event: GroupEvent) {
        if !matches!(event, GroupEvent::Committed(Err(_))) {
            self.silence.broken();
        }
        match event {
            GroupEvent::Assigned(partitions) => self.on_assigned(&partitions),
            GroupEvent::Revoked(partitions) => self.on_revoked(&partitions),
            GroupEvent::Committed(result) => self.on_committed(result),
        }
    }

    fn on_assigned(&mut self, partitions: &[i32]) {
        self.joined = true;
        self.assignments += 1;
        self.commits.rebalanced();
        for number in partitions {
            self.delivery.ownership.gained(*number, self.assignments);
            let tracker = CommitTracker::new(*number, self.assignments);
            self.partitions.insert(*number, Partition::new(tracker));
        }
        self.delivery.log.assigned(self.assignments, self.partitions.keys().copied());
        tracing::info!(topic = %self.topic, ?partitions, "partitions assigned");
    }

    /// Batches in flight are abandoned and not committed, so the next owner receives their records again: delivery is at least once.
    fn on_revoked(&mut self, partitions: &[i32]) {
        for number in partitions {
            self.delivery.ownership.lost(*number);
            self.partitions.remove(number);
            self.batcher.forget(*number);
            self.converting.forget(*number);
            self.commits.forget(*number);
        }
        self.commits.rebalanced();
        self.delivery.log.assigned(self.assignments, self.partitions.keys().copied());
        tracing::info!(topic = %self.topic, ?partitions, "partitions revoked");
    }

    /// A delivery has ended; the records it finished come first.
    fn on_delivery_ended(&mut self, ended: Result<(), JoinError>) {
        self.on_all_finished();
        if let Err(error) = ended
            && error.is_panic()
        {
            // Its records would block their partitions forever: the poller panics too, which ends the mapping.
            std::panic::resume_unwind(error.into_panic());
        }
    }

    fn on_all_finished(&mut self) {
        while let Ok(tickets) = self.progress.try_recv() {
            self.on_finished(&tickets);
        }
    }

    fn on_finished(&mut self, tickets: &[DeliveryTicket]) {
        for ticket in tickets {
            if self.finish(*ticket)
                && let Some(partition) = self.partitions.get_mut(&ticket.partition)
            {
                partition.in_flight = partition.in_flight.saturating_sub(1);
                if partition.in_flight == 0 {
                    self.batcher.release(ticket.partition);
                }
                self.on_refusal_ended(*ticket);
            }
        }
    }

    /// The record needs no delivery any more. `false` if that is known, or no matter of this assignment.
    fn finish(&mut self, ticket: DeliveryTicket) -> bool {
        let Some(partition) = self.partitions.get_mut(&ticket.partition) else { return false };
        let finished = partition.tracker.finish(ticket);
        if finished && let Some(commit) = partition.tracker.take() {
            partition.processed = Some(commit.position - 1);
            self.commits.push(ticket.partition, commit);
        }
        finished
    }

    /// Starts every batch that is due; returns the time when the next one will be. While commits are refused by a rebalance,
    /// nothing starts: the next owner of the partitions would receive all of it again.
    fn dispatch(&mut self) -> Option<Instant> {
        if self.commits.is_refused() {
            return None;
        }
        while self.deliveries.len() < MAX_IN_FLIGHT {
            match self.batcher.due(Instant::now()) {
                BatchDue::Never => return None,
                BatchDue::At(moment) => return Some(moment),
                BatchDue::Now => match self.batcher.take() {
                    Some(NextBatch::Batch(records)) => self.start(records),
                    Some(NextBatch::Oversize(record)) => self.give_up_oversize(*record),
                    None => return None,
                },
            }
        }
        None
    }

    fn start(&mut self, records: Vec<PolledRecord>) {
        let first = records.first().map(|polled| (polled.record.partition(), polled.record.offset()));
        records.iter().for_each(|record| self.add_in_flight(record));
        self.batches += 1;
        self.deliveries.spawn(Arc::clone(&self.delivery).deliver(self.batches, records));
        if let Some((partition, offset)) = first
            && self.delivery.chaos.rebalances(DecisionPoint { partition, offset, attempt: 1 })
        {
            self.rejoin();
        }
    }

    /// Leaves the group and joins it again, as if its coordinator had thrown this member out.
    fn rejoin(&self) {
        self.consumer.unsubscribe();
        if let Err(error) = self.consumer.subscribe(&[&self.topic]) {
            tracing::warn!(%error, topic = %self.topic, "the group cannot be joined again");
        }
    }

    fn add_in_flight(&mut self, record: &PolledRecord) {
        if let Some(partition) = self.partitions.get_mut(&record.ticket.partition) {
            partition.in_flight += 1;
        }
    }

    fn give_up_oversize(&mut self, record: PolledRecord) {
        self.add_in_flight(&record);
        tracing::warn!(
            record = %record.record.id(),
            event_bytes = record.json_bytes,
            limit_bytes = MAX_EVENT_BYTES,
            "MaximumPayloadSizeExceeded: the record is too large for an event"
        );
        self.deliveries.spawn(Arc::clone(&self.delivery).give_up_oversize(record));
    }

    /// Pauses partitions with two full batches waiting, and resumes them when less than one is left. While a batch blocks its
    /// partition, what no filter keeps behind it is read on to a bound.
    fn pause_or_resume(&mut self) {
        let (mut pause, mut resume) = (TopicPartitionList::new(), TopicPartitionList::new());
        for (number, partition) in &mut self.partitions {
            let is_blocked = partition.in_flight > 0 && partition.tracker.uncommitted() >= MAX_UNCOMMITTED;
            let is_full = self.batcher.is_full(*number) || self.converting.is_full(*number);
            if !partition.paused && (is_blocked || is_full) {
                partition.paused = true;
                pause.add_partition(&self.topic, *number);
            } else if partition.paused && !is_blocked && !is_full && self.batcher.has_room(*number) {
                partition.paused = false;
                resume.add_partition(&self.topic, *number);
            }
        }
        for (list, result) in [(&pause, self.consumer.pause(&pause)), (&resume, self.consumer.resume(&resume))] {
            if let (false, Err(error)) = (list.count() == 0, result) {
                tracing::warn!(%error, topic = %self.topic, "partitions could not be paused or resumed");
            }
        }
    }

    fn publish(&self) {
        let delivered = self.converting.is_empty() && self.batcher.is_empty() && self.deliveries.is_empty();
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
}

async fn sleep_until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}
