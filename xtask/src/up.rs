//! `cargo xtask up`.

use anyhow::{Result, bail};

/// Options of `cargo xtask up`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Port of the HTTP API, on 127.0.0.1.
    #[arg(long, default_value_t = 9000)]
    port: u16,
}

/// Starts everything and waits for Ctrl-C.
pub(crate) fn run(options: &Options) -> Result<()> {
    bail!("up is not written yet (port {})", options.port)
}
