//! librdkafka's mock cluster, for classic consumer groups of several members.
//!
//! The cluster lives on its own thread, since its handle is bound to one.

use std::sync::mpsc;
use std::thread::JoinHandle;

use rdkafka::mocking::MockCluster;

/// As many as MSK has across three availability zones.
const BROKERS: i32 = 3;
/// Every topic of an MSK cluster of this project has three replicas.
const REPLICATION_FACTOR: i32 = 3;

/// A running cluster of three brokers on loopback; it ends when this is dropped.
pub(crate) struct MockBrokers {
    bootstrap_servers: String,
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl MockBrokers {
    /// Starts the brokers on free loopback ports with one topic.
    pub(crate) fn start(topic: &str, partitions: i32) -> Self {
        let (stop, stopped) = mpsc::channel();
        let (started, answer) = mpsc::channel();
        let topic = topic.to_owned();
        let thread = std::thread::spawn(move || {
            let cluster = MockCluster::new(BROKERS).unwrap();
            cluster.create_topic(&topic, partitions, REPLICATION_FACTOR).unwrap();
            started.send(cluster.bootstrap_servers()).unwrap();
            // Until the other end is dropped.
            let _ = stopped.recv();
        });
        Self { bootstrap_servers: answer.recv().unwrap(), stop: Some(stop), thread: Some(thread) }
    }

    /// The addresses of the three brokers, as `host:port,...`.
    pub(crate) fn bootstrap_servers(&self) -> &str {
        &self.bootstrap_servers
    }
}

impl Drop for MockBrokers {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
