//! Child processes of tests: each leads its own process group and never outlives its handle.
//!
//! Written by hand instead of using the crate `process-wrap`: that crate starts and ends groups, but the pipes, the lines, the stopped
//! processes and the watchdog would still have to be written here.

use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::killpg;
use nix::unistd::Pid;
use serde_json::Value;

pub use nix::sys::signal::Signal;

use crate::{PATIENCE, watchdog};

/// How often to check for an exit.
const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// How many of a process's last lines the message of a failed wait shows.
const LAST_LINES: usize = 20;

/// The program, with none of this process's environment.
pub fn clean(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().stdin(Stdio::null());
    command
}

/// A running or ended child, with everything that it started.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    status: Option<ExitStatus>,
    lines: Arc<Lines>,
}

/// What a process prints, line by line.
#[derive(Debug, Default)]
struct Lines {
    printed: Mutex<Printed>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Printed {
    lines: Vec<String>,
    /// How many of them [`Process::line`] and [`Process::rest`] have passed.
    seen: usize,
    /// Pipes that are still open.
    open: usize,
}

impl Process {
    /// Starts `command` as the leader of a new process group, so that signals reach everything it starts, and a Ctrl-C at the
    /// terminal reaches only this process.
    ///
    /// # Errors
    ///
    /// If the program cannot be started.
    pub fn spawn(name: impl Into<String>, command: &mut Command) -> io::Result<Self> {
        let child = watchdog::spawn_watched(command)?;
        Ok(Self { name: name.into(), child, status: None, lines: Arc::default() })
    }

    /// Starts `command` and keeps what it prints: its standard output, and its standard error if that is a pipe.
    ///
    /// # Panics
    ///
    /// If the program cannot be started.
    pub fn start(name: impl Into<String>, command: &mut Command) -> Self {
        let name = name.into();
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process =
            Self::spawn(&name, command).unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        let (stdout, stderr) = (process.child.stdout.take(), process.child.stderr.take());
        process.lines.printed().open = usize::from(stdout.is_some()) + usize::from(stderr.is_some());
        stdout.into_iter().for_each(|pipe| process.lines.collect(pipe));
        stderr.into_iter().for_each(|pipe| process.lines.collect(pipe));
        process
    }

