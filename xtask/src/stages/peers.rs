//! Stage `peers`: clients that others have published, against `producer --http`.

use anyhow::{Context, Result};

use super::binaries;
use crate::{process, tools};

/// Runs the tests in `functions/producer/tests/process/peers`, which are otherwise ignored: they need these clients.
pub(super) fn run() -> Result<()> {
    let python = tools::PEERS_PYTHON.bin()?.join("python");
    let modules = tools::PEERS_NODE.modules()?;
    let binaries = binaries::build()?;
    let tests = binaries.iter().find(|binary| binary.package == "msk-producer" && binary.target == "process");
    let mut tests = tests.context("functions/producer/tests/process is missing: this stage runs it")?.command();
    tests.env("PEERS_PYTHON", python).env("PEERS_NODE_MODULES", modules);
    process::run(tests.args(["--ignored", "--nocapture", "--test-threads", "1", "peers::"]))
}
