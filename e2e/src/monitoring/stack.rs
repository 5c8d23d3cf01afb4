//! A cluster of the test bed with everything that watches it.

use std::{collections::BTreeMap, time::Duration};

use rdkafka::ClientConfig;

use super::{agent, lag::LagExporter, prometheus::Prometheus, traffic, volume::Volume};
use crate::client;
use crate::error::Result;
use crate::kafka::cluster::{BROKERS, BrokerId};
use crate::kafka::{Cluster, ClusterOptions, Listener};
use crate::ports::Ports;
use crate::wait::wait_until;

/// The topic with traffic.
pub const TOPIC: &str = "orders";
/// The group that reads it.
pub const GROUP: &str = "orders-readers";
const PARTITIONS: i32 = 6;

/// Everything, running.
pub struct Stack {
    // Dropped in this order: clients before the servers they query.
    reader: Option<traffic::Task>,
    _writer: traffic::Task,
    prometheus: Prometheus,
    _lag: LagExporter,
    volume: Volume,
    cluster: Cluster,
    brokers: Vec<(u16, String)>,
    _ports: Ports,
}

impl Stack {
    /// Starts the cluster, the exporters, the traffic and Prometheus, and waits until every target is scraped.
    ///
    /// # Errors
    /// Says what to install when something is missing.
    pub async fn start() -> Result<Self> {
        let ports = Ports::take(BROKERS.len() + 4)?;
        let (jmx, rest) = ports.as_slice().split_at(BROKERS.len());
        let (controller, node, lag, prometheus) = (rest[0], rest[1], rest[2], rest[3]);
        let cluster = start_cluster(jmx, controller).await?;
        cluster.admin().create_topic(TOPIC, PARTITIONS, &[("follower.replication.throttled.replicas", "*")]).await?;
        let settings = client::settings(&cluster, Listener::Plaintext);
        let writer = traffic::write(&settings, TOPIC)?;
        let reader = traffic::read(&settings, GROUP, TOPIC)?;
        let lag_exporter = LagExporter::start(&settings, GROUP, TOPIC, PARTITIONS, lag).await?;
        let volume = Volume::start(cluster.folder(), node).await?;
        let brokers: Vec<(u16, String)> = jmx.iter().zip(BROKERS).map(|(&port, id)| (port, id.to_string())).collect();
        // MSK's brokers provide the lag themselves; here it has its own job, so that it is not mistaken for a broker.
        let targets = [
            ("msk-jmx", brokers.clone()),
            ("msk-controllers", vec![(controller, "10000".to_owned())]),
            ("msk-node", vec![(node, "1".to_owned())]),
            ("msk-lag", vec![(lag, String::new())]),
        ];
        let prometheus = Prometheus::start(cluster.folder(), prometheus, &targets).await?;
        let stack = Self {
            reader: Some(reader),
            _writer: writer,
            prometheus,
            _lag: lag_exporter,
            volume,
            cluster,
            brokers,
            _ports: ports,
        };
        stack.wait_scraped().await?;
        Ok(stack)
    }

    async fn wait_scraped(&self) -> Result<()> {
        let what = "a scrape of three brokers, the controller, the host and the lag";
        wait_until(what, Duration::from_secs(60), || async {
            match self.prometheus.count("up == 1").await {
                Ok(6) => Ok(()),
                Ok(up) => Err(format!("{up} of 6")),
                Err(error) => Err(error.to_string()),
            }
        })
        .await
    }

    pub fn prometheus(&self) -> &Prometheus {
        &self.prometheus
    }

    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    pub fn volume(&self) -> &Volume {
        &self.volume
    }

    /// Settings of a client without credentials.
    pub fn settings(&self) -> ClientConfig {
        client::settings(&self.cluster, Listener::Plaintext)
    }

    /// Ends the consumer group's only member.
    pub fn stop_reading(&mut self) {
        self.reader = None;
    }

    /// Starts it again.
    pub fn start_reading(&mut self) -> Result<()> {
        self.reader = Some(traffic::read(&self.settings(), GROUP, TOPIC)?);
        Ok(())
    }

    /// Makes Prometheus scrape the brokers, or none of them.
    pub fn scrape_brokers(&self, scrape: bool) -> Result<()> {
        let targets = if scrape { self.brokers.as_slice() } else { &[] };
        self.prometheus.set_targets("msk-jmx", targets)
    }

    /// The port of one broker's listener without credentials, and of one with TLS.
    pub fn ports_of(&self, id: BrokerId) -> (u16, u16) {
        let port = |listener| {
            let list = self.cluster.bootstrap(listener);
            let address = list.split(',').nth(usize::from(id) - 1).unwrap_or_default();
            address.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or(0)
        };
        (port(Listener::Plaintext), port(Listener::Scram))
    }
}

async fn start_cluster(jmx: &[u16], controller: u16) -> Result<Cluster> {
    let mut jvm_options = BTreeMap::new();
    for (&port, id) in jmx.iter().zip(BROKERS) {
        jvm_options.insert(format!("broker-{id}"), vec![agent::option(port)?]);
    }
    jvm_options.insert("controller".to_owned(), vec![agent::option(controller)?]);
    Cluster::start(&ClusterOptions { jvm_options, ..ClusterOptions::default() }).await
}