    /// The process id, which is also the id of its group.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The name given at the start, for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sends `signal` to the whole group. It is not an error if the group is gone: the process ended by itself.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        if self.status.is_some() {
            return Ok(());
        }
        match killpg(self.group(), signal) {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(errno) => Err(errno.into()),
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

    /// Sends SIGTERM to the whole group.
    ///
    /// # Panics
    ///
    /// If the kernel refuses.
    pub fn terminate(&self) {
        self.signal(Signal::SIGTERM).unwrap();
    }

    /// Waits for the process to end by itself; `None` if it is still running after `limit`.
    pub fn end_within(&mut self, limit: Duration) -> Option<ExitStatus> {
        let start = Instant::now();
        while self.exit_status().is_none() && start.elapsed() < limit {
            thread::sleep(POLL_INTERVAL);
        }
        self.status
    }

    /// Waits for the process to end, and returns its exit status.
    ///
    /// # Panics
    ///
    /// If it does not end in time.
    pub fn end(&mut self) -> ExitStatus {
        self.end_within(PATIENCE).unwrap_or_else(|| panic!("{} does not end", self.name))
    }

    /// The next line that `wanted` accepts, after those that earlier calls have read. Every line must be JSON.
    ///
    /// # Panics
    ///
    /// If there is none in time.
    pub fn line(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        self.wait(PATIENCE, "such line", |printed| {
            while let Some(text) = printed.lines.get(printed.seen) {
                printed.seen += 1;
                let line: Value = serde_json::from_str(text).unwrap_or_else(|_| panic!("not a JSON line: {text}"));
                if wanted(&line) {
                    return Some(line);
                }
            }
            None
        })
    }

    /// The next line that begins with `start`, JSON or not, after those that earlier calls have read.
    ///
    /// # Panics
    ///
    /// If there is none in time.
    pub fn text_line(&self, start: &str) -> String {
        self.wait(PATIENCE, "such line", |printed| {
            let at = printed.lines.iter().skip(printed.seen).position(|line| line.starts_with(start))? + printed.seen;
            printed.seen = at + 1;
            printed.lines.get(at).cloned()
        })
    }

    /// Every line that [`Self::line`] has not read, up to the end of the process.
    ///
    /// # Panics
    ///
    /// If it does not end in time.
    pub fn rest(&self) -> Vec<String> {
        self.wait(PATIENCE, "end of its output", |printed| {
            let unseen = printed.lines.get(printed.seen..)?.to_vec();
            (printed.open == 0).then_some(unseen)
        })
    }

    /// All lines so far that are JSON.
    pub fn json_lines(&self) -> Vec<Value> {
        self.lines.printed().lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits until `look` finds something in the JSON lines.
    ///
    /// # Panics
    ///
    /// With the last lines, if it finds nothing in time.
    pub fn wait_for<T>(&self, what: &str, patience: Duration, look: impl Fn(&[Value]) -> Option<T>) -> T {
        let deadline = Instant::now() + patience;
        loop {
            let is_over = self.lines.printed().open == 0 || Instant::now() >= deadline;
            if let Some(found) = look(&self.json_lines()) {
                return found;
            }
            if is_over {
                self.fail(what, patience);
            }
            // Not after every single line: each look reads all of them.
            thread::sleep(POLL_INTERVAL);
        }
    }

    fn wait<T>(&self, patience: Duration, what: &str, mut look: impl FnMut(&mut Printed) -> Option<T>) -> T {
        let deadline = Instant::now() + patience;
        let mut printed = self.lines.printed();
        loop {
            if let Some(found) = look(&mut printed) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || printed.open == 0 {
                drop(printed);
                self.fail(what, patience);
            }
            let waited = self.lines.changed.wait_timeout(printed, left);
            printed = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn fail(&self, what: &str, patience: Duration) -> ! {
        let lines = &self.lines.printed().lines;
        let last = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n");
        panic!("{}: no {what} within {patience:?}; its last lines:\n{last}", self.name)
    }

    /// Its resident memory in KiB.
    ///
    /// # Panics
    ///
    /// If the process has ended.
    pub fn memory_kib(&self) -> u64 {
        self.status_kib("VmRSS:")
    }

    /// The most that its resident memory has been, in KiB.
    ///
    /// # Panics
    ///
    /// If the process has ended.
    pub fn peak_memory_kib(&self) -> u64 {
        self.status_kib("VmHWM:")
    }

    fn status_kib(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// Blocks until the process ends, and returns what it wrote to its piped outputs.
    ///
    /// # Errors
    ///
    /// If the kernel does not report how it ended.
    pub fn output(mut self) -> io::Result<Output> {
        let (stdout, stderr) = (drain(self.child.stdout.take()), drain(self.child.stderr.take()));
        let status = self.child.wait()?;
        self.status = Some(status);
        // First, because processes it left running may keep the pipes open.
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

    /// Ends what the leader left running in its group, and tells the watchdog to forget the group.
    fn end_group(&self) {
        let _ = killpg(self.group(), Signal::SIGKILL);
        watchdog::forget_group(self.child.id());
    }

    fn group(&self) -> Pid {
        // Process ids are positive 32-bit numbers on Linux (at most 2^22).
        Pid::from_raw(i32::try_from(self.child.id()).unwrap_or(i32::MAX))
    }
}

impl Lines {
    fn printed(&self) -> MutexGuard<'_, Printed> {
        self.printed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn collect(self: &Arc<Self>, pipe: impl Read + Send + 'static) {
        let kept = Arc::clone(self);
        thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                kept.printed().lines.push(line);
                kept.changed.notify_all();
            }
            kept.printed().open -= 1;
            kept.changed.notify_all();
        });
    }
}

/// Reads a pipe to its end, in parallel with the other: a full pipe that nobody reads would block the process.
fn drain(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // After a read error, what was read so far is kept.
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

    #[test]
    fn a_stopped_process_stays_until_continued() {
        let mut process = Process::spawn("sleep", Command::new("sleep").arg("0.05")).unwrap();
        process.signal(Signal::SIGSTOP).unwrap();
        assert!(process.end_within(Duration::from_millis(300)).is_none());
        process.signal(Signal::SIGCONT).unwrap();
        assert!(process.end().success());
    }

    #[test]
    fn lines_are_passed_once_and_kept() {
        let script = r#"echo '{"n":1}'; echo '{"n":2}'; echo '{"n":3}'; echo no; echo '{"n":4}' >&2"#;
        let mut command = Command::new("sh");
        let process = Process::start("writer", command.args(["-c", script]).stderr(Stdio::piped()));
        assert_eq!(
            process.wait_for("n of 4", PATIENCE, |lines| lines.iter().find(|line| line["n"] == 4).cloned())["n"],
            4
        );
        assert!(process.line(|line| line["n"] == 2).is_object());
        assert!(process.rest().contains(&"no".to_owned()));
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
