//! A running mapping: its pollers, and the ways it ends.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::error::KafkaError;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::batch_delivery::{BatchDelivery, Ownership};
use super::broker_queries;
use super::chaos::Chaos;
use super::destination::Destination;
use super::environments::Environments;
use super::error::MappingError;
use super::group_offsets::{GroupOffsets, PartitionOffsets};
use super::invoke::Invoker;
use super::kafka_client::{ClientSettings, client_settings};
use super::mapping::Mapping;
use super::metrics::{MappingMetrics, MappingName, Metrics};
use super::metrics_page::{LagSources, MetricsPage};
use super::msk_event::Envelope;
use super::poller::{Poller, PollerError, PollerState};
use super::schema_registry::schema_store::SchemaStore;
use super::stalled::StallReporter;
use super::system_log::{PollerLog, SystemLog};
use crate::output::Reporter;

/// Joining takes three seconds with the classic protocol, and six more if another member was killed.
const LONG_JOIN: Duration = Duration::from_secs(15);
/// How often `drain` checks whether it is done.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// When `drain` ends before the lag is 0.
#[derive(Debug, Clone, Copy, Default)]
pub struct DrainLimits {
    /// Once this many records are committed.
    pub records: Option<u64>,
    /// After this long.
    pub deadline: Option<Duration>,
}

/// Why a mapping ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// On request.
    Stopped,
    /// Every record of the topic is delivered and committed.
    Drained,
    /// As many records as requested are committed.
    RecordsReached,
    /// The deadline passed first.
    Deadline,
    /// The Invoke endpoint never answered.
    Unreachable,
}

impl End {
    /// The name in the output.
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

/// What all mappings of a process share.
pub struct Shared {
    /// Their counts.
    pub metrics: Arc<Metrics>,
    /// What prints their lines.
    pub reporter: Arc<Reporter>,
    /// The bounds of the endpoints that they invoke.
    pub environments: Environments,
    /// What tells how far behind they are.
    pub lags: Arc<LagSources>,
    /// Where their pollers tell of themselves, if somebody wants to know.
    pub system_log: Option<Arc<SystemLog>>,
}

impl Shared {
    /// Nothing counted yet, no endpoint in use.
    pub fn new(reporter: Arc<Reporter>) -> Self {
        Self {
            metrics: Arc::default(),
            reporter,
            environments: Environments::default(),
            lags: Arc::default(),
            system_log: None,
        }
    }

    /// Their metrics for Prometheus.
    pub fn metrics_page(&self) -> MetricsPage {
        MetricsPage::new(Arc::clone(&self.metrics), Arc::clone(&self.lags))
    }
}

/// A running mapping. Dropping it stops it without waiting.
pub struct RunningMapping {
    mapping: Arc<Mapping>,
    bootstrap_servers: String,
    metrics: Arc<MappingMetrics>,
    offsets: Arc<GroupOffsets>,
    invoker: Arc<Invoker>,
    partition_count: usize,
    states: Vec<watch::Receiver<PollerState>>,
    pollers: JoinSet<Result<(), PollerError>>,
    registry: Option<Arc<SchemaStore>>,
    stop: watch::Sender<bool>,
}

impl RunningMapping {
    /// Checks brokers and topic, commits the starting position, and starts the pollers.
    ///
    /// # Errors
    /// [`MappingError`] if a secret, the brokers, the topic or the consumer group cannot be used.
    pub async fn start(mapping: Mapping, process: &Shared) -> Result<Self, MappingError> {
        let brokers = mapping.local.bootstrap_servers.clone().ok_or(MappingError::NoBrokers)?;
        let mapping = Arc::new(mapping.with_credentials()?);
        let registry = mapping.schema_registry.as_ref();
        let registry =
            registry.map(|settings| SchemaStore::new(settings, &mapping.registry_credentials)).transpose()?;
        let partition_count = broker_queries::prepare(Arc::clone(&mapping), brokers.clone()).await?;
        let invoker = Arc::new(Invoker::new(&mapping.local, &process.environments)?);
        let name = MappingName { function: mapping.function.clone(), topic: mapping.topic.to_string() };
        let offsets = Arc::new(GroupOffsets::new(Arc::clone(&mapping), brokers.clone(), partition_count));
        process.lags.add(name.clone(), Arc::clone(&offsets));
        let (stop, _) = watch::channel(false);
        let mut running = Self {
            invoker,
            metrics: process.metrics.mapping(name),
            offsets,
            partition_count,
            states: Vec::new(),
            pollers: JoinSet::new(),
            registry: registry.map(Arc::new),
            stop,
            bootstrap_servers: brokers,
            mapping,
        };
        let settings = client_settings(&running.mapping, &running.bootstrap_servers);
        let target = running.mapping.destination.as_ref();
        let destination =
            target.map(|target| Destination::new(&running.mapping.function, target, &settings).map(Arc::new));
        let destination = destination.transpose()?;
        let stalls = Arc::new(StallReporter::new(&running.mapping, &process.reporter));
        let chaos = Arc::new(Chaos::new(&running.mapping, &running.metrics, &process.reporter));
        for _ in 0..running.mapping.pollers.min(partition_count) {
            running.start_poller(&settings, destination.clone(), process, (&stalls, &chaos))?;
        }
        Ok(running)
    }

