//! `GET /metrics` on a port of loopback, for a Prometheus on the same machine.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use msk_shared::telemetry::PROMETHEUS_TEXT;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::esm::metrics_page::MetricsPage;

/// The port cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error(
    "--metrics-port (Local.metricsPort): 127.0.0.1:{port} cannot be listened on: {source}; choose another port, or 0 for any free one"
)]
pub struct MetricsServerError {
    port: u16,
    source: std::io::Error,
}

/// A running server; it ends when this is dropped.
pub struct MetricsServer {
    address: SocketAddr,
    serving: JoinHandle<()>,
}

impl MetricsServer {
    /// Listens on a port of 127.0.0.1; 0 is any free one.
    ///
    /// # Errors
    /// [`MetricsServerError`] if the port is taken or not allowed.
    pub async fn start(port: u16, page: MetricsPage) -> Result<Self, MetricsServerError> {
        let failed = |source| MetricsServerError { port, source };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let page = Arc::new(page);
        let scrape = move || {
            let page = Arc::clone(&page);
            async move { ([(CONTENT_TYPE, PROMETHEUS_TEXT)], page.text().await) }
        };
        let routes = Router::new().route("/metrics", get(scrape));
        let serving = tokio::spawn(async move {
            // It ends by being aborted.
            let _ = axum::serve(listener, routes).await;
        });
        Ok(Self { address, serving })
    }

    /// Where the metrics are.
    pub fn url(&self) -> String {
        format!("http://{}/metrics", self.address)
    }
}

impl Drop for MetricsServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
