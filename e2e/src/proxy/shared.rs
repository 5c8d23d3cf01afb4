//! What a proxy and its connections both look at.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::faults::{Cut, Faults, Stats};
use super::tls::Tls;

/// What the proxy understands of the bytes.
#[derive(Clone)]
pub enum Wire {
    /// Nothing: any protocol, TLS included, passes as it is.
    Bytes,
    /// Kafka without TLS: produce responses can be lost.
    Kafka,
    /// Kafka within TLS: the proxy is the server to the client and a client to the broker.
    KafkaInTls(Tls),
}

/// What the acceptor and every connection look at.
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
