//! Stage `e2e`: the packaged functions through `cargo lambda watch`.

use anyhow::{Result, bail};

pub(super) fn run() -> Result<()> {
    bail!("the end-to-end tests are not written yet")
}
