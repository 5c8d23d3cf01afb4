//! Three embedded Kafka brokers for a laptop and for tests. They are the test brokers of the crate `krafka`, which promises nothing
//! about them from one version to the next: only this folder names that crate.
//!
//! | Module | Contains |
//! |---|---|
//! | `relay` | what stands between the clients and the crate's brokers, for what these lack |
//! | `frame_fields`, `rewritten_frames`, `group_frames` | the frames that it looks into |
//! | `older_versions` | requests and answers of older clients |
//! | `group_coordinator`, `classic_group` | consumer groups of several members |
//! | `memory_bound` | the oldest records go when all of them together take too much memory |
//! | `broker_faults` | crashes, moved leaders, lost and late answers on request |

mod broker_faults;
mod classic_group;
mod frame_fields;
mod group_coordinator;
mod group_frames;
mod memory_bound;
mod older_versions;
mod relay;
mod rewritten_frames;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use krafka::error::ErrorCode;
use krafka::testing::{ApiKey, ClusterState, Control, FakeBroker};
use msk_shared::topic_spec::TopicSpec;
use tokio::sync::oneshot;

pub use broker_faults::BrokerChaos;
use broker_faults::{IDS, RequestFaults};
use group_coordinator::GroupCoordinator;
use memory_bound::MemoryBound;
use relay::Behind;

/// The id of their cluster: it tells clients whom they talk to.
pub const CLUSTER_ID: &str = "msk-local-embedded";

/// What these brokers cannot do, so that no claim may rest on it.
pub const LIMITS: &str = "embedded brokers: memory only, the newest 64 MiB of records kept, no TLS, no authentication";

/// All records together. A client gets the rest of a broker's partitions in one answer, and librdkafka refuses one above 100 MB.
const MAX_RECORD_BYTES: usize = 64 * 1024 * 1024;
/// The crate counts from 0, and no broker of MSK has that id: this one stays down, and no client hears of it.
const UNUSED_ID: i32 = 0;
/// How often what the crate notes down for assertions is thrown away: it would grow with every request.
const CLEANING_INTERVAL: Duration = Duration::from_secs(1);

/// How long a member of a group may be silent; its heartbeats come each second. As long as the emulator asks of other brokers.
const SESSION_TIMEOUT: Duration = Duration::from_secs(6);

/// Why the brokers could not carry out a command.
#[derive(Debug, thiserror::Error)]
pub enum BrokersError {
    /// No free port, or no memory.
    #[error("the embedded brokers cannot start: {0}")]
    Start(String),
    /// The topic exists.
    #[error("the embedded brokers have the topic `{0}` already: name each topic once")]
    TopicExists(String),
    /// There is no such broker.
    #[error("the embedded brokers have no broker {0}: their ids are 1, 2 and 3")]
    NoBroker(i32),
    /// There is no such partition.
    #[error("the embedded brokers have no partition {1} of a topic `{0}`")]
    NoPartition(String, i32),
}

/// The broker that a fault concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Every broker.
    All,
    /// The broker with this id, counted from 1.
    One(i32),
}

impl Which {
    fn ids(self) -> Result<Vec<i32>, BrokersError> {
        match self {
            Self::All => Ok(IDS.to_vec()),
            Self::One(id) if IDS.contains(&id) => Ok(vec![id]),
            Self::One(id) => Err(BrokersError::NoBroker(id)),
        }
    }
}

