//! One `cargo xtask up` at a time in a workspace, and the leftovers of a killed one.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::{process, workspace};

/// How long a leftover has to end by itself.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the running `up` writes down for the next one.
#[derive(Debug, Serialize, Deserialize)]
struct Owner {
    run_id: String,
    process_id: u32,
    port: u16,
}

/// The right to run; given back when dropped, also by the kernel when this process is killed.
pub(super) struct Session {
    file: File,
}

impl Session {
    /// Takes the right, ends the leftovers of an `up` that was killed, and checks that the port is free.
    pub(super) fn claim(port: u16) -> Result<Self> {
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
        check_port(port)?;
        let mut session = Self { file };
        let owner = Owner { run_id: process::RUN_ID.clone(), process_id: std::process::id(), port };
        session.write(&serde_json::to_string(&owner)?)?;
        Ok(session)
    }

    fn write(&mut self, text: &str) -> Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(text.as_bytes()).context("cannot write down who runs")
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // An empty file says that nothing was left behind; when that fails, the next run only looks in vain.
        let _ = self.write("");
    }
}

/// The id of the `up` that runs in this workspace, or of one that was killed.
pub(crate) fn running_id() -> Option<String> {
    let text = std::fs::read_to_string(state_dir().ok()?.join("up.json")).ok()?;
    Some(serde_json::from_str::<Owner>(&text).ok()?.run_id)
}

/// Where the whole log of `up` goes.
pub(crate) fn log_path() -> Result<PathBuf> {
    Ok(state_dir()?.join("up.log"))
}

/// `target/xtask`.
fn state_dir() -> Result<PathBuf> {
    let dir = workspace::target_dir().join("xtask");
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    Ok(dir)
}

fn already_running(owner: Option<&Owner>) -> String {
    let who = owner.map_or_else(String::new, |owner| format!(" (process {}, port {})", owner.process_id, owner.port));
    format!("`cargo xtask up` already runs in this workspace{who}. Use that one, or stop it with Ctrl-C first")
}

fn end_leftovers(killed: &Owner) {
    let found = process::sweep(&killed.run_id, PATIENCE);
    if !found.is_empty() {
        let names = found.iter().map(|(id, name)| format!("{name} {id}")).collect::<Vec<_>>().join(", ");
        println!("an earlier `cargo xtask up` was killed and left processes behind; ended them: {names}");
    }
}

/// Refuses a port on which another program listens, on whatever address.
fn check_port(port: u16) -> Result<()> {
    // One after the other: both at once would be in each other's way.
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map(drop);
    let free = free.and_then(|()| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).map(drop));
    match free {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => bail!(
            "port {port} is in use by another program. Stop it (`lsof -i :{port}` names it), or choose another port: \
             `cargo xtask up --port {}`",
            port.checked_add(10).unwrap_or(9000)
        ),
        Err(error) => bail!("cannot listen on 127.0.0.1:{port}: {error}. Choose another port with `--port`"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_busy_port_is_named_with_the_way_out() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = check_port(port).unwrap_err().to_string();
        assert!(error.contains(&format!("port {port} is in use")) && error.contains("--port"), "{error}");
        drop(taken);
        // A process that another test is just starting may have inherited the listener, until its own program begins.
        let give_up = Instant::now() + Duration::from_secs(10);
        while let Err(error) = check_port(port) {
            assert!(Instant::now() < give_up, "{error}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
