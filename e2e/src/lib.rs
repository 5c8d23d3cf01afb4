//! The real-Kafka rig: brokers that can be killed, a network that can be cut, functions that can be frozen, and a
//! checker that tells whether anything was lost.
//!
//! | Module | Holds |
//! |---|---|
//! | [`kafka`] | three Apache Kafka brokers and a controller, with MSK's listeners and MSK's IAM rules |
//! | [`client`] | the rig's own Kafka client for each listener |
//! | [`monitoring`] | exporters, Prometheus and MSK's rules around a cluster |
//! | [`token`] | MSK IAM tokens, genuine and forged |
//! | [`certs`] | the authority and the certificates, good and bad |
//! | [`process`] | child processes that never outlive the rig |
//! | [`wait`] | bounded waiting |

pub mod certs;
pub mod client;
mod error;
pub mod folder;
pub mod kafka;
pub mod monitoring;
pub mod ports;
pub mod process;
pub mod token;
pub mod wait;
mod watchdog;

pub use error::{Result, RigError};