/// A running cluster of three brokers on loopback; it ends when this is dropped.
pub struct EmbeddedBrokers {
    cluster: Arc<FakeBroker>,
    bootstrap_servers: String,
    refused_commits: Arc<AtomicU32>,
    faults: Option<Arc<RequestFaults>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl EmbeddedBrokers {
    /// Starts the brokers on free loopback ports and creates `topics`.
    ///
    /// # Errors
    /// [`BrokersError`] if the cluster or a topic cannot be created.
    pub fn start(topics: &[TopicSpec]) -> Result<Self, BrokersError> {
        Self::start_bounded(topics, MAX_RECORD_BYTES, None)
    }

    /// Starts brokers that make faults from the first record on.
    ///
    /// # Errors
    /// [`BrokersError`] if the cluster or a topic cannot be created.
    pub fn start_with_chaos(topics: &[TopicSpec], chaos: BrokerChaos) -> Result<Self, BrokersError> {
        Self::start_bounded(topics, MAX_RECORD_BYTES, Some(chaos))
    }

    /// Starts brokers that keep this many bytes of records.
    ///
    /// # Errors
    /// [`BrokersError`] if the cluster or a topic cannot be created.
    pub fn start_bounded(
        topics: &[TopicSpec],
        max_record_bytes: usize,
        chaos: Option<BrokerChaos>,
    ) -> Result<Self, BrokersError> {
        let (started, answer) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let faults = chaos.map(|chaos| Arc::new(RequestFaults::new(chaos)));
        let own_faults = faults.clone();
        // A runtime of their own: whoever starts them may block the one it runs on.
        let thread = std::thread::Builder::new()
            .name("embedded-brokers".to_owned())
            .spawn(move || serve(&started, stopped, max_record_bytes, own_faults))
            .map_err(|error| BrokersError::Start(error.to_string()))?;
        let no_answer = |_| BrokersError::Start("their thread ended".to_owned());
        let cluster = answer.recv().map_err(no_answer)??;
        let addresses = cluster.with_state(|state| {
            state.brokers.iter().map(|broker| format!("{}:{}", broker.host, broker.port)).collect::<Vec<_>>()
        });
        let bootstrap_servers = addresses.join(",");
        let refused_commits = refuse_on_request(&cluster);
        let brokers =
            Self { cluster, bootstrap_servers, refused_commits, faults, stop: Some(stop), thread: Some(thread) };
        for topic in topics {
            brokers.create_topic(topic)?;
        }
        Ok(brokers)
    }

    /// The addresses of the three brokers, as `host:port,...`.
    pub fn bootstrap_servers(&self) -> &str {
        &self.bootstrap_servers
    }

    /// Creates a topic with three replicas, its leaders spread over the brokers.
    ///
    /// # Errors
    /// [`BrokersError::TopicExists`].
    pub fn create_topic(&self, topic: &TopicSpec) -> Result<(), BrokersError> {
        let name = topic.name.as_str();
        self.cluster.with_state(|state| {
            if !state.create_topic(name, topic.partitions) {
                return Err(BrokersError::TopicExists(name.to_owned()));
            }
            for partition in state.topics.get_mut(name).into_iter().flat_map(|topic| &mut topic.partitions) {
                partition.replicas = IDS.to_vec();
                partition.isr = IDS.to_vec();
            }
            Ok(())
        })
    }

    /// Cuts every connection of the broker, and new ones as they come. No leader moves.
    ///
    /// # Errors
    /// [`BrokersError::NoBroker`].
    pub fn down(&self, which: Which) -> Result<(), BrokersError> {
        which.ids()?.into_iter().for_each(|id| self.cluster.crash(id));
        Ok(())
    }

    /// Makes the broker accept connections again.
    ///
    /// # Errors
    /// [`BrokersError::NoBroker`].
    pub fn up(&self, which: Which) -> Result<(), BrokersError> {
        for id in which.ids()? {
            self.cluster.with_state(|state| broker_faults::set_online(state, id, true));
            self.cluster.restart(id);
        }
        Ok(())
    }

    /// Makes another broker the leader of a partition.
    ///
    /// # Errors
    /// [`BrokersError::NoBroker`], [`BrokersError::NoPartition`].
    pub fn move_leader(&self, topic: &str, partition: i32, to: i32) -> Result<(), BrokersError> {
        Which::One(to).ids()?;
        let moved = self.cluster.set_leader(topic, partition, to);
        if moved { Ok(()) } else { Err(BrokersError::NoPartition(topic.to_owned(), partition)) }
    }

    /// Crashes a broker: others lead its partitions and coordinate its groups.
    ///
    /// # Errors
    /// [`BrokersError::NoBroker`].
    pub fn fail_over(&self, id: i32) -> Result<(), BrokersError> {
        self.down(Which::One(id))?;
        self.cluster.with_state(|state| broker_faults::elect(state, id));
        Ok(())
    }

    /// Makes no more faults; a broker that is down comes back in some seconds.
    pub fn end_chaos(&self) {
        if let Some(faults) = &self.faults {
            faults.end();
        }
    }

    /// Refuses the next commits of offsets, and none of those after them; replaces what was asked before.
    pub fn refuse_commits(&self, count: u32) {
        self.refused_commits.store(count, Ordering::SeqCst);
    }
}

impl Drop for EmbeddedBrokers {
    fn drop(&mut self) {
        // Closing the channel ends the thread, and with its runtime every connection.
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What counts down the commits that are still to be refused.
fn refuse_on_request(cluster: &FakeBroker) -> Arc<AtomicU32> {
    let left = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&left);
    cluster.on(ApiKey::OffsetCommit, move |_| {
        let refused = counted.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if refused.is_ok() { Control::Error(ErrorCode::TopicAuthorizationFailed) } else { Control::Pass }
    });
    left
}

type Started = mpsc::Sender<Result<Arc<FakeBroker>, BrokersError>>;

/// The brokers' thread, until nobody holds the other end of `stopped`.
fn serve(
    started: &Started,
    stopped: oneshot::Receiver<()>,
    max_record_bytes: usize,
    faults: Option<Arc<RequestFaults>>,
) {
    let failed = |error: String| _ = started.send(Err(BrokersError::Start(error)));
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(error.to_string()),
    };
    runtime.block_on(async {
        let cluster = match FakeBroker::start_cluster(IDS.len() + 1).await {
            Ok(cluster) => Arc::new(cluster),
            Err(error) => return failed(error.to_string()),
        };
        prepare(&cluster, max_record_bytes, faults.clone());
        let groups = Arc::new(GroupCoordinator::new(Arc::downgrade(&cluster)));
        if let Err(error) = put_relays_before(&cluster, &groups).await {
            return failed(error.to_string());
        }
        let _ = started.send(Ok(Arc::clone(&cluster)));
        tokio::select! {
            _ = stopped => {}
            () = clean(&cluster) => {}
            () = expire_members(&groups) => {}
            () = broker_faults::disturb(&cluster, faults) => {}
        }
    });
}

/// Makes the crate's cluster ours.
fn prepare(cluster: &Arc<FakeBroker>, max_record_bytes: usize, faults: Option<Arc<RequestFaults>>) {
    cluster.crash(UNUSED_ID);
    cluster.with_state(|state| {
        state.brokers.retain(|broker| broker.node_id != UNUSED_ID);
        state.controller_id = IDS[0];
        CLUSTER_ID.clone_into(&mut state.cluster_id);
        // As on MSK by default: a misspelt topic is an error.
        state.auto_create_topics = false;
    });
    for (kind, oldest, newest) in older_versions::offered().chain([group_frames::LEAVE_VERSIONS]) {
        cluster.set_api_versions(ApiKey::from_i16(kind), oldest, newest);
    }
    let bound = MemoryBound::new(max_record_bytes);
    // The cluster owns its hooks.
    let weak = Arc::downgrade(cluster);
    cluster.on(ApiKey::Produce, move |request| {
        if let Some(cluster) = weak.upgrade() {
            cluster.with_state(|state| bound.enforce(state));
        }
        broker_faults::control(faults.as_deref(), request)
    });
}

/// Makes clients connect to relays.
async fn put_relays_before(cluster: &Arc<FakeBroker>, groups: &Arc<GroupCoordinator>) -> std::io::Result<()> {
    for id in IDS {
        let Some(behind) = cluster.broker_addr(id) else { continue };
        let (listener, address) = relay::listen().await?;
        let (cluster_of_relay, groups) = (Arc::downgrade(cluster), Arc::clone(groups));
        let behind = Behind { id, address: behind, cluster: cluster_of_relay, groups };
        tokio::spawn(relay::serve(listener, behind));
        cluster.with_state(|state| {
            for broker in state.brokers.iter_mut().filter(|broker| broker.node_id == id) {
                broker.port = address.port().into();
            }
        });
    }
    Ok(())
}

async fn clean(cluster: &FakeBroker) {
    loop {
        tokio::time::sleep(CLEANING_INTERVAL).await;
        cluster.clear_requests();
        cluster.with_state(|state| {
            state.list_offsets_lookups.clear();
            state.leave_group_members.clear();
            state.consumer_group_heartbeats.clear();
            state.share_session_closes.clear();
            expire_newer_members(state);
        });
    }
}

/// Takes the partitions of classic groups' members that were killed.
async fn expire_members(groups: &GroupCoordinator) {
    loop {
        tokio::time::sleep(group_coordinator::CHECK_INTERVAL).await;
        groups.expire();
    }
}

/// Takes those of the newer protocol's members; the crate itself waits for 45 s.
fn expire_newer_members(state: &mut ClusterState) {
    for group in state.groups.values_mut() {
        let before = group.consumer_members.len();
        let is_alive = |at: Option<tokio::time::Instant>| at.is_none_or(|at| at.elapsed() < SESSION_TIMEOUT);
        group.consumer_members.retain(|_, member| is_alive(member.last_heartbeat));
        if group.consumer_members.len() != before {
            group.group_epoch += 1;
        }
    }
}
