//! Stages `infra` and `infra-mutations`: the Terraform configuration, proven without AWS.

use anyhow::{Result, bail};

/// Runs stage `infra`.
pub(super) fn run() -> Result<()> {
    bail!("stage infra is not written yet")
}

/// Runs stage `infra-mutations`.
pub(super) fn run_mutations() -> Result<()> {
    bail!("stage infra-mutations is not written yet")
}
