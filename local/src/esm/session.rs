//! A running mapping: its pollers, and the ways it ends.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::error::KafkaError;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::batch::Envelope;
use super::delivery::{Courier, Ownership};
use super::destination::Destination;
use super::invoke::{Invoker, InvokerError};
use super::kafka;
use super::lookup;
use super::mapping::Mapping;
use super::metrics::Metrics;
use super::poller::{Poller, PollerState};
use crate::report::Reporter;

/// Joining takes three seconds with the classic protocol, and six more after another member was killed.
const LONG_JOIN: Duration = Duration::from_secs(15);
/// How often the ends of `drain` are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Why a mapping cannot run (on).
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// No brokers were named.
    #[error("no brokers: give --bootstrap-servers HOST:PORT,... or Local.bootstrapServers")]
    NoBrokers,
    /// The brokers have no such topic.
    #[error("topic `{topic}` does not exist on {brokers}: create it, or correct Topics (or the destination)")]
    NoTopic {
        /// The topic.
        topic: String,
        /// The brokers asked.
        brokers: String,
    },
    /// The brokers did not answer.
    #[error("the brokers {brokers} do not answer: {cause}; check --bootstrap-servers and Local.kafkaOptions")]
    Brokers {
        /// The brokers asked.
        brokers: String,
        /// What happened to a connection last.
        cause: String,
    },
    /// The client refuses its settings.
    #[error("the Kafka client cannot be made: {0}; check Local.kafkaOptions")]
    Client(String),
    /// The client cannot go on.
    #[error("the consumer group `{group}` cannot be read: {source}")]
    Group {
        /// The consumer group.
        group: String,
        /// What the client says.
        source: KafkaError,
    },
    /// The HTTP client cannot be made.
    #[error(transparent)]
    Invoker(#[from] InvokerError),
    /// The on-failure destination cannot be used.
    #[error("the on-failure destination cannot be used: {0}")]
    Destination(String),
    /// A poller's task was cancelled or panicked.
    #[error("a poller ended unexpectedly")]
    Poller,
}

/// When `drain` is over, besides lag 0.
#[derive(Debug, Clone, Copy, Default)]
pub struct DrainLimits {
    /// After this many records were committed.
    pub records: Option<u64>,
    /// After this long.
    pub deadline: Option<Duration>,
}

/// Why a mapping ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It was asked to.
    Stopped,
    /// Every record of the topic is delivered and committed.
    Drained,
    /// As many records as asked for are committed.
    RecordsReached,
    /// The time was over first.
    Deadline,
    /// The endpoint never answered.
    Unreachable,
}

impl End {
    /// The name in the summary.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Drained => "drained",
            Self::RecordsReached => "records_reached",
            Self::Deadline => "deadline",
            Self::Unreachable => "unreachable",
        }
    }
}

/// A running mapping. Dropping it stops it without waiting.
pub struct Session {
    mapping: Arc<Mapping>,
    bootstrap_servers: String,
    metrics: Arc<Metrics>,
    invoker: Arc<Invoker>,
    partition_count: usize,
    states: Vec<watch::Receiver<PollerState>>,
    pollers: JoinSet<Result<(), KafkaError>>,
    stop: watch::Sender<bool>,
}

impl Session {
    /// Checks brokers and topic, fixes the starting position, and starts the pollers.
    ///
    /// # Errors
    /// [`SessionError`] when brokers, topic or consumer group cannot be used.
    pub async fn start(mapping: Mapping, metrics: Arc<Metrics>, reporter: Arc<Reporter>) -> Result<Self, SessionError> {
        let brokers = mapping.local.bootstrap_servers.clone().ok_or(SessionError::NoBrokers)?;
        let mapping = Arc::new(mapping);
        let partition_count = lookup::prepare(Arc::clone(&mapping), brokers.clone()).await?;
        let invoker = Arc::new(Invoker::new(&mapping.local)?);
        let (stop, _) = watch::channel(false);
        let mut session = Self {
            invoker,
            metrics,
            partition_count,
            states: Vec::new(),
            pollers: JoinSet::new(),
            stop,
            bootstrap_servers: brokers,
            mapping,
        };
        let destination = session.destination()?;
        for _ in 0..session.mapping.pollers.min(partition_count) {
            session.start_poller(&reporter, destination.clone())?;
        }
        Ok(session)
    }

    fn destination(&self) -> Result<Option<Arc<Destination>>, SessionError> {
        let Some(target) = &self.mapping.destination else { return Ok(None) };
        let config = kafka::client_config(&self.mapping, &self.bootstrap_servers);
        match Destination::new(&self.mapping.function, target, &config) {
            Ok(destination) => Ok(Some(Arc::new(destination))),
            Err(error) => Err(SessionError::Destination(error.to_string())),
        }
    }

