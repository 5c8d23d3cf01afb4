//! Three brokers and a controller, and every way to hurt them.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;

use super::admin::Admin;
use super::config::{self, BrokerPorts, Common};
use super::distribution::{Distribution, KafkaVersion};
use super::iam::{AccessKey, IamFiles, PRODUCER_ROLE};
use super::layout::{self, Layout};
use super::listener::Listener;
use super::node::Node;
use crate::certs::{Authority, BROKER_NAMES, Identity, Validity};
use crate::error::{Error, Result, file_error};
use crate::folder::TempFolder;
use crate::ports::Ports;
use crate::proxy::tls::Tls;
use crate::proxy::{Proxy, Wire};
use crate::wait::wait_until;

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
    /// Listeners that clients reach only through a fault proxy.
    pub proxied: Vec<Listener>,
    /// Broker settings that win over the test bed's.
    pub properties: Vec<(String, String)>,
    /// More JVM options, by node: `broker-1` to `broker-3` and `controller`.
    pub jvm_options: BTreeMap<String, Vec<String>>,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self { version: KafkaVersion::V3_9, proxied: Vec::new(), properties: Vec::new(), jvm_options: BTreeMap::new() }
    }
}

/// A running cluster. Dropping it ends every process and removes every file of it.
pub struct Cluster {
    // Processes end before their folder is removed: fields are dropped in this order.
    controller: Node,
    brokers: BTreeMap<BrokerId, Node>,
    proxies: BTreeMap<(BrokerId, Listener), Proxy>,
    broker_ports: BTreeMap<BrokerId, BrokerPorts>,
    admin: Admin,
    iam: IamFiles,
    key: AccessKey,
    authority: Authority,
    client: Identity,
    folder: TempFolder,
    ports: Vec<Ports>,
}

impl Cluster {
    /// Starts a cluster and waits until all three brokers are alive.
    ///
    /// # Errors
    /// Says what to install when Maven or Java is missing; otherwise carries the end of the log of the node at fault.
    pub async fn start(options: &ClusterOptions) -> Result<Self> {
        let distribution = Distribution::fetch(options.version)?;
        archive_classes(&distribution).await?;
        let cluster = Self::prepare(options, &distribution).await?;
        cluster.start_all().await?;
        Ok(cluster)
    }

    /// Everything but started nodes.
    async fn prepare(options: &ClusterOptions, distribution: &Distribution) -> Result<Self> {
        let folder = TempFolder::new()?;
        let ports = Ports::take(layout::port_count(&options.proxied))?;
        let (controller_port, broker_ports) = layout::assign(ports.as_slice(), &options.proxied);
        let authority = Authority::new("msk-e2e authority")?;
        layout::write_certificates(folder.path(), &authority)?;
        let iam = IamFiles::new(folder.path())?;
        let key = AccessKey::temporary();
        iam.add_key(&key, PRODUCER_ROLE)?;
        let common = Common { controller_port, certificates: folder.path(), extra: &options.properties };
        let layout = Layout { folder: folder.path(), distribution, iam: &iam, jvm_options: &options.jvm_options };
        let controller = layout.controller(&common)?;
        let mut brokers = BTreeMap::new();
        for (&id, ports) in &broker_ports {
            brokers.insert(id, layout.broker(&common, id, ports)?);
        }
        layout.format_controller(&controller)?;
        let admin = Admin::new(&layout::internal_bootstrap(&broker_ports))?;
        let client = authority.client("test-client")?;
        layout::write(&folder.path().join("client.pem"), &client.certificate_pem)?;
        layout::write(&folder.path().join("client.key"), &client.key_pem)?;
        let proxies = start_proxies(&broker_ports, &authority).await?;
        let ports = vec![ports];
        Ok(Self { controller, brokers, proxies, broker_ports, admin, iam, key, authority, client, folder, ports })
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
        layout::internal_bootstrap(&self.broker_ports)
    }

    /// Where a broker itself listens, past any proxy.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an id that is not in [`BROKERS`].
    pub fn bound_port(&self, id: BrokerId, listener: Listener) -> Result<u16> {
        self.broker(id)?;
        Ok(self.broker_ports[&id].bound[&listener])
    }

    /// The fault proxy before one listener of one broker.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the cluster was started without it.
    pub fn proxy(&self, id: BrokerId, listener: Listener) -> Result<&Proxy> {
        let proxy = self.proxies.get(&(id, listener));
        proxy.ok_or_else(|| Error::Invalid(format!("no proxy before {listener:?} of broker {id}: see `proxied`")))
    }

