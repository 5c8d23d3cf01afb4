//! `cargo xtask ...`: every developer command of this workspace.
//!
//! | Module | Contains |
//! |---|---|
//! | [`up`] | the laptop: brokers, the producer's API and the event source mapping in one command |
//! | [`test`] | runs the stages and prints the table at the end |
//! | [`stages`] | the table of stages, and one module for each larger stage |
//! | [`package`] | the deployable zips |
//! | [`dist`] | `msk-local` for those who have no Rust |
//! | [`bench`] | the functions' speed against raw librdkafka |
//! | [`new_consumer`] | writes the crate of a further consumer |
//! | [`members`] | the crates of the workspace, and which of them are functions |
//! | [`deploy_check`] | what is missing before `terraform apply` |
//! | [`needs`] | what a machine must have, how to detect it, and how to install it |
//! | [`tools`] | pinned tools from package registries, kept under `target/tools` |
//! | [`process`] | child processes that never outlive their parent |
//! | `tidy` | the repository's own rules, as tests |
//! | [`stop`] | the signals that ask a command to stop |
//! | [`workspace`] | the folders of the workspace |

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool prints to both streams")]

mod bench;
mod deploy_check;
mod dist;
mod members;
mod needs;
mod new_consumer;
mod package;
mod process;
mod stages;
mod stop;
mod test;
#[cfg(test)]
mod tidy;
mod tools;
mod up;
mod workspace;
mod zip_features;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Every developer command of this workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start brokers, the HTTP API and the consumer on this machine; Ctrl-C stops everything.
    Up(up::Options),
    /// Run everything that a change must pass, or only the named stages.
    Test(test::Options),
    /// Run the scenarios in which real Kafka brokers fail, or only the named ones; `--full` runs the full column.
    Ha(stages::ha::Options),
    /// Build the deployable zips: `target/lambda/<function>/bootstrap.zip`.
    Package(package::Options),
    Dist(dist::Options),
    /// Measure the packaged functions against raw librdkafka (docs/benchmarks.md).
    Bench(bench::Options),
    NewConsumer(new_consumer::Options),
    DeployCheck(deploy_check::Options),
    Needs(needs::Options),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Test(options) => return test::run(&options).unwrap_or_else(|error| failure(&error)),
        Command::Up(options) => up::run(&options),
        Command::Ha(options) => stages::ha::run(&options),
        Command::Package(options) => package::run(&options),
        Command::Dist(options) => dist::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::NewConsumer(options) => new_consumer::run(&options),
        Command::DeployCheck(options) => deploy_check::run(&options),
        Command::Needs(options) => needs::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure(&error),
    }
}

fn failure(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::FAILURE
}
