//! Stages `contract` and `peers`: programs that others have published, against `producer --http`.

use std::process::Command;

use anyhow::{Context, Result};

use super::binaries;
use crate::{process, tools};

/// Stage `contract`: 2,000 requests made up from `docs/openapi.json`.
pub(super) fn contract() -> Result<()> {
    let schemathesis = tools::SCHEMATHESIS.bin()?.join("schemathesis");
    process::run(tests()?.env("SCHEMATHESIS", schemathesis).arg("schemathesis::two_thousand_cases"))
}

/// Stage `peers`: the clients of `functions/producer/tests/process/peers`.
pub(super) fn peers() -> Result<()> {
    let python = tools::PEERS_PYTHON.bin()?.join("python");
    let modules = tools::PEERS_NODE.modules()?;
    let mut tests = tests()?;
    process::run(tests.env("PEERS_PYTHON", python).env("PEERS_NODE_MODULES", modules).arg("peers::"))
}

/// The tests of the producer as a process that are otherwise ignored, because they need such a program.
fn tests() -> Result<Command> {
    let binaries = binaries::build()?;
    let tests = binaries.iter().find(|binary| binary.package == "msk-producer" && binary.target == "process");
    let mut tests = tests.context("functions/producer/tests/process is missing: this stage runs it")?.command();
    tests.args(["--ignored", "--nocapture", "--test-threads", "1"]);
    Ok(tests)
}
