//! The producer as a plain HTTP server, for containers and for like-for-like benchmarks.

use std::future::Future;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;

/// How long requests in flight may take to finish once the server is told to stop. None takes longer than its deadline.
const DRAIN: Duration = Duration::from_secs(30);

/// Serves until `stop` is ready, then lets requests in flight finish.
///
/// # Errors
/// When the listener fails for good.
pub async fn serve(listener: TcpListener, router: Router, stop: impl Future<Output = ()>) -> std::io::Result<()> {
    let (drain, draining) = tokio::sync::oneshot::channel::<()>();
    let server = axum::serve(listener, router).with_graceful_shutdown(async move {
        // A dropped sender means stop, too.
        let _ = draining.await;
    });
    let mut server = std::pin::pin!(server.into_future());
    tokio::select! {
        ended = &mut server => return ended,
        () = stop => {}
    }
    tracing::info!("stopping: finishing requests in flight");
    drop(drain);
    if tokio::time::timeout(DRAIN, server).await.is_err() {
        tracing::warn!(waited_ms = DRAIN.as_millis() as u64, "requests were still in flight at the end");
    }
    Ok(())
}

/// Ready at SIGTERM or SIGINT. The handlers are there as soon as this returns, so call it before anything is served: a
/// signal that comes before its handler ends the process at once. Needs a tokio runtime.
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
