//! Where a cluster's files are, which ports its nodes have, and what its JVMs are started with.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::config::{self, BROKERS, BrokerId, BrokerPorts, Common};
use super::distribution::Distribution;
use super::iam::IamFiles;
use super::listener::Listener;
use super::node::{self, Node, Start};
use crate::certs::{Authority, BROKER_NAMES, Validity};
use crate::error::{Error, Result, file_error, os_error};

/// The controller's port, then five for each broker.
/// A listener behind a fault proxy has one more, which is advertised.
pub(super) fn assign(ports: &[u16], proxied: &[Listener]) -> (u16, BTreeMap<BrokerId, BrokerPorts>) {
    let mut ports = ports.iter().copied();
    // `Ports::take` gave as many as are taken here.
    let mut next = || ports.next().unwrap_or_default();
    let controller = next();
    let mut brokers = BTreeMap::new();
    for id in BROKERS {
        let internal = next();
        let bound: BTreeMap<Listener, u16> = Listener::ALL.into_iter().map(|listener| (listener, next())).collect();
        let mut advertised = bound.clone();
        advertised.extend(proxied.iter().map(|&listener| (listener, next())));
        brokers.insert(id, BrokerPorts { internal, bound, advertised });
    }
    (controller, brokers)
}

pub(super) fn internal_bootstrap(ports: &BTreeMap<BrokerId, BrokerPorts>) -> String {
    ports.values().map(|ports| format!("127.0.0.1:{}", ports.internal)).collect::<Vec<_>>().join(",")
}

/// How many ports [`assign`] gives out.
pub(super) fn port_count(proxied: &[Listener]) -> usize {
    1 + BROKERS.len() * (1 + Listener::ALL.len() + proxied.len())
}

/// All brokers share one certificate, as MSK's share one for the cluster's names.
pub(super) fn write_certificates(folder: &Path, authority: &Authority) -> Result<()> {
    let broker = authority.server(&BROKER_NAMES, Validity::Current)?;
    for (name, content) in [
        ("broker.pem", [broker.key_pem, broker.certificate_pem].concat()),
        ("ca.pem", authority.pem()),
        ("log4j.properties", config::LOG4J.to_owned()),
        ("log4j2.properties", config::LOG4J2.to_owned()),
    ] {
        write(&folder.join(name), &content)?;
    }
    Ok(())
}

pub(super) fn write(path: &Path, content: &str) -> Result<()> {
    fs::write(path, content).map_err(file_error(path))
}

/// Where a cluster's files are and what its JVMs are started with.
pub(super) struct Layout<'a> {
    pub(super) folder: &'a Path,
    pub(super) distribution: &'a Distribution,
    pub(super) iam: &'a IamFiles,
    pub(super) jvm_options: &'a BTreeMap<String, Vec<String>>,
}

impl Layout<'_> {
    pub(super) fn controller(&self, common: &Common<'_>) -> Result<Node> {
        let data = self.data_folder("controller")?;
        self.node("controller", &config::controller(common, &data))
    }

    pub(super) fn broker(&self, common: &Common<'_>, id: BrokerId, ports: &BrokerPorts) -> Result<Node> {
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
        let archive = self.distribution.class_archive();
        if archive.exists() {
            options.push(format!("-XX:SharedArchiveFile={}", archive.display()));
        }
        options.push(format!("-Dlog4j.configuration=file:{}", self.folder.join("log4j.properties").display()));
        options.push(format!("-Dlog4j2.configurationFile={}", self.folder.join("log4j2.properties").display()));
        options
    }

    /// Writes the metadata log's first records, the SCRAM user among them.
    pub(super) fn format_controller(&self, controller: &Node) -> Result<()> {
        let mut java = node::java(&self.distribution.class_path(), &self.jvm_options());
        java.args(["kafka.tools.StorageTool", "format", "--cluster-id", config::CLUSTER_ID, "--config"]);
        java.arg(controller.properties()).arg("--add-scram");
        java.arg(format!("SCRAM-SHA-512=[name={},password={}]", config::SCRAM_USER, config::SCRAM_PASSWORD));
        let output = java.stdin(Stdio::null()).output().map_err(os_error("running java"))?;
        if output.status.success() {
            return Ok(());
        }
        let printed = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        Err(Error::Command { command: "kafka.tools.StorageTool format".to_owned(), detail: printed })
    }
}
