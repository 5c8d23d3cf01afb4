//! The real-Kafka test bed: brokers that can be killed, a network that can be cut, functions that can be frozen, and a
//! checker that finds what was lost.
//!
//! | Module | Contains |
//! |---|---|
//! | [`kafka`] | three Apache Kafka brokers and a controller, with MSK's listeners and MSK's IAM rules |
//! | [`lambda`] | AWS Lambda around a function's binary: deadline, freeze, thaw, clock jumps |
//! | [`proxy`] | the network: delays, partitions, resets, lost responses, limits |
//! | [`history`] | compares what was sent and answered with what is in the log: lost, duplicated, reordered, zombies |
//! | [`log_reader`] | the final read of every partition |
//! | [`load`], [`summary`] | clients that POST to functions, and statistics of the answers |
//! | [`functions`] | the producer and the consumer with their environment variables |
//! | [`client`] | the test bed's own Kafka client for each listener |
//! | [`monitoring`] | exporters, Prometheus and MSK's rules around a cluster |
//! | [`token`] | MSK IAM tokens, genuine and forged |
//! | [`verify`] | the brokers' token verifier without a broker |
//! | [`certs`] | the authority and its certificates, valid and invalid |
//! | [`wait`] | bounded waiting |

pub mod certs;
pub mod client;
mod error;
pub mod folder;
pub mod functions;
pub mod history;
pub mod kafka;
pub mod lambda;
pub mod load;
pub mod log_reader;
pub mod monitoring;
pub mod ports;
pub mod proxy;
pub mod summary;
pub mod token;
pub mod verify;
pub mod wait;

pub use error::{Error, Result};
