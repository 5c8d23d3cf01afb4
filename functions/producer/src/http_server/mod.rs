//! The producer as a plain HTTP server, for containers and for comparable benchmarks.
//!
//! | Module | Holds |
//! |---|---|
//! | [`settings`] | addresses, limits, origins |
//! | `acceptor` | takes connections up to the limit |
//! | `connection` | one connection, from its first byte to its end |
//! | `activity` | what a connection waits for |
//! | `request_body` | a body that fails when it stalls |
//! | `cors` | what browsers ask and look for |
//! | `prometheus` | the metrics, on a listener of their own |
//! | `descriptors` | how many connections the limit of open files allows |

mod acceptor;
mod activity;
mod connection;
mod cors;
mod descriptors;
mod prometheus;
mod request_body;
pub mod settings;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::middleware::from_fn_with_state;
use tokio::net::TcpListener;

use crate::app::App;
use acceptor::Connections;
use connection::Stage;
use settings::{ConnectionLimits, Settings};

/// How long kept connections stay open after the signal to stop. A client that sends its next request in that time is answered and
/// told that the connection ends; a connection that is closed at once would lose the requests on their way.
const LAST_REQUESTS: Duration = Duration::from_secs(1);
/// How long requests in flight may take to finish after that. None takes longer than its deadline.
const DRAIN: Duration = Duration::from_secs(30);
/// How long sending queued records may take after that. Whoever ends the process has to wait for the sum: docs/CONTAINERS.md.
const FLUSH: Duration = Duration::from_secs(3);
/// How often metrics are written that no further request has written.
const METRICS: Duration = Duration::from_secs(1);
/// Connections to the metrics at a time: a handful of scrapers.
const SCRAPERS: u32 = 16;

/// The bound addresses.
#[derive(Debug)]
pub struct Listeners {
    http: TcpListener,
    metrics: Option<TcpListener>,
}

/// Binds the addresses.
///
/// # Errors
/// If one cannot be bound.
pub async fn bind(settings: &Settings) -> anyhow::Result<Listeners> {
    let http = listen(settings.http, "--http").await?;
    let metrics = match settings.metrics {
        Some(address) => Some(listen(address, "--metrics").await?),
        None => None,
    };
    Ok(Listeners { http, metrics })
}

async fn listen(address: SocketAddr, option: &str) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).await;
    listener.with_context(|| format!("cannot listen on {address}: choose another address with {option}"))
}

/// Serves until `stop` completes, then lets requests in flight finish and sends queued records.
///
/// # Errors
/// If a listener fails permanently.
pub async fn serve(
    listeners: Listeners,
    app: App,
    settings: Settings,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let Listeners { http, metrics } = listeners;
    // With port 0, only these lines have the actual ports.
    tracing::info!(address = http.local_addr()?.to_string(), "listening");
    if let Some(metrics) = &metrics {
        tracing::info!(address = metrics.local_addr()?.to_string(), "listening for metrics");
    }
    let max_connections = descriptors::connections_within_limit(settings.limits.max_connections);
    let api = Arc::new(Connections::new(ConnectionLimits { max_connections, ..settings.limits }));
    let router = with_cors(app.router.clone(), settings.cors_origins);
    let scrapers = Connections::new(ConnectionLimits { max_connections: SCRAPERS, ..settings.limits });
    let scraped = prometheus::router(Arc::clone(&app.state), Arc::clone(&api));
    let serve_metrics = async {
        match &metrics {
            Some(metrics) => scrapers.accept_from(metrics, &scraped).await,
            None => std::future::pending().await,
        }
    };
    let serving_to_the_end = async {
        tokio::select! {
            () = api.accept_from(&http, &router) => {}
            () = write_metrics(&app) => {}
            () = stop => {}
        }
        drain(&api, http, &router).await;
    };
    // The metrics are served to the end.
    tokio::select! {
        () = serving_to_the_end => {}
        () = serve_metrics => {}
    }
    app.shut_down(FLUSH).await;
    Ok(())
}

/// Ends all connections, each after its last request.
async fn drain(api: &Connections, listener: TcpListener, router: &Router) {
    api.enter(Stage::LastRequests);
    tracing::info!(connections = api.open(), "stopping: finishing requests in flight");
    tokio::select! {
        () = api.accept_from(&listener, router) => {}
        () = api.all_closed() => {}
        () = tokio::time::sleep(LAST_REQUESTS) => {}
    }
    api.enter(Stage::Closing);
    let rest = async {
        if let Err(error) = api.accept_rest(listener, router).await {
            tracing::error!(error = error.to_string(), "clients that were waiting are not served");
        }
        api.all_closed().await;
    };
    if tokio::time::timeout(DRAIN, rest).await.is_err() {
        tracing::warn!(waited_ms = DRAIN.as_millis() as u64, "requests were still in flight at the end");
    }
}

fn with_cors(router: Router, origins: Vec<settings::CorsOrigin>) -> Router {
    if origins.is_empty() {
        return router;
    }
    router.layer(from_fn_with_state(Arc::from(origins), cors::cors_layer))
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
