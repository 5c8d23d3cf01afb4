//! Child processes that never outlive this one.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::workspace;

/// Every child inherits this variable, with this run's id as its value. `cargo lambda watch` puts each function into its
/// own session, which a signal to the group of `watch` does not reach; the variable still finds them.
const MARK: &str = "MSK_XTASK_RUN";

/// This run's id: the process id and the start time.
pub(crate) static RUN_ID: LazyLock<String> = LazyLock::new(|| {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("{}-{}", std::process::id(), now.as_millis())
});

/// How often a running child is checked.
const TICK: Duration = Duration::from_millis(20);
/// How long output is read after the child has ended: what it wrote is available at once, but something it left running may
/// keep the pipe open forever.
const LAST_OUTPUT: Duration = Duration::from_secs(2);
/// The most chunks that are kept, of 8 KiB each.
const MOST_CHUNKS: usize = 4096;

/// A cargo command that runs in the root of the workspace.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(workspace::cargo());
    command.args(arguments).current_dir(workspace::root()).stdin(Stdio::null());
    without_own_package(&mut command);
    command
}

/// Removes the variables that cargo set for the package `xtask`. Build scripts look at these variables (ring's does), and would
/// recompile whenever `cargo build` and `cargo xtask` alternate.
pub(crate) fn without_own_package(command: &mut Command) {
    let own = ["CARGO_MANIFEST_", "CARGO_PKG_"];
    for (name, _) in std::env::vars_os() {
        if own.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            command.env_remove(name);
        }
    }
}

/// Runs a command to its end and shows its output; an exit code other than 0 is an error that names the command.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = display(command);
    let status = command.status().with_context(|| format!("cannot start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` ended with {status}");
    }
    Ok(())
}

/// Runs a command to its end and returns what it wrote to standard output; standard error is part of the error.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let shown = display(command);
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start `{shown}`"))?;
    if !output.status.success() {
        bail!("`{shown}` ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// How a command with a time limit ended, and what it wrote.
pub(crate) struct Captured {
    /// `None` if it was still running at the limit and was ended.
    pub(crate) status: Option<ExitStatus>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

/// Runs a command to its end, for at most `patience`; after that it is killed with everything it has started. It stays in this
/// process's group, so that a Ctrl-C at the terminal reaches it.
pub(crate) fn capture_within(command: &mut Command, patience: Duration) -> io::Result<Captured> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mark = format!("{}-{}", *RUN_ID, COUNT.fetch_add(1, Ordering::Relaxed));
    command.env(MARK, &mark).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    // Read from the start: a full pipe that nobody reads would block the child.
    let (stdout, stderr) = (chunks(child.stdout.take()), chunks(child.stderr.take()));
    let deadline = Instant::now() + patience;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if Instant::now() >= deadline {
            sweep(&mark, Duration::ZERO);
            // In case its environment could not be read.
            child.kill()?;
            child.wait()?;
            break None;
        }
        sleep(TICK);
    };
    let until = Instant::now() + LAST_OUTPUT;
    Ok(Captured { status, stdout: collect(&stdout, until), stderr: collect(&stderr, until) })
}

/// The contents of a pipe, read by a thread that ends with the pipe or with the receiver.
fn chunks(pipe: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let Some(mut pipe) = pipe else { return };
        let mut buffer = [0; 8192];
        loop {
            match pipe.read(&mut buffer) {
                Ok(length) if length > 0 && sender.send(buffer[..length].to_vec()).is_ok() => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // After a read error, what was read so far has been sent.
                _ => return,
            }
        }
    });
    receiver
}

fn collect(chunks: &Receiver<Vec<u8>>, until: Instant) -> Vec<u8> {
    let mut bytes = Vec::new();
    while Instant::now() < until
        && let Ok(chunk) = chunks.recv_timeout(until.saturating_duration_since(Instant::now()))
    {
        bytes.extend(chunk);
    }
    // Only what had been read by then: something may never stop writing.
    chunks.try_iter().take(MOST_CHUNKS).for_each(|chunk| bytes.extend(chunk));
    bytes
}

/// The command as a user would type it.
pub(crate) fn display(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(command.get_program()).to_string_lossy().into_owned();
    let arguments = command.get_args().map(|argument| argument.to_string_lossy().into_owned());
    std::iter::once(name).chain(arguments).collect::<Vec<_>>().join(" ")
}

/// A long-running child, the leader of its own process group: a Ctrl-C at the terminal reaches only this process,
/// which then stops its children in order.
pub(crate) struct Supervised {
    name: &'static str,
    child: Child,
    ended: Option<ExitStatus>,
}

impl Supervised {
    /// Starts the command. `name` is for messages.
    pub(crate) fn spawn(name: &'static str, command: &mut Command) -> Result<Self> {
        Self::spawn_marked(name, command, &RUN_ID)
    }

    fn spawn_marked(name: &'static str, command: &mut Command, run_id: &str) -> Result<Self> {
        let shown = display(command);
        let child = command
            .env(MARK, run_id)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {name} (`{shown}`)"))?;
        Ok(Self { name, child, ended: None })
    }

