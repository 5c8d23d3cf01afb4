//! Part of stage `e2e`: the crate that `cargo xtask new-consumer` writes compiles, passes its test and consumes in `up`. It is
//! made in this workspace, where everything that it needs is compiled already, and taken away again.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;
use std::time::SystemTime;

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
    /// The manifest and the lock file, as they were before.
    before: Vec<Before>,
    /// What `new-consumer` printed.
    says: String,
}

struct Before {
    file: PathBuf,
    text: Vec<u8>,
    modified: SystemTime,
}

impl Before {
    fn read(file: PathBuf) -> Result<Self> {
        let read = || Ok::<_, std::io::Error>((fs::read(&file)?, fs::metadata(&file)?.modified()?));
        let (text, modified) = read().with_context(|| format!("cannot read {}", file.display()))?;
        Ok(Self { file, text, modified })
    }

    fn restore(&self) -> std::io::Result<()> {
        fs::write(&self.file, &self.text)?;
        self.restore_time()
    }

    /// Clippy's compiler counts the manifest among the sources of every crate: a newer one would have all of them compiled again.
    fn restore_time(&self) -> std::io::Result<()> {
        File::options().write(true).open(&self.file)?.set_modified(self.modified)
    }
}

impl Trial {
    fn make() -> Result<Self> {
        let files = ["Cargo.toml", "Cargo.lock"].map(|file| workspace::root().join(file));
        let before = files.into_iter().map(Before::read).collect::<Result<_>>()?;
        let mut trial = Self { before, says: String::new() };
        let mut command = Command::new(workspace::this_program()?);
        trial.says = process::capture(command.args(["new-consumer", NAME]))?;
        trial.before.iter().try_for_each(Before::restore_time)?;
        Ok(trial)
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        let restored: std::io::Result<()> = self.before.iter().try_for_each(Before::restore);
        let folder = workspace::root().join("functions").join(NAME);
        let removed = if folder.exists() { fs::remove_dir_all(&folder) } else { Ok(()) };
        if let Err(error) = restored.and(removed) {
            eprintln!("the trial was not taken away, remove {} and its lines by hand: {error}", folder.display());
        }
    }
}
