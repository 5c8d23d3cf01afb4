//! Three brokers and a controller, and every way to hurt them.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use nix::sys::signal::Signal;

use super::{
    admin::Admin,
    config::{self, BrokerPorts, Common},
    distribution::{Distribution, KafkaVersion},
    iam::{AccessKey, IamFiles, PRODUCER_ROLE},
    listener::Listener,
    node::{self, Node, Start},
};
use crate::{
    certs::{Authority, BROKER_NAMES, Identity, Validity},
    error::{Result, RigError, file_error, os_error},
    folder::TempFolder,
    ports::Ports,
    wait::wait_until,
};

pub use super::config::{BROKERS, BrokerId, SCRAM_PASSWORD, SCRAM_USER};

/// Four JVMs on two busy cores; 8 to 9 s on idle ones.
const START_LIMIT: Duration = Duration::from_secs(90);

/// A clean end hands every leadership over first.
const STOP_LIMIT: Duration = Duration::from_secs(40);

/// What a cluster should be like.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// The release of Apache Kafka.
    pub version: KafkaVersion,
    /// Broker settings that win over the rig's.
    pub properties: Vec<(String, String)>,
    /// More JVM options, by node: `broker-1` to `broker-3` and `controller`.
    pub jvm_options: BTreeMap<String, Vec<String>>,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self { version: KafkaVersion::V3_9, properties: Vec::new(), jvm_options: BTreeMap::new() }
    }
}

/// A running cluster. Dropping it ends every process and removes every file of it.
pub struct Cluster {
    // Processes end before their folder is removed: fields are dropped in this order.
    controller: Node,
    brokers: BTreeMap<BrokerId, Node>,
    broker_ports: BTreeMap<BrokerId, BrokerPorts>,
    admin: Admin,
    iam: IamFiles,
    key: AccessKey,
    authority: Authority,
    client: Identity,
    folder: TempFolder,
    _ports: Ports,
}

impl Cluster {
    /// Starts a cluster and waits until all three brokers are alive.
    ///
    /// # Errors
    ///
    /// Says what to install when Maven or Java is missing; otherwise carries the end of the log of the node at fault.
    pub async fn start(options: &ClusterOptions) -> Result<Self> {
        let distribution = Distribution::fetch(options.version)?;
        let folder = TempFolder::new()?;
        let ports = Ports::take(1 + BROKERS.len() * (1 + Listener::ALL.len()))?;
        let (controller_port, broker_ports) = assign(ports.as_slice());
        let authority = Authority::new("msk-e2e authority")?;
        write_certificates(folder.path(), &authority)?;
        let iam = IamFiles::new(folder.path())?;
        let key = AccessKey::temporary();
        iam.add_key(&key, PRODUCER_ROLE)?;
        let common = Common { controller_port, certificates: folder.path(), extra: &options.properties };
        let layout =
            Layout { folder: folder.path(), distribution: &distribution, iam: &iam, jvm_options: &options.jvm_options };
        let controller = layout.controller(&common)?;
        let mut brokers = BTreeMap::new();
        for (&id, ports) in &broker_ports {
            brokers.insert(id, layout.broker(&common, id, ports)?);
        }
        layout.format_controller(&controller)?;
        let admin = Admin::new(&internal_bootstrap(&broker_ports))?;
        let client = authority.client("rig-client")?;
        let cluster =
            Self { controller, brokers, broker_ports, admin, iam, key, authority, client, folder, _ports: ports };
        cluster.start_all().await?;
        Ok(cluster)
    }

    async fn start_all(&self) -> Result<()> {
        self.controller.start()?;
        for broker in self.brokers.values() {
            broker.start()?;
        }
        self.wait_ready(START_LIMIT).await
    }

    /// The `host:port,...` list of a listener, as a client is configured.
    pub fn bootstrap(&self, listener: Listener) -> String {
        let ports = self.broker_ports.values().map(|ports| ports.advertised[&listener]);
        ports.map(|port| format!("127.0.0.1:{port}")).collect::<Vec<_>>().join(",")
    }

    /// The `host:port,...` list that no fault proxy stands before, without TLS.
    pub fn internal_bootstrap(&self) -> String {
        internal_bootstrap(&self.broker_ports)
    }

    /// Questions and orders to the cluster.
    pub fn admin(&self) -> &Admin {
        &self.admin
    }

    /// The access keys and policies the brokers know.
    pub fn iam(&self) -> &IamFiles {
        &self.iam
    }

