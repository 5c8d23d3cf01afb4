//! Takes connections, never more than the limit: further clients wait in the listener's queue until a place is free.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::connection::{self, Stage};
use super::settings::ConnectionLimits;

/// After an error of the system, such as no free file descriptor: they return only as connections end.
const AFTER_ERROR: Duration = Duration::from_millis(100);
/// The same complaint is logged at most this often.
const REPEATED: Duration = Duration::from_secs(60);

/// The connections of one listener.
#[derive(Debug)]
pub(super) struct Connections {
    limits: ConnectionLimits,
    /// One for each connection that may still be accepted.
    places: Arc<Semaphore>,
    /// Every connection has a receiver: without one left, all are closed.
    stage: watch::Sender<Stage>,
    open: Arc<AtomicUsize>,
}

/// An open connection's place.
struct Place {
    _permit: OwnedSemaphorePermit,
    open: Arc<AtomicUsize>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Connections {
    pub(super) fn new(limits: ConnectionLimits) -> Self {
        let places = Arc::new(Semaphore::new(limits.max_connections as usize));
        Self { limits, places, stage: watch::Sender::new(Stage::Serving), open: Arc::default() }
    }

    /// How many are open.
    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// How many may be open.
    pub(super) fn limit(&self) -> u32 {
        self.limits.max_connections
    }

    pub(super) fn enter(&self, stage: Stage) {
        self.stage.send_replace(stage);
    }

    /// Completes when none is open.
    pub(super) async fn all_closed(&self) {
        self.stage.closed().await;
    }

    /// Accepts and serves connections. Never completes.
    pub(super) async fn accept_from(&self, listener: &TcpListener, router: &Router) {
        let (mut full, mut failing) = (Complaint::default(), Complaint::default());
        loop {
            let Some(place) = self.free_place(&mut full).await else { return };
            match listener.accept().await {
                Ok((stream, _)) => self.serve(stream, router, place),
                // The client has gone before it was accepted.
                Err(error) if is_of_the_client(&error) => {}
                Err(error) => {
                    if failing.is_due() {
                        let error = error.to_string();
                        tracing::error!(error, "no connection can be accepted: check the limit of open files");
                    }
                    tokio::time::sleep(AFTER_ERROR).await;
                }
            }
        }
    }

    /// Serves what waits in the listener's queue as places become free, then closes the listener.
    pub(super) async fn accept_rest(&self, listener: TcpListener, router: &Router) -> io::Result<()> {
        // The standard library's listener asks the system; tokio's would answer by what it has last heard.
        let listener = listener.into_std()?;
        while let Ok(place) = Arc::clone(&self.places).acquire_owned().await {
            match listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(true)?;
                    self.serve(TcpStream::from_std(stream)?, router, place);
                }
                Err(error) if is_of_the_client(&error) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// `None` never happens, as nobody closes the semaphore.
    async fn free_place(&self, full: &mut Complaint) -> Option<OwnedSemaphorePermit> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Some(place);
        }
        if full.is_due() {
            let limit = self.limit();
            tracing::warn!(limit, "all connections are in use, further clients wait: raise --max-connections");
        }
        Arc::clone(&self.places).acquire_owned().await.ok()
    }

    fn serve(&self, stream: TcpStream, router: &Router, permit: OwnedSemaphorePermit) {
        // Without it the second of two small writes may wait for the client's delayed acknowledgement; a socket that refuses works too.
        let _ = stream.set_nodelay(true);
        self.open.fetch_add(1, Ordering::Relaxed);
        let place = Place { _permit: permit, open: Arc::clone(&self.open) };
        let served = connection::serve(stream, router.clone(), self.limits, self.stage.subscribe());
        tokio::spawn(async move {
            served.await;
            drop(place);
        });
    }
}

fn is_of_the_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// When something was last complained about.
#[derive(Debug, Default)]
struct Complaint(Option<Instant>);

impl Complaint {
    fn is_due(&mut self) -> bool {
        let is_due = self.0.is_none_or(|last| last.elapsed() >= REPEATED);
        if is_due {
            self.0 = Some(Instant::now());
        }
        is_due
    }
}
