//! Stages `ha` and `sabotage`, and `cargo xtask ha`: the scenarios of docs/reliability.md on real Apache Kafka.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::binaries;
use crate::package::{self, Architecture};
use crate::{needs, process, workspace};

/// The crate and the test target of the scenarios.
pub(super) const SCENARIOS: (&str, &str) = ("msk-e2e", "ha");
/// The variable that breaks promises in builds with the feature `sabotage`: a binary that reads it contains its name.
const SWITCH: &[u8] = b"SABOTAGE";
/// The producer of such a build.
const SABOTAGED: &str = "sabotaged_producer";

/// Options of `cargo xtask ha`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The full column of docs/reliability.md: more faults for longer, several hours in total.
    #[arg(long)]
    full: bool,
    /// Scenarios by their ids, such as `R2`; all by default.
    scenarios: Vec<String>,
}

/// Runs scenarios of either column.
pub(crate) fn run(options: &Options) -> Result<()> {
    needs::require([needs::NATIVE_BUILD, needs::PERL, needs::PYTHON_VENV, needs::JAVA, needs::MAVEN])?;
    let mut scenarios = scenarios(packaged()?)?;
    if options.full {
        scenarios.env("MSK_E2E_FULL", "1");
    }
    process::run(scenarios.env("MSK_E2E_SCENARIOS", options.scenarios.join(",")))
}

/// Stage `packages`: what the stages `e2e`, `ha` and `sabotage` run.
pub(super) fn packages() -> Result<()> {
    packaged().map(drop)
}

/// Stage `ha`: the fast column.
pub(super) fn fast() -> Result<()> {
    process::run(&mut scenarios(packaged()?)?)
}

/// The program with the scenarios, set up to use the packaged functions.
fn scenarios([producer, consumer]: [PathBuf; 2]) -> Result<Command> {
    let binaries = binaries::build()?;
    let wanted = |binary: &&binaries::Binary| (binary.package.as_str(), binary.target.as_str()) == SCENARIOS;
    let mut command = binaries.iter().find(wanted).context("cargo did not build the scenarios")?.command();
    command.env("MSK_E2E_PRODUCER", producer).env("MSK_E2E_CONSUMER", consumer);
    Ok(command)
}

/// Packages both functions for this machine and returns the binaries from the zips, producer and consumer.
pub(crate) fn packaged() -> Result<[PathBuf; 2]> {
    // Not `target/lambda`: a test must not replace zips that somebody is about to deploy.
    let folder = workspace::target_dir().join("xtask").join("packaged");
    package::build(Architecture::host(), &[], &folder)?;
    Ok([package::unpack(&folder, "producer")?, package::unpack(&folder, "consumer")?])
}

/// Stage `sabotage`: with a promise broken, the scenario that tests it fails; and no packaged binary can break one.
pub(super) fn sabotage() -> Result<()> {
    let packaged = packaged()?;
    for binary in &packaged {
        ensure!(!holds_switch(binary)?, "{} was built with the feature `sabotage`", binary.display());
    }
    process::run(&mut process::cargo(&[
        "build",
        "--workspace",
        "--locked",
        "--example",
        SABOTAGED,
        "--features",
        "msk-producer/sabotage",
    ]))?;
    let sabotaged = workspace::target_dir().join("debug").join("examples").join(SABOTAGED);
    ensure!(
        holds_switch(&sabotaged)?,
        "{} has no switches, so the check above could not have found any",
        sabotaged.display()
    );
    process::run(scenarios(packaged)?.arg("--ignored"))
}

fn holds_switch(binary: &Path) -> Result<bool> {
    let bytes = std::fs::read(binary).with_context(|| format!("cannot read {}", binary.display()))?;
    Ok(bytes.windows(SWITCH.len()).any(|window| window == SWITCH))
}
