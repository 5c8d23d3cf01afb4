//! `msk-local`: a laptop-sized MSK.
//!
//! | Module | Contains |
//! |---|---|
//! | `commands`, `event_commands`, `offline` | what each command does |
//! | `manual`, `version` | completions and pages of the manual, made of the command line; what `--version` says |
//! | `terminal` | what they share: printing, signals, exit codes |
//! | `observers` | what they show besides their results: metrics, system log |
//! | `cli`, `mapping_flags`, `chaos_flags`, `aws_value`, `input` | the command line, and the files that it names |

mod aws_value;
mod chaos_flags;
mod cli;
mod commands;
mod event_commands;
mod input;
mod manual;
mod mapping_flags;
mod observers;
mod offline;
mod terminal;
mod version;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tracing_subscriber::EnvFilter;

/// How long threads that are waiting for brokers may delay the end of the process.
const LAST_WAIT: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    init_logs(cli.verbose);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let result = runtime.block_on(commands::run(cli));
    runtime.shutdown_timeout(LAST_WAIT);
    result.unwrap_or_else(|error| failed(&error))
}

#[expect(clippy::print_stderr, reason = "the error of a failed command")]
fn failed(error: &anyhow::Error) -> ExitCode {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        // Most errors already include their cause, which is then not repeated.
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    eprintln!("error: {text}");
    ExitCode::FAILURE
}

/// Logs go to standard error: standard output is for results.
fn init_logs(verbose: bool) {
    let default = if verbose { "info,librdkafka=info,msk_local=debug" } else { "warn" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
}