    fn start_poller(
        &mut self,
        reporter: &Arc<Reporter>,
        destination: Option<Arc<Destination>>,
    ) -> Result<(), SessionError> {
        let (events, group_events) = mpsc::unbounded_channel();
        let (progress, progress_inbox) = mpsc::unbounded_channel();
        let (state, state_of_poller) = watch::channel(PollerState::default());
        let config = kafka::client_config(&self.mapping, &self.bootstrap_servers);
        let consumer = kafka::group_consumer(&config, events.clone()).map_err(|source| self.group_error(source))?;
        let courier = Courier {
            mapping: Arc::clone(&self.mapping),
            envelope: Envelope::new(&self.mapping.event_source_arn, &self.bootstrap_servers),
            invoker: Arc::clone(&self.invoker),
            metrics: Arc::clone(&self.metrics),
            reporter: Arc::clone(reporter),
            destination,
            ownership: Ownership::default(),
            progress,
            stop: self.stop.subscribe(),
        };
        self.pollers.spawn(Poller::new(consumer, courier, (events, group_events), progress_inbox, state).run());
        self.states.push(state_of_poller);
        Ok(())
    }

    fn group_error(&self, source: KafkaError) -> SessionError {
        SessionError::Group { group: self.mapping.consumer_group.clone(), source }
    }

    /// Waits until every poller is a member of the consumer group: from then on a new record is seen at once.
    ///
    /// # Errors
    /// [`SessionError`] when a poller ends first.
    pub async fn joined(&mut self) -> Result<(), SessionError> {
        let mut warn_at = Some(Instant::now() + LONG_JOIN);
        while !self.states.iter().all(|state| state.borrow().joined) {
            self.look().await?;
            if warn_at.take_if(|moment| *moment <= Instant::now()).is_some() {
                tracing::warn!(
                    group = self.mapping.consumer_group,
                    "no partitions were assigned yet: the group's coordinator does not answer, or other members have all \
                     partitions; waiting"
                );
            }
        }
        Ok(())
    }

    /// Waits until `stop` completes.
    ///
    /// # Errors
    /// [`SessionError`] when a poller ends first.
    pub async fn until(&mut self, stop: impl Future<Output = ()>) -> Result<End, SessionError> {
        tokio::pin!(stop);
        tokio::select! {
            () = &mut stop => Ok(End::Stopped),
            Some(ended) = self.pollers.join_next() => Err(self.ended(ended)),
        }
    }

    /// Waits until everything is delivered and committed, or a limit is reached, or `stop` completes.
    ///
    /// # Errors
    /// [`SessionError`] when a poller ends first.
    pub async fn drain(&mut self, limits: DrainLimits, stop: impl Future<Output = ()>) -> Result<End, SessionError> {
        let deadline = limits.deadline.map(|deadline| Instant::now() + deadline);
        let over = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(stop, over);
        loop {
            if limits.records.is_some_and(|records| self.metrics.committed.get() >= records) {
                return Ok(End::RecordsReached);
            }
            // The brokers may be asked, and may be silent: neither the deadline nor the user waits for them.
            tokio::select! {
                biased;
                drained = self.is_drained() => if drained? { return Ok(End::Drained) },
                () = &mut over => return Ok(End::Deadline),
                () = &mut stop => return Ok(End::Stopped),
            }
            if self.invoker.never_came_up() {
                return Ok(End::Unreachable);
            }
            tokio::select! {
                () = &mut over => return Ok(End::Deadline),
                () = &mut stop => return Ok(End::Stopped),
                looked = self.look() => looked?,
            }
        }
    }

    async fn look(&mut self) -> Result<(), SessionError> {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => Ok(()),
            Some(ended) = self.pollers.join_next() => Err(self.ended(ended)),
        }
    }

    async fn is_drained(&self) -> Result<bool, SessionError> {
        let states: Vec<_> = self.states.iter().map(|state| *state.borrow()).collect();
        if !states.iter().all(|state| state.idle) {
            return Ok(false);
        }
        if states.iter().map(|state| state.partitions).sum::<usize>() == self.partition_count {
            return Ok(true);
        }
        // Other members of the group have the rest: their commits tell.
        let (mapping, brokers, count) =
            (Arc::clone(&self.mapping), self.bootstrap_servers.clone(), self.partition_count);
        let lag = tokio::task::spawn_blocking(move || lookup::group_lag(&mapping, &brokers, count)).await;
        match lag {
            Ok(Ok(lag)) => Ok(lag == 0),
            Ok(Err(source)) => {
                tracing::warn!(error = %source, "the group's lag could not be read; it is tried again");
                Ok(false)
            }
            Err(_) => Err(SessionError::Poller),
        }
    }

    fn ended(&self, ended: Result<Result<(), KafkaError>, tokio::task::JoinError>) -> SessionError {
        match ended {
            Ok(Err(source)) => self.group_error(source),
            Ok(Ok(())) | Err(_) => SessionError::Poller,
        }
    }

    /// Stops polling, lets invocations in flight end, commits what is finished and leaves the group; bounded.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.pollers.join_next().await.is_some() {}
    }
}
