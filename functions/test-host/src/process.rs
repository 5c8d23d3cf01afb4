//! A function's process and its log.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::PATIENCE;

/// The program, with nothing of this process's environment, in a process group of its own.
pub fn clean(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A running process and its log. It is killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: Receiver<String>,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    /// Starts a command of [`clean`].
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::inherit()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (line, log) = channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|text| line.send(text)));
        Self { child, log }
    }

    /// The first log line that `is` accepts.
    pub fn line(&self, is: impl Fn(&Value) -> bool) -> Value {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let left = give_up.saturating_duration_since(Instant::now());
            let text = self.log.recv_timeout(left).expect("a log line in time");
            let line: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("not a JSON line: {text}"));
            if is(&line) {
                return line;
            }
        }
    }

    /// Every line until the process has ended.
    pub fn rest(&self) -> Vec<String> {
        let give_up = Instant::now() + PATIENCE;
        let mut lines = Vec::new();
        while let Ok(line) = self.log.recv_timeout(give_up.saturating_duration_since(Instant::now())) {
            lines.push(line);
        }
        lines
    }

    /// Its resident memory in KiB.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// How it ended; waits for that.
    pub fn ended(&mut self) -> ExitStatus {
        let give_up = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < give_up, "the process does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