    /// Its name in messages.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// The child, for its pipes.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// How it ended; `None` while it is running.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended
    }

    /// Sends `signal` to the group.
    pub(crate) fn signal(&mut self, signal: Signal) {
        if self.ended().is_none()
            && let Ok(id) = i32::try_from(self.child.id())
        {
            // A group that is gone needs no signal.
            let _ = killpg(Pid::from_raw(id), signal);
        }
    }

    /// Waits for its end until `deadline`, then kills the group.
    pub(crate) fn wait_or_kill(&mut self, deadline: Instant) {
        while self.ended().is_none() && Instant::now() < deadline {
            sleep(TICK);
        }
        self.signal(Signal::SIGKILL);
        if self.ended.is_none() {
            self.ended = self.child.wait().ok();
        }
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.wait_or_kill(Instant::now());
    }
}

/// Ends every process that carries the mark of `run_id`: SIGTERM, then SIGKILL after `patience`. Returns what it found,
/// as process id and command.
pub(crate) fn sweep(run_id: &str, patience: Duration) -> BTreeMap<i32, String> {
    let deadline = Instant::now() + patience;
    let mut found = BTreeMap::new();
    loop {
        let running = marked(run_id);
        if running.is_empty() {
            return found;
        }
        let late = Instant::now() >= deadline;
        for (id, name) in running {
            // A process that was started in the meantime is told now.
            let new = found.insert(id, name).is_none();
            if new || late {
                let signal = if late { Signal::SIGKILL } else { Signal::SIGTERM };
                // A process that is gone needs no signal.
                let _ = kill(Pid::from_raw(id), signal);
            }
        }
        sleep(TICK);
    }
}

/// The processes that carry the mark of `run_id`, except this one.
#[cfg(target_os = "linux")]
fn marked(run_id: &str) -> BTreeMap<i32, String> {
    let mark = format!("{MARK}={run_id}").into_bytes();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes = entries.filter_map(|entry| {
        let id: i32 = entry.file_name().to_str()?.parse().ok()?;
        let environment = std::fs::read(entry.path().join("environ")).ok()?;
        let name = std::fs::read_to_string(entry.path().join("comm")).ok()?;
        environment.split(|byte| *byte == 0).any(|variable| variable == mark).then(|| (id, name.trim().to_owned()))
    });
    processes.filter(|(id, _)| u32::try_from(*id).is_ok_and(|id| id != std::process::id())).collect()
}

/// The processes that carry the mark of `run_id`: `ps -E` shows environments on systems without `/proc`.
#[cfg(not(target_os = "linux"))]
fn marked(run_id: &str) -> BTreeMap<i32, String> {
    let mark = format!("{MARK}={run_id}");
    let listing = capture(Command::new("ps").args(["-axwwE", "-o", "pid=,command="])).unwrap_or_default();
    let processes =
        listing.lines().filter(|line| line.split_whitespace().any(|word| word == mark)).filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?.parse().ok()?, words.next()?.to_owned()))
        });
    processes.filter(|(id, _)| u32::try_from(*id).is_ok_and(|id| id != std::process::id())).collect()
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};

    use super::*;

    #[test]
    fn a_child_in_a_session_of_its_own_is_found_and_ended() {
        let mut command = Command::new("sh");
        command.args(["-c", "setsid sleep 60 & echo started; wait"]).stdin(Stdio::null()).stdout(Stdio::piped());
        // A mark of its own: the sweep must not end what other tests have started.
        let mark = format!("{}-own", *RUN_ID);
        let mut shell = Supervised::spawn_marked("sh", &mut command, &mark).unwrap();
        let mut line = String::new();
        BufReader::new(shell.child().stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "started\n");
        let found = sweep(&mark, Duration::from_secs(5));
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(marked(&mark).is_empty());
        shell.wait_or_kill(Instant::now() + Duration::from_secs(5));
    }

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn output_longer_than_a_pipe_is_captured() {
        let mut command = shell("yes | head -c 200000; echo refused >&2; exit 3");
        let captured = capture_within(&mut command, Duration::from_secs(60)).unwrap();
        assert_eq!(captured.status.and_then(|status| status.code()), Some(3));
        assert_eq!((captured.stdout.len(), captured.stderr.as_slice()), (200_000, b"refused\n".as_slice()));
    }

    #[test]
    fn who_holds_the_pipe_after_the_end_is_not_waited_for() {
        let started = Instant::now();
        let captured = capture_within(&mut shell("echo done; sleep 20 &"), Duration::from_secs(60)).unwrap();
        assert!(captured.status.is_some_and(|status| status.success()));
        assert_eq!(captured.stdout, b"done\n");
        assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    }

    #[test]
    fn at_the_bound_all_that_was_started_is_killed() {
        let mut command = shell("trap '' TERM; setsid sleep 60 & echo $!; wait");
        let captured = capture_within(&mut command, Duration::from_secs(3)).unwrap();
        assert!(captured.status.is_none());
        let id: i32 = String::from_utf8(captured.stdout).unwrap().trim().parse().unwrap();
        // Whoever adopts it may take a moment to reap it; a zombie has no environment.
        let environment = std::fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
        assert!(environment.is_empty(), "process {id} is left");
    }

    #[test]
    fn nothing_is_found_for_another_run() {
        assert!(sweep("1-1", Duration::ZERO).is_empty());
    }
}
