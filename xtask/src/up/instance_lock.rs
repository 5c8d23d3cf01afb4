//! One `cargo xtask up` at a time in a workspace; it ends the processes that a killed one left behind.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::{process, workspace};

/// How long a process that was left behind may take to end by itself.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// What the running `up` writes into the file for the next one.
#[derive(Debug, Serialize, Deserialize)]
struct Owner {
    run_id: String,
    process_id: u32,
    port: u16,
}

/// The locked file; the kernel unlocks it however this process ends.
pub(super) struct InstanceLock {
    file: File,
}

impl InstanceLock {
    /// Takes the lock, and ends what a killed `up` left behind. `port` is for the message that another `up`
    /// prints meanwhile.
    pub(super) fn acquire(port: u16) -> Result<Self> {
        let path = state_dir()?.join("up.json");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        let locked = file.try_lock().is_ok();
        let mut text = String::new();
        file.read_to_string(&mut text).with_context(|| format!("cannot read {}", path.display()))?;
        let owner: Option<Owner> = serde_json::from_str(&text).ok();
        if !locked {
            bail!("{}", already_running(owner.as_ref()));
        }
        if let Some(killed) = owner {
            end_leftovers(&killed);
        }
        let mut lock = Self { file };
        let owner = Owner { run_id: process::RUN_ID.clone(), process_id: std::process::id(), port };
        lock.write(&serde_json::to_string(&owner)?)?;
        Ok(lock)
    }

    fn write(&mut self, text: &str) -> Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(text.as_bytes()).context("cannot write target/xtask/up.json")
    }
}

impl Drop for InstanceLock {
    fn drop(&mut self) {
        // An empty file means that nothing was left behind; without it the next run looks for processes and finds none.
        let _ = self.write("");
    }
}

/// The id of the `up` that is running in this workspace, or of one that was killed.
pub(crate) fn running_id() -> Option<String> {
    let text = std::fs::read_to_string(state_dir().ok()?.join("up.json")).ok()?;
    Some(serde_json::from_str::<Owner>(&text).ok()?.run_id)
}

/// The file with everything that `up` and its children print.
pub(crate) fn log_path() -> Result<PathBuf> {
    Ok(state_dir()?.join("up.log"))
}

/// The folder `target/xtask`, created if necessary.
fn state_dir() -> Result<PathBuf> {
    let dir = workspace::target_dir().join("xtask");
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    Ok(dir)
}

fn already_running(owner: Option<&Owner>) -> String {
    let who = owner.map_or_else(String::new, |owner| format!(" (process {}, port {})", owner.process_id, owner.port));
    format!("`cargo xtask up` is already running in this workspace{who}. Use that one, or stop it with Ctrl-C first")
}

fn end_leftovers(killed: &Owner) {
    let found = process::sweep(&killed.run_id, END_TIMEOUT);
    if !found.is_empty() {
        let names = found.iter().map(|(id, name)| format!("{name} {id}")).collect::<Vec<_>>().join(", ");
        println!("an earlier `cargo xtask up` was killed and left processes behind; ended them: {names}");
    }
}
