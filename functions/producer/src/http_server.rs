//! The producer as a plain HTTP server, for containers and for comparable benchmarks.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;

use crate::app::App;

/// How long requests in flight may take to finish once the server is told to stop. None takes longer than its deadline.
const DRAIN: Duration = Duration::from_secs(30);
/// How long sending queued records may take after that: a container has at least 10 s between SIGTERM and its end.
const FLUSH: Duration = Duration::from_secs(3);
/// How often metrics are written that no further request has written.
const METRICS: Duration = Duration::from_secs(1);

/// Binds the address.
///
/// # Errors
/// If the address cannot be bound.
pub async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).await;
    listener.with_context(|| format!("cannot listen on {address}: choose another address with --http"))
}

/// Serves until `stop` completes, then lets requests in flight finish and sends queued records.
///
/// # Errors
/// If the listener fails permanently.
pub async fn serve(listener: TcpListener, app: App, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    // With port 0, only this line has the actual port.
    tracing::info!(address = listener.local_addr()?.to_string(), "listening");
    let (drain, draining) = tokio::sync::oneshot::channel::<()>();
    let server = axum::serve(listener, app.router.clone()).with_graceful_shutdown(async move {
        // A dropped sender also means stop.
        let _ = draining.await;
    });
    let mut server = std::pin::pin!(server.into_future());
    tokio::select! {
        ended = &mut server => return Ok(ended?),
        () = write_metrics(&app) => {}
        () = stop => {}
    }
    tracing::info!("stopping: finishing requests in flight");
    drop(drain);
    if tokio::time::timeout(DRAIN, server).await.is_err() {
        tracing::warn!(waited_ms = DRAIN.as_millis() as u64, "requests were still in flight at the end");
    }
    app.shut_down(FLUSH).await;
    Ok(())
}

/// Writes the metrics that are due, also when no request comes any more. Never completes.
async fn write_metrics(app: &App) {
    let mut interval = tokio::time::interval(METRICS);
    loop {
        interval.tick().await;
        app.state.metrics.write_due();
    }
}

/// Completes at SIGTERM or SIGINT. The handlers are installed as soon as this returns, so call it before anything is served: a
/// signal that arrives before its handler is installed ends the process at once. Requires a tokio runtime.
pub fn stop_signal() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let handlers = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    async move {
        match handlers {
            (Ok(mut terminate), Ok(mut interrupt)) => {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            }
            // Without handlers the signals end the process, as they do by default.
            _ => std::future::pending().await,
        }
    }
}
