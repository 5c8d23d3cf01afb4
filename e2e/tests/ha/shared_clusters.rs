//! What the scenarios share: clusters that are started once and healed in between, and the verdict at the end.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, anyhow, ensure};
use msk_e2e::folder::target_dir;
use msk_e2e::kafka::cluster::BROKERS;
use msk_e2e::kafka::{Cluster, ClusterOptions, KafkaVersion, Listener, iam};
use msk_e2e::lambda::{Environment, FunctionOptions};
use msk_e2e::load::Load;
use msk_e2e::proxy::Faults;
use msk_e2e::{functions, log_reader};
use tokio::sync::Mutex;

use crate::sabotage;

/// Elections, restarts and catching up: each takes seconds, and two cores are shared with everything else.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Partitions of each scenario's topic: two for each broker.
pub(crate) const PARTITIONS: i32 = 6;

/// Function environments of a usual load.
pub(crate) const CLIENTS: usize = 4;

/// The clusters that scenarios run on, one at a time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClusterKind {
    /// Kafka 3.9 with its default settings.
    Kafka3,
    /// Kafka 3.9 that requires a new token every 15 s on an open connection.
    Kafka3Reauthenticating,
    /// Kafka 4 with its default settings.
    Kafka4,
}

impl ClusterKind {
    pub(crate) fn options(self) -> ClusterOptions {
        let version = if self == Self::Kafka4 { KafkaVersion::V4 } else { KafkaVersion::V3_9 };
        let mut options = ClusterOptions { version, proxied: vec![Listener::Iam], ..ClusterOptions::default() };
        if self == Self::Kafka3Reauthenticating {
            let limit = "listener.name.iam.oauthbearer.connections.max.reauth.ms";
            options.properties.push((limit.to_owned(), "15000".to_owned()));
        }
        options
    }
}

/// The clusters that run.
pub(crate) struct SharedClusters {
    current: Mutex<Option<(ClusterKind, Arc<Cluster>)>>,
    full: bool,
}

impl SharedClusters {
    pub(crate) fn new() -> Self {
        Self { current: Mutex::default(), full: std::env::var("MSK_E2E_FULL").is_ok_and(|full| full == "1") }
    }

    /// Whether the full column is requested.
    pub(crate) fn is_full(&self) -> bool {
        self.full
    }

    /// The figure of the requested column.
    pub(crate) fn choose<T>(&self, fast: T, full: T) -> T {
        if self.full { full } else { fast }
    }

    /// The cluster of this kind; one of another kind ends first, for memory and cores.
    pub(crate) async fn cluster_of(&self, kind: ClusterKind) -> anyhow::Result<Arc<Cluster>> {
        let mut current = self.current.lock().await;
        if let Some((running, cluster)) = current.as_ref()
            && *running == kind
        {
            return Ok(Arc::clone(cluster));
        }
        *current = None;
        let cluster = Arc::new(Cluster::start(&kind.options()).await?);
        cluster.iam().set_policy(iam::PRODUCER_ROLE, iam::producer_policy(&["*"]))?;
        *current = Some((kind, Arc::clone(&cluster)));
        Ok(cluster)
    }

    /// The cluster most scenarios run on.
    pub(crate) async fn cluster(&self) -> anyhow::Result<Arc<Cluster>> {
        self.cluster_of(ClusterKind::Kafka3).await
    }

    /// Brings the running cluster back to health, whatever state a scenario, perhaps a failed one, has left it in. One that
    /// cannot be healed ends: the next scenario begins with a new one.
    pub(crate) async fn heal(&self) -> anyhow::Result<()> {
        let Some((_, cluster)) = self.current.lock().await.clone() else { return Ok(()) };
        let healed = Self::heal_cluster(&cluster).await;
        if healed.is_err() {
            self.end().await;
        }
        healed.context("healing the cluster")
    }

    async fn heal_cluster(cluster: &Cluster) -> anyhow::Result<()> {
        for proxy in cluster.proxies() {
            proxy.set(Faults::default());
        }
        cluster.resume_controller()?;
        for id in BROKERS {
            if cluster.is_running(id)? {
                cluster.resume(id)?;
            } else {
                cluster.restart(id)?;
            }
        }
        cluster.iam().set_clock_offset_ms(0)?;
        cluster.iam().set_policy(iam::PRODUCER_ROLE, iam::producer_policy(&["*"]))?;
        Ok(cluster.wait_ready(LIMIT).await?)
    }

    /// Ends what runs.
    pub(crate) async fn end(&self) {
        *self.current.lock().await = None;
    }
}

/// A new topic for one scenario, in sync.
pub(crate) async fn topic(cluster: &Cluster, name: &str) -> anyhow::Result<String> {
    let topic = format!("{name}-{:08x}", rand::random::<u32>());
    cluster.admin().create_topic(&topic, PARTITIONS, &[]).await?;
    Ok(topic)
}

/// The producer as deployed, for one topic, with more variables.
pub(crate) fn producer(cluster: &Cluster, topic: &str, more: &[(&str, &str)]) -> FunctionOptions {
    let mut options = functions::producer(cluster, Listener::Iam, topic);
    if let Some(switch) = sabotage::producer_switch() {
        options = functions::sabotaged(options, switch);
    }
    options.variables.extend(more.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())));
    options
}

/// `count` warm environments of it.
pub(crate) async fn producers(
    cluster: &Cluster,
    topic: &str,
    count: usize,
    more: &[(&str, &str)],
) -> anyhow::Result<Vec<Environment>> {
    Ok(functions::start(&producer(cluster, topic, more), count).await?)
}

/// Reads the log, checks the history against it and returns the figures.
pub(crate) async fn verdict(cluster: &Cluster, topic: &str, load: &Load) -> anyhow::Result<String> {
    cluster.admin().wait_in_sync(topic, 2, LIMIT).await?;
    let mut log = log_reader::find_messages(cluster, topic).await?;
    sabotage::plant_loss(&mut log);
    let verdict = load.history.check(&log);
    let figures = format!("{}; {verdict}", load.summary());
    ensure!(verdict.is_valid(), "the history is not valid: {figures}; {verdict:?}");
    Ok(figures)
}

/// Fails if a request had no 2xx or one of its records was not acknowledged, and reports the answers.
pub(crate) fn ensure_all_succeeded(load: &Load) -> anyhow::Result<()> {
    load.shortfall().map_or(Ok(()), |shortfall| Err(anyhow!(shortfall)))
}

/// Keeps a scenario's figures for the documentation.
pub(crate) fn collect(id: &str, line: &str) {
    let folder: PathBuf = target_dir().join("ha");
    let written = fs::create_dir_all(&folder).and_then(|()| fs::write(folder.join(format!("{id}.txt")), line));
    if let Err(error) = written {
        println!("{}: {error}", folder.display());
    }
}
