//! Three embedded Kafka brokers: librdkafka's mock cluster, for a laptop and for tests.
//!
//! The cluster lives on its own thread, since its handle is bound to one; commands reach it over a channel.

use std::sync::mpsc;
use std::thread::JoinHandle;

use msk_shared::topic_spec::TopicSpec;
use rdkafka::error::KafkaError;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

/// What these brokers cannot do, so that no claim may rest on it.
pub const LIMITS: &str = "embedded brokers: memory only, at most 5 MiB kept per partition, leaders never move, no look-up by time (AT_TIMESTAMP), no TLS, no authentication";

/// As many as MSK has across three availability zones.
const BROKERS: i32 = 3;
/// Every topic of an MSK cluster of this project has three replicas.
const REPLICATION_FACTOR: i32 = 3;

type Cluster = MockCluster<'static, DefaultProducerContext>;
type Command = Box<dyn FnOnce(&Cluster) + Send>;

/// Why the brokers could not carry out a command.
#[derive(Debug, thiserror::Error)]
pub enum BrokersError {
    /// The cluster did not start, or rejected a command.
    #[error("embedded brokers: {0}")]
    Kafka(#[from] KafkaError),
    /// The cluster's thread could not start or has ended.
    #[error("embedded brokers: the cluster is not running")]
    NotRunning,
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
    fn id(self) -> i32 {
        match self {
            Self::All => -1,
            Self::One(id) => id,
        }
    }
}

/// A running cluster of three brokers on loopback; it ends when this is dropped.
pub struct EmbeddedBrokers {
    bootstrap_servers: String,
    commands: Option<mpsc::Sender<Command>>,
    thread: Option<JoinHandle<()>>,
}

impl EmbeddedBrokers {
    /// Starts the brokers on free loopback ports and creates `topics`.
    ///
    /// # Errors
    /// [`BrokersError`] if the cluster or a topic cannot be created.
    pub fn start(topics: &[TopicSpec]) -> Result<Self, BrokersError> {
        let (commands, inbox) = mpsc::channel::<Command>();
        let (started, answer) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("embedded-brokers".to_owned())
            .spawn(move || serve(&started, &inbox))
            .map_err(|_| BrokersError::NotRunning)?;
        let bootstrap_servers = answer.recv().map_err(|_| BrokersError::NotRunning)??;
        let brokers = Self { bootstrap_servers, commands: Some(commands), thread: Some(thread) };
        for topic in topics {
            brokers.create_topic(topic)?;
        }
        Ok(brokers)
    }

    /// The addresses of the three brokers, as `host:port,...`.
    pub fn bootstrap_servers(&self) -> &str {
        &self.bootstrap_servers
    }

    /// Creates a topic with three replicas.
    ///
    /// # Errors
    /// [`BrokersError`], also if the topic already exists.
    pub fn create_topic(&self, topic: &TopicSpec) -> Result<(), BrokersError> {
        let (name, partitions) = (topic.name.to_string(), topic.partitions);
        self.command(move |cluster| cluster.create_topic(&name, partitions, REPLICATION_FACTOR))
    }

    /// Cuts every connection of the broker and refuses new ones. No leader moves.
    ///
    /// # Errors
    /// [`BrokersError`] if there is no such broker.
    pub fn down(&self, which: Which) -> Result<(), BrokersError> {
        self.command(move |cluster| cluster.broker_down(which.id()))
    }

    /// Makes the broker accept connections again.
    ///
    /// # Errors
    /// [`BrokersError`] if there is no such broker.
    pub fn up(&self, which: Which) -> Result<(), BrokersError> {
        self.command(move |cluster| cluster.broker_up(which.id()))
    }

    /// Answers the next requests of this kind with these errors, one each;
    /// `RD_KAFKA_RESP_ERR__TRANSPORT` drops the connection instead.
    ///
    /// # Errors
    /// [`BrokersError::NotRunning`].
    pub fn fail_requests(&self, kind: RDKafkaApiKey, errors: Vec<RDKafkaRespErr>) -> Result<(), BrokersError> {
        self.command(move |cluster| {
            cluster.request_errors(kind, &errors);
            Ok(())
        })
    }

    /// Discards the errors of [`Self::fail_requests`] that remain for this kind of request.
    ///
    /// # Errors
    /// [`BrokersError::NotRunning`].
    pub fn forgive_requests(&self, kind: RDKafkaApiKey) -> Result<(), BrokersError> {
        self.command(move |cluster| {
            cluster.clear_request_errors(kind);
            Ok(())
        })
    }

    fn command<F>(&self, command: F) -> Result<(), BrokersError>
    where
        F: FnOnce(&Cluster) -> Result<(), KafkaError> + Send + 'static,
    {
        let (done, answer) = mpsc::channel();
        let boxed: Command = Box::new(move |cluster| {
            // Nobody is waiting if the caller's thread has ended.
            let _ = done.send(command(cluster));
        });
        let commands = self.commands.as_ref().ok_or(BrokersError::NotRunning)?;
        commands.send(boxed).map_err(|_| BrokersError::NotRunning)?;
        Ok(answer.recv().map_err(|_| BrokersError::NotRunning)??)
    }
}

fn serve(started: &mpsc::Sender<Result<String, KafkaError>>, inbox: &mpsc::Receiver<Command>) {
    let cluster = match MockCluster::new(BROKERS) {
        Ok(cluster) => cluster,
        Err(error) => {
            let _ = started.send(Err(error));
            return;
        }
    };
    let _ = started.send(Ok(cluster.bootstrap_servers()));
    while let Ok(command) = inbox.recv() {
        command(&cluster);
    }
}

impl Drop for EmbeddedBrokers {
    fn drop(&mut self) {
        // Closing the channel ends the thread, which drops the cluster.
        self.commands = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_brokers_start_on_loopback_and_an_unknown_broker_is_an_error() {
        let brokers = EmbeddedBrokers::start(&["orders:6".parse().unwrap()]).unwrap();
        let addresses: Vec<_> = brokers.bootstrap_servers().split(',').collect();
        assert_eq!(addresses.len(), 3);
        assert!(addresses.iter().all(|address| address.starts_with("127.0.0.1:")), "{addresses:?}");
        assert!(brokers.down(Which::One(9)).is_err());
        assert!(brokers.create_topic(&"orders:6".parse().unwrap()).is_err());
    }
}
