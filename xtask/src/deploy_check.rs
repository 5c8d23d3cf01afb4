//! `cargo xtask deploy-check`: what is missing before `terraform apply`, in one screen.

use anyhow::{Result, bail};

/// Options of `cargo xtask deploy-check`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {}

/// Prints what is missing; an error when something is.
pub(crate) fn run(_options: &Options) -> Result<()> {
    bail!("deploy-check is not written yet")
}