    /// The access key of [`PRODUCER_ROLE`], known from the start; its role has no policy yet.
    pub fn key(&self) -> &AccessKey {
        &self.key
    }

    /// The authority that signed the brokers' certificates.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// A client certificate for [`Listener::MutualTls`].
    pub fn client_identity(&self) -> &Identity {
        &self.client
    }

    /// The PEM file of the authority, for `ssl.ca.location`.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A folder that lives as long as the cluster.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// SIGKILL to a broker.
    ///
    /// # Errors
    ///
    /// [`RigError::Invalid`] for an id that is none of [`BROKERS`].
    pub fn kill(&self, id: BrokerId) -> Result<()> {
        self.broker(id)?.kill();
        Ok(())
    }

    /// SIGTERM to a broker, and the wait for its clean end.
    ///
    /// # Errors
    ///
    /// [`RigError::TimedOut`] when it does not end in 40 s.
    pub async fn terminate(&self, id: BrokerId) -> Result<()> {
        self.broker(id)?.terminate(STOP_LIMIT).await.map(drop)
    }

    /// SIGSTOP to a broker: it answers nothing, and its connections stay open.
    ///
    /// # Errors
    ///
    /// [`RigError::Invalid`] when it does not run.
    pub fn pause(&self, id: BrokerId) -> Result<()> {
        self.broker(id)?.signal(Signal::SIGSTOP)
    }

    /// SIGCONT to a broker.
    ///
    /// # Errors
    ///
    /// [`RigError::Invalid`] when it does not run.
    pub fn resume(&self, id: BrokerId) -> Result<()> {
        self.broker(id)?.signal(Signal::SIGCONT)
    }

    /// SIGSTOP to the controller: no leader moves.
    ///
    /// # Errors
    ///
    /// [`RigError::Invalid`] when it does not run.
    pub fn pause_controller(&self) -> Result<()> {
        self.controller.signal(Signal::SIGSTOP)
    }

    /// SIGCONT to the controller.
    ///
    /// # Errors
    ///
    /// [`RigError::Invalid`] when it does not run.
    pub fn resume_controller(&self) -> Result<()> {
        self.controller.signal(Signal::SIGCONT)
    }

    /// Starts a broker that was killed or terminated. Its end of waiting is [`Cluster::wait_ready`].
    ///
    /// # Errors
    ///
    /// [`RigError::Invalid`] when it already runs.
    pub fn restart(&self, id: BrokerId) -> Result<()> {
        self.broker(id)?.start()
    }

    /// Whether the broker's process is there (paused counts).
    ///
    /// # Errors
    ///
    /// [`RigError::Invalid`] for an id that is none of [`BROKERS`].
    pub fn is_running(&self, id: BrokerId) -> Result<bool> {
        Ok(self.broker(id)?.is_running())
    }

    /// Process ids of all nodes that run, controller first.
    pub fn process_ids(&self) -> Vec<u32> {
        std::iter::once(&self.controller).chain(self.brokers.values()).filter_map(Node::id).collect()
    }

    /// Waits until every node that was started is alive and unfenced.
    ///
    /// # Errors
    ///
    /// [`RigError::Exited`] at once when a node has ended, [`RigError::TimedOut`] otherwise.
    pub async fn wait_ready(&self, limit: Duration) -> Result<()> {
        let expected: Vec<BrokerId> =
            self.brokers.iter().filter(|(_, node)| node.is_running()).map(|(&id, _)| id).collect();
        let what = format!("live brokers {expected:?}");
        let ready = wait_until(&what, limit, || async {
            if let Err(error) = self.check_running() {
                return Ok(Err(error));
            }
            match self.admin.brokers().await {
                Ok(brokers) if brokers == expected => Ok(Ok(())),
                Ok(brokers) => Err(format!("{brokers:?}")),
                Err(error) => Err(error.to_string()),
            }
        });
        ready.await?
    }

