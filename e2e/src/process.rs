//! Child processes of the rig: each leads a process group of its own and never outlives its handle.

use std::{
    io::Read,
    os::unix::process::{CommandExt, ExitStatusExt},
    process::{Child, Command, ExitStatus, Output},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

use crate::{
    error::{Result, RigError, os_error},
    watchdog,
};

/// How often an exit is looked for.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// A running (or ended, not yet forgotten) child with everything it started.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    status: Option<ExitStatus>,
}

impl Process {
    /// Starts `command` as the leader of a new process group, so that signals reach all it starts and a Ctrl-C at
    /// the terminal reaches only the rig.
    ///
    /// # Errors
    ///
    /// [`RigError::Os`] when the program cannot be started.
    pub fn spawn(name: impl Into<String>, command: &mut Command) -> Result<Self> {
        let name = name.into();
        let child = command.process_group(0).spawn().map_err(os_error(format!("starting {name}")))?;
        watchdog::watch_group(child.id());
        Ok(Self { name, child, status: None })
    }

    /// The process id, which is also the id of its group.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The name given at the start, for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sends `signal` to the whole group. A group that is gone is no error: the process ended by itself.
    ///
    /// # Errors
    ///
    /// [`RigError::Os`] when the kernel refuses.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        if self.status.is_some() {
            return Ok(());
        }
        match killpg(self.group(), signal) {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(errno) => Err(RigError::Os {
                what: format!("sending {signal} to {}", self.name),
                source: std::io::Error::from(errno),
            }),
        }
    }

    /// The exit status, if the process has ended.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().ok().flatten();
            if self.status.is_some() {
                self.end_group();
            }
        }
        self.status
    }

    /// Waits for the process to end by itself.
    ///
    /// # Errors
    ///
    /// [`RigError::TimedOut`] when it still runs after `limit`.
    pub async fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.exit_status() {
                return Ok(status);
            }
            if start.elapsed() >= limit {
                let what = format!("the end of {}", self.name);
                return Err(RigError::TimedOut { what, limit, last_seen: "still running".to_owned() });
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Blocks until the process ends, and returns what it wrote to those of its outputs that are pipes.
    ///
    /// # Errors
    ///
    /// [`RigError::Os`] when the kernel does not tell how it ended.
    pub(crate) fn output(mut self) -> Result<Output> {
        let (stdout, stderr) = (drain(self.child.stdout.take()), drain(self.child.stderr.take()));
        let status = self.child.wait().map_err(os_error(format!("waiting for {}", self.name)))?;
        self.status = Some(status);
        // First: what it left running may hold the pipes open.
        self.end_group();
        let text = |pipe: JoinHandle<Vec<u8>>| pipe.join().unwrap_or_default();
        Ok(Output { status, stdout: text(stdout), stderr: text(stderr) })
    }

    /// Ends the whole group with SIGKILL, which also ends stopped processes, and reaps the leader.
    pub fn kill(&mut self) -> ExitStatus {
        if let Some(status) = self.exit_status() {
            return status;
        }
        // Only ESRCH is possible for a group of our own children; the wait below then returns at once.
        let _ = killpg(self.group(), Signal::SIGKILL);
        let status = self.child.wait().unwrap_or_else(|_| ExitStatus::from_raw(Signal::SIGKILL as i32));
        self.status = Some(status);
        self.end_group();
        status
    }

    /// Ends what the leader left running in its group, and tells the watchdog that the number is free.
    fn end_group(&self) {
        let _ = killpg(self.group(), Signal::SIGKILL);
        watchdog::forget_group(self.child.id());
    }

    fn group(&self) -> Pid {
        // Process ids are positive 32-bit numbers on Linux (at most 2^22).
        Pid::from_raw(i32::try_from(self.child.id()).unwrap_or(i32::MAX))
    }
}

/// Reads a pipe to its end, beside the other: a full pipe that nobody reads would stop the process.
fn drain(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // A pipe that breaks holds what was written until then.
        let _ = pipe.map(|mut pipe| pipe.read_to_end(&mut bytes));
        bytes
    })
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::process::Stdio;

    use nix::sys::signal::kill;

    use super::*;

    fn sleeper() -> Process {
        // The shell starts a child of its own: the whole group must go.
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 300 & wait"]).stdout(Stdio::null());
        Process::spawn("sleeper", &mut command).unwrap()
    }

    fn group_exists(id: u32) -> bool {
        killpg(Pid::from_raw(i32::try_from(id).unwrap()), None).is_ok()
    }

    fn wait_for_the_groups_end(id: u32) {
        let start = Instant::now();
        while group_exists(id) {
            assert!(start.elapsed() < Duration::from_secs(5), "group {id} still there");
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    #[test]
    fn dropping_ends_the_whole_group() {
        let process = sleeper();
        let id = process.id();
        assert!(group_exists(id));
        drop(process);
        wait_for_the_groups_end(id);
    }

    #[test]
    fn a_panic_ends_the_whole_group() {
        let process = sleeper();
        let id = process.id();
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            let _held = process;
            std::panic::resume_unwind(Box::new("planted"));
        }));
        assert!(result.is_err());
        wait_for_the_groups_end(id);
    }

    #[tokio::test]
    async fn a_stopped_process_stays_until_continued() {
        let mut process = Process::spawn("sleep", Command::new("sleep").arg("0.05")).unwrap();
        process.signal(Signal::SIGSTOP).unwrap();
        assert!(process.wait(Duration::from_millis(300)).await.is_err());
        process.signal(Signal::SIGCONT).unwrap();
        assert!(process.wait(Duration::from_secs(5)).await.unwrap().success());
    }

    #[test]
    fn the_output_ends_with_the_leader_and_may_be_longer_than_a_pipe() {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 300 & yes | head -c 200000; echo refused >&2; exit 3"]);
        let process = Process::spawn("writer", command.stdout(Stdio::piped()).stderr(Stdio::piped())).unwrap();
        let id = process.id();
        let output = process.output().unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(3), 200_000));
        assert_eq!(output.stderr, b"refused\n");
        wait_for_the_groups_end(id);
    }

    #[test]
    fn killing_reports_the_signal() {
        let mut process = sleeper();
        assert_eq!(process.kill().signal(), Some(Signal::SIGKILL as i32));
        assert!(kill(process.group(), None).is_err());
    }
}
