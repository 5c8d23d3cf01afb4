//! Stage `guides`: checks every `aws` command of the documentation against AWS's own service models. AWS is not called. The other
//! rules for the guides are tests in `tidy/`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::{process, tools, workspace};

/// Runs stage `guides`.
pub(super) fn run() -> Result<()> {
    let docs = workspace::root().join("docs");
    let python = tools::AWS_MODELS.bin()?.join("python3");
    let mut check = Command::new(python);
    check.arg(docs.join("tools/aws_commands.py")).args(pages(&docs)?).stdin(Stdio::null());
    process::run(&mut check)
}

/// The pages of the documentation.
fn pages(docs: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(docs).with_context(|| format!("cannot read the folder {}", docs.display()))?;
    let mut pages: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    pages.sort();
    Ok(pages)
}
