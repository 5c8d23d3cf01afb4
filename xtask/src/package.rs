//! `cargo xtask package`: the deployable zips and their sizes.

use anyhow::{Result, bail};

/// Options of `cargo xtask package`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Build for Graviton (`aarch64-unknown-linux-gnu`) and not for `x86_64`.
    #[arg(long)]
    arm64: bool,
}

/// Builds the zips.
pub(crate) fn run(options: &Options) -> Result<()> {
    bail!("package is not written yet (arm64: {})", options.arm64)
}
