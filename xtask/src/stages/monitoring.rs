//! Stage `monitoring`: every Prometheus panel, rule and alert against live brokers.

use anyhow::{Context, Result};

use super::binaries;
use crate::process;

/// Runs `e2e/tests/monitoring.rs`, whose tests are otherwise ignored: they need Prometheus and take five minutes.
pub(super) fn run() -> Result<()> {
    let binaries = binaries::build()?;
    let monitoring = binaries.iter().find(|binary| binary.package == "msk-e2e" && binary.target == "monitoring");
    let monitoring = monitoring.context("e2e/tests/monitoring.rs is missing: this stage runs it")?;
    process::run(monitoring.command().args(["--ignored", "--nocapture", "--test-threads", "1"]))
}
