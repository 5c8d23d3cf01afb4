//! A TCP proxy in front of one listener of one broker, which simulates network faults.
//!
//! Brokers advertise the proxy's port, so clients never see any other address. One [`Proxy`] has one port; its
//! [`Faults`] can be changed at any time and also affect open connections.
//!
//! | Module | Contains |
//! |---|---|
//! | [`faults`] | what can be switched on |
//! | `connection` | the forwarding of one connection, with its faults |
//! | `frames` | just enough of Kafka's wire format to change produce and metadata responses |
//! | `shared` | state shared by the proxy and its connections |
//! | [`tls`] | terminating the client's TLS and opening a second TLS connection to the broker |

mod connection;
pub mod faults;
mod frames;
mod shared;
pub mod tls;

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use faults::{Cut, Falsehood, Faults, Loss, Stats};
pub use shared::Wire;

use self::{connection::Connection, shared::Shared};
use crate::error::{Result, os_error};

/// A running proxy; dropping it closes its port and its connections.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    acceptor: tokio::task::JoinHandle<()>,
}

impl Proxy {
    /// Listens on `port` of 127.0.0.1 (0: any) and forwards to `upstream`.
    ///
    /// # Errors
    /// [`crate::Error::Os`] if the port is in use.
    pub async fn start(port: u16, upstream: SocketAddr, wire: Wire) -> Result<Self> {
        let listener = listen(port).await?;
        let port = listener.local_addr().map_err(os_error("asking for the proxy's port"))?.port();
        let shared = Arc::new(Shared {
            wire,
            upstream: Mutex::new(upstream),
            faults: watch::Sender::default(),
            cut: watch::Sender::default(),
            stats: Mutex::default(),
        });
        let acceptor = tokio::spawn(accept(port, Some(listener), Arc::clone(&shared)));
        Ok(Self { port, shared, acceptor })
    }

    /// The port clients connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Replaces all faults; `Faults::default()` heals.
    pub fn set(&self, faults: Faults) {
        self.shared.faults.send_replace(faults);
    }

    /// Changes some faults and keeps the others.
    pub fn change(&self, change: impl FnOnce(&mut Faults)) {
        self.shared.faults.send_modify(change);
    }

    /// Cuts every open connection in the given way.
    pub fn cut(&self, cut: Cut) {
        self.shared.cut.send_replace(cut);
    }

    /// Sends later connections to another server.
    pub fn redirect(&self, upstream: SocketAddr) {
        *self.shared.upstream.lock().unwrap_or_else(PoisonError::into_inner) = upstream;
    }

    /// Counts of what the proxy has seen and done so far.
    pub fn stats(&self) -> Stats {
        self.shared.stats().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // The acceptor owns the connections' tasks.
        self.acceptor.abort();
    }
}

async fn listen(port: u16) -> Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
    listener.map_err(os_error(format!("listening on 127.0.0.1:{port}")))
}

/// Accepts while connections are not refused. Refusing closes the port, so that the kernel answers with RST.
async fn accept(port: u16, mut listener: Option<TcpListener>, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    let mut faults = shared.faults.subscribe();
    let mut recent = VecDeque::new();
    loop {
        let refuse = faults.borrow_and_update().refuse;
        if refuse {
            listener = None;
        } else if listener.is_none() {
            listener = listen(port).await.ok();
        }
        let Some(open) = listener.as_ref() else {
            // Refusing, or the port could not be bound again yet.
            let _ = tokio::time::timeout(Duration::from_millis(50), faults.changed()).await;
            continue;
        };
        tokio::select! {
            _ = faults.changed() => {}
            Some(_) = connections.join_next() => {}
            accepted = open.accept() => if let Ok((client, _)) = accepted {
                let limit = faults.borrow().new_connections_per_second;
                admit(client, limit, &mut recent, &shared, &mut connections);
            },
        }
    }
}

/// Starts a connection, or resets it if there were too many in the last second.
fn admit(
    client: TcpStream,
    limit: Option<usize>,
    recent: &mut VecDeque<Instant>,
    shared: &Arc<Shared>,
    connections: &mut JoinSet<()>,
) {
    while recent.front().is_some_and(|at| at.elapsed() >= Duration::from_secs(1)) {
        recent.pop_front();
    }
    if limit.is_some_and(|limit| recent.len() >= limit) {
        shared.stats().connections_over_limit += 1;
        connection::reset(&client);
        return;
    }
    // In this order: faults and cuts between the two steps still affect the connection, and earlier ones are seen here.
    let connection = Connection::new(Arc::clone(shared));
    if shared.faults.borrow().refuse {
        connection::reset(&client);
        return;
    }
    recent.push_back(Instant::now());
    shared.stats().connections += 1;
    connections.spawn(connection.run(client));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The acceptor had it already when the port was closed and everything open was cut.
    #[tokio::test]
    async fn a_connection_under_way_when_the_port_closes_is_reset() {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let proxy = Proxy::start(0, server.local_addr().unwrap(), Wire::Bytes).await.unwrap();
        let mut connections = JoinSet::new();
        for (refuse, forwarded) in [(true, 0), (false, 1)] {
            let (client, accepted) = tokio::join!(TcpStream::connect(server.local_addr().unwrap()), server.accept());
            proxy.set(Faults { refuse, ..Faults::default() });
            proxy.cut(Cut::Reset);
            admit(accepted.unwrap().0, None, &mut VecDeque::new(), &proxy.shared, &mut connections);
            assert_eq!((connections.len(), proxy.stats().open), (forwarded, forwarded as u64), "{refuse}");
            drop(client);
        }
    }
}