    /// All fault proxies.
    pub fn proxies(&self) -> impl Iterator<Item = &Proxy> {
        self.proxies.values()
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

    /// A client certificate for [`Listener::MutualTls`]; also in the files `client.pem` and `client.key` of the folder.
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
    /// [`Error::Invalid`] for an id that is not in [`BROKERS`].
    pub fn kill(&self, id: BrokerId) -> Result<()> {
        self.broker(id)?.kill();
        Ok(())
    }

    /// SIGTERM to a broker, and the wait for its clean end.
    ///
    /// # Errors
    /// [`Error::TimedOut`] when it does not end in 40 s.
    pub async fn terminate(&self, id: BrokerId) -> Result<()> {
        self.broker(id)?.terminate(STOP_LIMIT).await.map(drop)
    }

    /// SIGSTOP to a broker: it answers nothing, and its connections stay open.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it does not run.
    pub fn pause(&self, id: BrokerId) -> Result<()> {
        self.broker(id)?.signal(Signal::SIGSTOP)
    }

    /// SIGCONT to a broker.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it does not run.
    pub fn resume(&self, id: BrokerId) -> Result<()> {
        self.broker(id)?.signal(Signal::SIGCONT)
    }

    /// SIGSTOP to the controller: no leader moves.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it does not run.
    pub fn pause_controller(&self) -> Result<()> {
        self.controller.signal(Signal::SIGSTOP)
    }

    /// SIGCONT to the controller.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it does not run.
    pub fn resume_controller(&self) -> Result<()> {
        self.controller.signal(Signal::SIGCONT)
    }

    /// Starts a broker that was killed or terminated. Its end of waiting is [`Cluster::wait_ready`].
    ///
    /// # Errors
    /// [`Error::Invalid`] when it already runs.
    pub fn restart(&self, id: BrokerId) -> Result<()> {
        self.broker(id)?.start()
    }

    /// Restarts every broker behind another port of `listener`; the old ports are closed. What a client sees when MSK
    /// replaces all brokers.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the listener has no proxies, otherwise as the restart of a broker.
    pub async fn move_brokers(&mut self, listener: Listener) -> Result<()> {
        let new = Ports::take(BROKERS.len())?;
        for (&id, &port) in BROKERS.iter().zip(new.as_slice()) {
            self.proxy(id, listener)?;
            self.terminate(id).await?;
            let Some(ports) = self.broker_ports.get_mut(&id) else { continue };
            ports.advertised.insert(listener, port);
            let path = self.brokers[&id].properties();
            let old = fs::read_to_string(path).map_err(file_error(path))?;
            layout::write(path, &config::readvertise(&old, ports))?;
            self.proxies.insert((id, listener), start_proxy(listener, ports, &self.authority).await?);
        }
        self.ports.push(new);
        for id in BROKERS {
            self.restart(id)?;
        }
        self.wait_ready(START_LIMIT).await
    }

    /// Whether the broker's process is there (paused counts).
    ///
    /// # Errors
    /// [`Error::Invalid`] for an id that is not in [`BROKERS`].
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
    /// [`Error::Exited`] at once when a node has ended, [`Error::TimedOut`] otherwise.
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
    /// [`Error::File`] when there is no log.
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
        self.brokers.get(&id).ok_or_else(|| Error::Invalid(format!("no broker {id}: there are {BROKERS:?}")))
    }
}

/// Writes the class archive where there is none: the JVM of a broker in a cluster of its own does it when it ends.
async fn archive_classes(distribution: &Distribution) -> Result<()> {
    let archive = distribution.class_archive();
    if archive.exists() {
        return Ok(());
    }
    let _lock = distribution.lock()?;
    if archive.exists() {
        return Ok(());
    }
    tracing::info!(version = %distribution.version(), "archiving the classes of a broker");
    let partial = archive.with_extension("partial");
    let option = format!("-XX:ArchiveClassesAtExit={}", partial.display());
    let [first, ..] = BROKERS;
    let jvm_options = BTreeMap::from([(format!("broker-{first}"), vec![option])]);
    let options = ClusterOptions { version: distribution.version(), jvm_options, ..ClusterOptions::default() };
    let cluster = Cluster::prepare(&options, distribution).await?;
    cluster.controller.start()?;
    cluster.broker(first)?.start()?;
    cluster.wait_ready(START_LIMIT).await?;
    cluster.terminate(first).await?;
    // A JVM that writes none ignores an empty one.
    let written = if partial.exists() { fs::rename(&partial, &archive) } else { fs::write(&archive, "") };
    written.map_err(file_error(&archive))
}

/// One for each listener whose advertised port is not the broker's own.
async fn start_proxies(
    ports: &BTreeMap<BrokerId, BrokerPorts>,
    authority: &Authority,
) -> Result<BTreeMap<(BrokerId, Listener), Proxy>> {
    let mut proxies = BTreeMap::new();
    for (&id, ports) in ports {
        let proxied = |listener: &Listener| ports.bound[listener] != ports.advertised[listener];
        for listener in Listener::ALL.into_iter().filter(proxied) {
            proxies.insert((id, listener), start_proxy(listener, ports, authority).await?);
        }
    }
    Ok(proxies)
}

async fn start_proxy(listener: Listener, ports: &BrokerPorts, authority: &Authority) -> Result<Proxy> {
    let wire = match listener {
        Listener::Plaintext => Wire::Kafka,
        Listener::Iam | Listener::Scram => {
            Wire::KafkaInTls(Tls::new(&authority.server(&BROKER_NAMES, Validity::Current)?, authority)?)
        }
        // The client's certificate cannot be shown to the broker by anyone else.
        Listener::MutualTls => Wire::Bytes,
    };
    let broker = (Ipv4Addr::LOCALHOST, ports.bound[&listener]).into();
    Proxy::start(ports.advertised[&listener], broker, wire).await
}
