//! The producer's process, from its arguments to its exit code: on Lambda, or as a plain HTTP server.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use axum::Router;
use futures_util::TryFutureExt;
use lambda_runtime::Diagnostic;
use msk_shared::env::EnvReader;
use msk_shared::kafka::KafkaPublisher;
use msk_shared::runtime;
use msk_shared::telemetry::init_logs;

use crate::cli::{self, Command};
use crate::{lambda, router, server, start, version_line};

/// Lambda kills the process 500 ms after SIGTERM when only an internal extension is registered.
const FLUSH_ON_LAMBDA: Duration = Duration::from_millis(400);
/// A container usually has 10 s or more, and requests in flight were waited for already.
const FLUSH: Duration = Duration::from_secs(3);

/// Runs the producer until it is told to stop.
pub async fn run() -> ExitCode {
    let started = Instant::now();
    // A wrong LOG_LEVEL is reported with everything else that is wrong.
    init_logs(EnvReader::from_process().parsed("LOG_LEVEL").unwrap_or_default());
    let on_lambda = std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some();
    let done = match cli::parse(std::env::args().skip(1), on_lambda) {
        Ok(Command::Help) => print(cli::HELP.trim_end()),
        Ok(Command::Version) => print(&version_line()),
        Ok(Command::Lambda) => serve_lambda(started).await,
        Ok(Command::Http(address)) => serve_http(address, started).await,
        Err(error) => {
            use std::io::Write;
            let _ = writeln!(std::io::stderr(), "producer: {error}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the producer cannot run");
            ExitCode::FAILURE
        }
    }
}

fn print(text: &str) -> anyhow::Result<()> {
    use std::io::Write;
    Ok(writeln!(std::io::stdout(), "{text}")?)
}

async fn ready(started: Instant) -> anyhow::Result<(Router, KafkaPublisher)> {
    let app = start::start(EnvReader::from_process(), started).await?;
    let publisher = app.publisher().clone();
    Ok((router::app(app), publisher))
}

async fn serve_http(address: std::net::SocketAddr, started: Instant) -> anyhow::Result<()> {
    let stop = server::stop_signal();
    // Before the cluster is asked, so that a busy port is told at once.
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}: choose another with --http"))?;
    let (router, publisher) = ready(started).await?;
    // With port 0 only this line knows the port.
    tracing::info!(address = listener.local_addr()?.to_string(), "listening");
    server::serve(listener, router, stop).await?;
    publisher.shutdown(FLUSH).await;
    Ok(())
}

async fn serve_lambda(started: Instant) -> anyhow::Result<()> {
    let (router, publisher) = ready(started).await?;
    let publisher = Arc::new(publisher);
    flush_on_sigterm(Arc::clone(&publisher)).await;
    let function = |payload, context| lambda::handle(router.clone(), payload, context).map_err(Diagnostic::from);
    match runtime::serve(function).await? {}
}

/// Lambda sends SIGTERM only to functions with an extension; the runtime crate registers one that does nothing, and
/// panics where none can be registered, as in hosts that imitate the Runtime API alone. Those get a plain handler.
async fn flush_on_sigterm(publisher: Arc<KafkaPublisher>) {
    let flush = Arc::clone(&publisher);
    let registered = tokio::spawn(lambda_runtime::spawn_graceful_shutdown_handler(move || async move {
        flush.shutdown(FLUSH_ON_LAMBDA).await;
    }));
    if registered.await.is_err() {
        tracing::warn!("no extension could be registered: SIGTERM is handled without one");
        let stop = server::stop_signal();
        tokio::spawn(async move {
            stop.await;
            publisher.shutdown(FLUSH_ON_LAMBDA).await;
            std::process::exit(0);
        });
    }
}
