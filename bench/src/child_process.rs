//! A child that ends with its handle, and what it logs.

use std::io::{PipeReader, PipeWriter, Read};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};

/// `cargo xtask` ends every process that has this variable of its run: what this program could not end itself.
const MARK: &str = "MSK_XTASK_RUN";
/// How much of the end of a log is kept for error messages.
const KEPT_BYTES: usize = 16 << 10;

/// The program, with an environment of only what is given to it later.
pub(crate) fn clean(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().envs(std::env::var_os(MARK).map(|mark| (MARK, mark))).stdin(Stdio::null());
    command
}

/// A running child. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct ChildProcess {
    pub(crate) child: Child,
    log: Arc<Log>,
}

/// What a child logs: how much, and its end.
#[derive(Debug, Default)]
pub(crate) struct Log {
    state: Mutex<LogState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct LogState {
    bytes: u64,
    end: Vec<u8>,
    is_closed: bool,
}

impl ChildProcess {
    /// Starts a program whose standard output and standard error are its log, as on Lambda.
    pub(crate) fn logging(mut command: Command) -> Result<Self> {
        let (reader, writer) = std::io::pipe().context("cannot create a pipe")?;
        command.stdout(writer.try_clone().context("cannot create a pipe")?);
        Self::start(command, reader, writer)
    }

    /// Starts a program whose standard error is its log; its standard input and output are pipes for its parent.
    pub(crate) fn talking(mut command: Command) -> Result<Self> {
        let (reader, writer) = std::io::pipe().context("cannot create a pipe")?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        Self::start(command, reader, writer)
    }

    fn start(mut command: Command, reader: PipeReader, writer: PipeWriter) -> Result<Self> {
        command.stderr(writer);
        let child = command.spawn().with_context(|| format!("cannot start {}", command.get_program().display()))?;
        let log = Arc::<Log>::default();
        let kept = Arc::clone(&log);
        // Ends with the pipe: when the child has ended, since `command` with the other end is dropped here.
        std::thread::spawn(move || kept.fill(reader));
        Ok(Self { child, log })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its log, which goes on.
    pub(crate) fn log(&self) -> Arc<Log> {
        Arc::clone(&self.log)
    }

    /// Waits until `find` finds something in the end of its log.
    pub(crate) fn wait_for<T>(&self, what: &str, limit: Duration, find: impl Fn(&str) -> Option<T>) -> Result<T> {
        let state = self.log.wait_until(limit, |state| state.is_closed || find(&state.text()).is_some());
        find(&state.text()).with_context(|| format!("no {what} within {limit:?}; its log ends with:\n{}", state.text()))
    }

    /// Waits until it has ended, and returns what is kept of its log.
    pub(crate) fn whole_log(&self, limit: Duration) -> Result<String> {
        let state = self.log.wait_until(limit, |state| state.is_closed);
        anyhow::ensure!(state.is_closed, "it does not end within {limit:?}");
        Ok(state.text())
    }
}

impl LogState {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.end).into_owned()
    }
}

impl Log {
    /// How much was logged so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.state().bytes
    }

    /// The end of it.
    pub(crate) fn end(&self) -> String {
        self.state().text()
    }

    fn state(&self) -> MutexGuard<'_, LogState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_until(&self, limit: Duration, is_so: impl Fn(&LogState) -> bool) -> MutexGuard<'_, LogState> {
        let waited = self.changed.wait_timeout_while(self.state(), limit, |state| !is_so(state));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn fill(&self, mut pipe: PipeReader) {
        let mut buffer = [0; 8192];
        // A read error is the end of what can be said about this log.
        while let Ok(length) = pipe.read(&mut buffer)
            && length > 0
        {
            let mut state = self.state();
            state.bytes += length as u64;
            state.end.extend_from_slice(&buffer[..length]);
            // Not after every read, since it moves all that is kept.
            if state.end.len() > 2 * KEPT_BYTES {
                let surplus = state.end.len() - KEPT_BYTES;
                state.end.drain(..surplus);
            }
            self.changed.notify_all();
        }
        self.state().is_closed = true;
        self.changed.notify_all();
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        // It may have ended by itself, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn shell(script: &str) -> Command {
        let mut command = clean("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn everything_logged_is_counted_and_the_end_is_kept() {
        let script = "i=0; while [ $i -lt 5000 ]; do echo 0123456789; i=$((i+1)); done; echo last >&2; sleep 300";
        let process = ChildProcess::logging(shell(script)).unwrap();
        process.wait_for("last line", PATIENCE, |log| log.ends_with("last\n").then_some(())).unwrap();
        assert_eq!(process.log().bytes(), 5000 * 11 + 5);
        assert!(process.log().end().len() <= 2 * KEPT_BYTES);
        let error = process.wait_for("such line", Duration::from_millis(1), |_| None::<()>).unwrap_err().to_string();
        assert!(error.contains("no such line") && error.contains("last"), "{error}");
    }

    #[test]
    fn dropping_ends_the_child() {
        let process = ChildProcess::logging(shell("exec sleep 300")).unwrap();
        let folder = format!("/proc/{}", process.id());
        assert!(std::path::Path::new(&folder).exists());
        drop(process);
        assert!(!std::path::Path::new(&folder).exists());
    }
}