    fn start_poller(
        &mut self,
        settings: &ClientSettings,
        destination: Option<Arc<Destination>>,
        process: &Shared,
        (stalls, chaos): (&Arc<StallReporter>, &Arc<Chaos>),
    ) -> Result<(), MappingError> {
        let log = process.system_log.as_ref();
        let log = PollerLog::new(log, &self.mapping, &self.bootstrap_servers, self.partition_count, self.states.len());
        let delivery = |progress| BatchDelivery {
            mapping: Arc::clone(&self.mapping),
            envelope: Envelope::new(&self.mapping.event_source, &self.bootstrap_servers),
            invoker: Arc::clone(&self.invoker),
            metrics: Arc::clone(&self.metrics),
            reporter: Arc::clone(&process.reporter),
            log,
            chaos: Arc::clone(chaos),
            stalls: Arc::clone(stalls),
            destination,
            ownership: Ownership::default(),
            progress,
            stop: self.stop.subscribe(),
        };
        let offsets = Arc::clone(&self.offsets);
        let registry = self.registry.clone();
        let (poller, state) =
            Poller::new(settings, offsets, registry, delivery).map_err(|source| self.group_error(source))?;
        let running = self.metrics.running_poller();
        self.pollers.spawn(async move {
            let _running = running;
            poller.run().await
        });
        self.states.push(state);
        Ok(())
    }

    fn group_error(&self, source: KafkaError) -> MappingError {
        MappingError::Group { group: self.mapping.consumer_group.clone(), source }
    }

    /// Waits until every poller is a member of the consumer group: from then on, new records are polled at once.
    ///
    /// # Errors
    /// [`MappingError`] if a poller ends first.
    pub async fn joined(&mut self) -> Result<(), MappingError> {
        let mut warn_at = Some(Instant::now() + LONG_JOIN);
        while !self.states.iter().all(|state| state.borrow().joined) {
            self.next_check().await?;
            if warn_at.take_if(|moment| *moment <= Instant::now()).is_some() {
                tracing::warn!(
                    group = self.mapping.consumer_group,
                    "no partitions are assigned yet: the group's coordinator does not answer, or other members have all \
                     partitions; still waiting"
                );
            }
        }
        Ok(())
    }

    /// Waits until `stop` completes.
    ///
    /// # Errors
    /// [`MappingError`] if a poller ends first.
    pub async fn until(&mut self, stop: impl Future<Output = ()>) -> Result<End, MappingError> {
        tokio::pin!(stop);
        tokio::select! {
            () = &mut stop => Ok(End::Stopped),
            Some(ended) = self.pollers.join_next() => Err(self.ended(ended)),
        }
    }

    /// Waits until everything is delivered and committed, or a limit is reached, or `stop` completes.
    ///
    /// # Errors
    /// [`MappingError`] if a poller ends first.
    pub async fn drain(&mut self, limits: DrainLimits, stop: impl Future<Output = ()>) -> Result<End, MappingError> {
        let deadline = limits.deadline.map(|deadline| Instant::now() + deadline);
        let over = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(stop, over);
        loop {
            if limits.records.is_some_and(|records| self.metrics.counts().committed_event_count >= records) {
                return Ok(End::RecordsReached);
            }
            // This may query brokers that do not answer: neither the deadline nor the user waits for them.
            tokio::select! {
                biased;
                drained = self.is_drained() => if drained { return Ok(End::Drained) },
                () = &mut over => return Ok(self.late()),
                () = &mut stop => return Ok(End::Stopped),
            }
            if self.invoker.never_came_up() {
                return Ok(End::Unreachable);
            }
            tokio::select! {
                () = &mut over => return Ok(self.late()),
                () = &mut stop => return Ok(End::Stopped),
                checked = self.next_check() => checked?,
            }
        }
    }

    /// What a passed deadline means.
    fn late(&self) -> End {
        if self.invoker.never_answered() { End::Unreachable } else { End::Deadline }
    }

    async fn next_check(&mut self) -> Result<(), MappingError> {
        tokio::select! {
            () = tokio::time::sleep(CHECK_INTERVAL) => Ok(()),
            Some(ended) = self.pollers.join_next() => Err(self.ended(ended)),
        }
    }

    async fn is_drained(&self) -> bool {
        let states: Vec<_> = self.states.iter().map(|state| *state.borrow()).collect();
        if !states.iter().all(|state| state.idle) {
            return false;
        }
        if states.iter().map(|state| state.partitions).sum::<usize>() == self.partition_count {
            return true;
        }
        // Other members of the group have the other partitions: the committed offsets show their progress.
        match self.offsets.read().await {
            Ok(partitions) => partitions.iter().map(PartitionOffsets::lag).sum::<i64>() == 0,
            Err(source) => {
                tracing::warn!(error = %source, "the consumer group's lag could not be read; it will be retried");
                false
            }
        }
    }

    fn ended(&self, ended: Result<Result<(), PollerError>, tokio::task::JoinError>) -> MappingError {
        match ended {
            Ok(Err(PollerError::Client(source))) => self.group_error(source),
            Ok(Err(PollerError::Registry(error))) => MappingError::Registry(error),
            Ok(Ok(())) | Err(_) => MappingError::Poller,
        }
    }

    /// Stops polling, lets invocations in flight end, commits what is finished and leaves the group; bounded.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.pollers.join_next().await.is_some() {}
    }
}
