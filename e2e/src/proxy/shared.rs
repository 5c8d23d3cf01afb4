//! State shared by a proxy and its connections.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::faults::{Cut, Faults, Stats};
use super::tls::Tls;

/// How much of the protocol the proxy understands.
#[derive(Clone)]
pub enum Wire {
    /// Nothing: any protocol passes unchanged, including TLS.
    Bytes,
    /// Kafka without TLS: produce responses can be lost.
    Kafka,
    /// Kafka inside TLS: the proxy is the TLS server for the client and a TLS client of the broker.
    KafkaInTls(Tls),
}

/// State shared by the acceptor and every connection.
pub(super) struct Shared {
    pub(super) wire: Wire,
    pub(super) upstream: Mutex<SocketAddr>,
    pub(super) faults: watch::Sender<Faults>,
    /// A new value ends every connection that was open before it.
    pub(super) cut: watch::Sender<Cut>,
    pub(super) stats: Mutex<Stats>,
}

impl Shared {
    pub(super) fn stats(&self) -> MutexGuard<'_, Stats> {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
