//! The producer's program: it reads its arguments, then serves until it is told to stop.

mod arguments;

use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use msk_producer::api::routes::version;
use msk_producer::{app, http_server, lambda};
use msk_shared::env::EnvReader;
use msk_shared::executor;
use msk_shared::telemetry::init_logs;

use arguments::Command;

pub(crate) fn main() -> ExitCode {
    let started = Instant::now();
    // A wrong LOG_LEVEL is reported with everything else that is wrong.
    init_logs(EnvReader::from_process().parsed("LOG_LEVEL").unwrap_or_default());
    let on_lambda = std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some();
    let command = match arguments::parse(std::env::args().skip(1), on_lambda, |name| std::env::var(name).ok()) {
        Ok(command) => command,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "producer: {error}");
            return ExitCode::from(2);
        }
    };
    // On Lambda there is one request at a time, and none computes for long.
    let threads = if matches!(command, Command::Lambda) { 1 } else { executor::cpus() };
    let ran = executor::with_threads(threads).map_err(anyhow::Error::from);
    match ran.and_then(|executor| executor.block_on(run(command, started))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the producer cannot run");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command, started: Instant) -> anyhow::Result<()> {
    match command {
        Command::Help => write!(std::io::stdout(), "{}", arguments::HELP)?,
        Command::Version => writeln!(std::io::stdout(), "{}", version::line())?,
        Command::Lambda => lambda::serve(EnvReader::from_process(), started).await?,
        Command::Http(settings) => {
            let stop = http_server::stop_signal();
            // Before the cluster is asked, so that a port in use is reported at once.
            let listeners = http_server::bind(&settings).await?;
            let app = app::start(EnvReader::from_process(), started).await?;
            http_server::serve(listeners, app, settings, stop).await?;
        }
    }
    Ok(())
}
