//! Part of stage `e2e`: the crate that `cargo xtask new-consumer` writes compiles, passes its test and consumes in `up`. It is
//! made in this workspace, where everything that it needs is compiled already, and taken away again.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::laptop;
use crate::{members, process, workspace};

/// Nobody's name for a consumer of their own.
const NAME: &str = "trial-of-new-consumer";

/// Makes it, does what `new-consumer` says to do next, and removes it.
pub(super) fn run() -> Result<()> {
    let trial = Trial::make()?;
    ensure!(trial.says.contains(&format!("cargo xtask up --consumers consumer,{NAME}\n")), "{}", trial.says);
    ensure!(members::functions()?.iter().any(|function| function == NAME), "{NAME} would not be packaged");
    process::run(&mut process::cargo(&["test", "--locked", "--workspace", "--bin", NAME]))?;
    laptop::run_with_consumer(NAME)
}

/// The crate, until it is dropped.
struct Trial {
    /// What the manifest and the lock file held before.
    before: Vec<(PathBuf, Vec<u8>)>,
    /// What `new-consumer` printed.
    says: String,
}

impl Trial {
    fn make() -> Result<Self> {
        let files = ["Cargo.toml", "Cargo.lock"].map(|file| workspace::root().join(file));
        let read = |file: PathBuf| -> Result<_> {
            let text = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            Ok((file, text))
        };
        let mut trial = Self { before: files.into_iter().map(read).collect::<Result<_>>()?, says: String::new() };
        let mut command = Command::new(workspace::this_program()?);
        trial.says = process::capture(command.args(["new-consumer", NAME]))?;
        Ok(trial)
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        let restored: std::io::Result<()> = self.before.iter().try_for_each(|(file, text)| fs::write(file, text));
        let folder = workspace::root().join("functions").join(NAME);
        let removed = if folder.exists() { fs::remove_dir_all(&folder) } else { Ok(()) };
        if let Err(error) = restored.and(removed) {
            eprintln!("the trial was not taken away, remove {} and its lines by hand: {error}", folder.display());
        }
    }
}