    /// Everything a broker has logged so far.
    ///
    /// # Errors
    ///
    /// [`RigError::File`] when there is no log.
    pub fn log(&self, id: BrokerId) -> Result<String> {
        let path = self.broker(id)?.log();
        let bytes = fs::read(path).map_err(file_error(path))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn check_running(&self) -> Result<()> {
        self.controller.check_running()?;
        self.brokers.values().try_for_each(Node::check_running)
    }

    fn broker(&self, id: BrokerId) -> Result<&Node> {
        self.brokers.get(&id).ok_or_else(|| RigError::Invalid(format!("no broker {id}: there are {BROKERS:?}")))
    }
}

/// The controller's port, then five for each broker.
fn assign(ports: &[u16]) -> (u16, BTreeMap<BrokerId, BrokerPorts>) {
    let mut ports = ports.iter().copied();
    // `Ports::take` gave as many as are taken here.
    let mut next = || ports.next().unwrap_or_default();
    let controller = next();
    let mut brokers = BTreeMap::new();
    for id in BROKERS {
        let internal = next();
        let bound: BTreeMap<Listener, u16> = Listener::ALL.into_iter().map(|listener| (listener, next())).collect();
        brokers.insert(id, BrokerPorts { internal, advertised: bound.clone(), bound });
    }
    (controller, brokers)
}

fn internal_bootstrap(ports: &BTreeMap<BrokerId, BrokerPorts>) -> String {
    ports.values().map(|ports| format!("127.0.0.1:{}", ports.internal)).collect::<Vec<_>>().join(",")
}

/// All brokers share one certificate, as MSK's share one for the cluster's names.
fn write_certificates(folder: &Path, authority: &Authority) -> Result<()> {
    let broker = authority.server(&BROKER_NAMES, Validity::Current)?;
    for (name, content) in [
        ("broker.pem", [broker.key_pem, broker.certificate_pem].concat()),
        ("ca.pem", authority.pem()),
        ("log4j.properties", config::LOG4J.to_owned()),
        ("log4j2.properties", config::LOG4J2.to_owned()),
    ] {
        let path = folder.join(name);
        fs::write(&path, content).map_err(file_error(&path))?;
    }
    Ok(())
}

/// Where a cluster's files are and what its JVMs are started with.
struct Layout<'a> {
    folder: &'a Path,
    distribution: &'a Distribution,
    iam: &'a IamFiles,
    jvm_options: &'a BTreeMap<String, Vec<String>>,
}

impl Layout<'_> {
    fn controller(&self, common: &Common<'_>) -> Result<Node> {
        let data = self.data_folder("controller")?;
        self.node("controller", &config::controller(common, &data))
    }

    fn broker(&self, common: &Common<'_>, id: BrokerId, ports: &BrokerPorts) -> Result<Node> {
        let name = format!("broker-{id}");
        let data = self.data_folder(&name)?;
        let meta = data.join("meta.properties");
        fs::write(&meta, config::meta_properties(id)).map_err(file_error(&meta))?;
        self.node(&name, &config::broker(common, id, ports, &data))
    }

    fn node(&self, name: &str, properties: &str) -> Result<Node> {
        let path = self.folder.join(format!("{name}.properties"));
        fs::write(&path, properties).map_err(file_error(&path))?;
        let more = self.jvm_options.get(name).into_iter().flatten().cloned();
        let start = Start {
            class_path: self.distribution.class_path(),
            jvm_options: self.jvm_options().into_iter().chain(more).collect(),
            properties: path,
            log: self.folder.join(format!("{name}.log")),
        };
        Ok(Node::new(name.to_owned(), start))
    }

    fn data_folder(&self, name: &str) -> Result<PathBuf> {
        let data = self.folder.join(format!("{name}-data"));
        fs::create_dir(&data).map_err(file_error(&data))?;
        Ok(data)
    }

    fn jvm_options(&self) -> Vec<String> {
        let mut options = self.iam.system_properties();
        options.push(format!("-Dlog4j.configuration=file:{}", self.folder.join("log4j.properties").display()));
        options.push(format!("-Dlog4j2.configurationFile={}", self.folder.join("log4j2.properties").display()));
        options
    }

    /// Writes the metadata log's first records, the SCRAM user among them.
    fn format_controller(&self, controller: &Node) -> Result<()> {
        let mut java = node::java(&self.distribution.class_path(), &self.jvm_options());
        java.args(["kafka.tools.StorageTool", "format", "--cluster-id", config::CLUSTER_ID, "--config"]);
        java.arg(controller.properties()).arg("--add-scram");
        java.arg(format!("SCRAM-SHA-512=[name={},password={}]", config::SCRAM_USER, config::SCRAM_PASSWORD));
        let output = java.stdin(Stdio::null()).output().map_err(os_error("running java"))?;
        if output.status.success() {
            return Ok(());
        }
        let printed = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        Err(RigError::Command { command: "kafka.tools.StorageTool format".to_owned(), detail: printed })
    }
}
