//! One JVM of the cluster and its life cycle.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use msk_test_kit::Process;
use nix::sys::signal::Signal;

use crate::error::{Error, Result, file_error, os_error};
use crate::wait::wait_until;

/// How many lines of a node's log an error includes.
const TAIL_LINES: usize = 30;

/// How a node is started, the same way every time.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) class_path: OsString,
    pub(super) jvm_options: Vec<String>,
    pub(super) properties: PathBuf,
    pub(super) log: PathBuf,
}

/// A broker or controller process, running or not.
#[derive(Debug)]
pub(super) struct Node {
    name: String,
    start: Start,
    process: Mutex<Option<Process>>,
}

impl Node {
    pub(super) fn new(name: String, start: Start) -> Self {
        Self { name, start, process: Mutex::new(None) }
    }

    /// Starts the JVM, without waiting until it is ready.
    pub(super) fn start(&self) -> Result<()> {
        let mut process = self.process();
        if process.as_mut().is_some_and(|process| process.exit_status().is_none()) {
            return Err(Error::Invalid(format!("{} is already running", self.name)));
        }
        let log = &self.start.log;
        let open = || File::options().create(true).append(true).open(log).map_err(file_error(log));
        let mut java = java(&self.start.class_path, &self.start.jvm_options);
        java.arg("kafka.Kafka").arg(&self.start.properties);
        java.stdin(Stdio::null()).stdout(open()?).stderr(open()?);
        *process = Some(Process::spawn(&self.name, &mut java).map_err(os_error(format!("starting {}", self.name)))?);
        Ok(())
    }

    /// Sends SIGKILL, which to the process is like a power cut.
    pub(super) fn kill(&self) {
        if let Some(mut process) = self.process().take() {
            process.kill();
        }
    }

    /// Sends SIGTERM and waits for a clean end (leaders moved away, logs closed).
    pub(super) async fn terminate(&self, limit: Duration) -> Result<ExitStatus> {
        let process = self.process().take();
        let mut process = process.ok_or_else(|| Error::Invalid(format!("{} is not running", self.name)))?;
        process.signal(Signal::SIGTERM).map_err(self.signalling())?;
        wait_until(&format!("the end of {}", self.name), limit, || {
            std::future::ready(process.exit_status().ok_or_else(|| "still running".to_owned()))
        })
        .await
    }

    pub(super) fn signal(&self, signal: Signal) -> Result<()> {
        match self.process().as_ref() {
            Some(process) => process.signal(signal).map_err(self.signalling()),
            None => Err(Error::Invalid(format!("{} is not running", self.name))),
        }
    }

    pub(super) fn is_running(&self) -> bool {
        self.process().as_mut().is_some_and(|process| process.exit_status().is_none())
    }

    /// An error with the end of the log if the process has ended by itself.
    pub(super) fn check_running(&self) -> Result<()> {
        let status = self.process().as_mut().and_then(Process::exit_status);
        match status {
            None => Ok(()),
            Some(status) => Err(Error::Exited {
                name: self.name.clone(),
                status: status.to_string(),
                log_tail: tail(&self.start.log),
            }),
        }
    }

    pub(super) fn id(&self) -> Option<u32> {
        self.process().as_ref().map(Process::id)
    }

    pub(super) fn log(&self) -> &Path {
        &self.start.log
    }

    pub(super) fn properties(&self) -> &Path {
        &self.start.properties
    }

    fn signalling(&self) -> impl FnOnce(io::Error) -> Error {
        os_error(format!("a signal to {}", self.name))
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A JVM of the test bed. The serial collector and the first compiler tier start fast and stay small next to three other JVMs.
pub(super) fn java(class_path: &OsString, options: &[String]) -> Command {
    let mut java = Command::new("java");
    java.args(["-Xmx400m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true"]);
    java.args(options).arg("-cp").arg(class_path);
    java
}

fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}
