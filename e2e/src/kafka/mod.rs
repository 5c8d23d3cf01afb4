//! Apache Kafka, as Amazon MSK runs it: three brokers in three racks and a separate controller.
//!
//! | Module | Contains |
//! |---|---|
//! | [`distribution`] | the jars, fetched by Maven once, and the Java classes of this test bed compiled against them |
//! | [`listener`] | the client listeners: MSK IAM, SCRAM, mutual TLS, plaintext |
//! | `config` | the `server.properties` of each node |
//! | `layout` | ports, folders, and how a node is started |
//! | `node` | one JVM: start, kill, stop, continue, restart |
//! | [`cluster`] | all of them together |
//! | [`admin`] | what the cluster reports about itself: leaders, in-sync replicas, topics |
//! | [`iam`] | the access keys and policies the brokers know |

pub mod admin;
pub mod cluster;
mod config;
pub mod distribution;
pub mod iam;
mod layout;
pub mod listener;
mod node;

pub use cluster::{Cluster, ClusterOptions};
pub use distribution::KafkaVersion;
pub use listener::Listener;
