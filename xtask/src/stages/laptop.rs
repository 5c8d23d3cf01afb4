//! Part of stage `e2e`: `cargo xtask up` as a newcomer uses it.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::process::{self, Supervised};
use crate::up;

/// The first start compiles the functions.
const READY_PATIENCE: Duration = Duration::from_secs(30 * 60);
/// From the answer to the line of the consumed record.
const CONSUMED_PATIENCE: Duration = Duration::from_secs(2);
/// From Ctrl-C to the end.
const STOP_PATIENCE: Duration = Duration::from_secs(15);

/// Starts `up`, runs the line that it prints, waits for the record's line, and stops it with Ctrl-C.
pub(super) fn run() -> Result<()> {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let mut command = Command::new(this_program()?);
    command.args(["up", "--port", &port.to_string()]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut laptop = Supervised::spawn("cargo xtask up", &mut command)?;
    let lines = lines_of(&mut laptop)?;
    let tried = try_it(&lines).and_then(|()| up::running_id().context("`up` wrote down no run id"));
    laptop.signal(Signal::SIGINT);
    laptop.wait_or_kill(Instant::now() + STOP_PATIENCE);
    let run_id = tried?;
    ensure!(laptop.ended().is_some_and(|status| status.success()), "`up` ended with {:?}", laptop.ended());
    let left = process::sweep(&run_id, Duration::ZERO);
    ensure!(left.is_empty(), "Ctrl-C left processes behind: {left:?}");
    ensure!(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok(), "port {port} is still in use");
    Ok(())
}

/// The line that `up` prints works, and its record is consumed.
fn try_it(lines: &Receiver<String>) -> Result<()> {
    let curl = wait_for(lines, READY_PATIENCE, |line| line.trim_start().starts_with("curl "))
        .context("`cargo xtask up` printed no curl line")?;
    let answer = process::capture(Command::new("sh").args(["-c", curl.trim()]))?;
    let answered = Instant::now();
    let answer: Value = serde_json::from_str(&answer).with_context(|| format!("the answer is no JSON: {answer}"))?;
    let (topic, partition, offset) =
        (answer["topic"].as_str(), answer["partition"].as_i64(), answer["offset"].as_i64());
    let (Some(topic), Some(partition), Some(offset)) = (topic, partition, offset) else {
        bail!("the answer names no place: {answer}");
    };
    let place = format!("{topic}  partition {partition}  offset {offset}");
    wait_for(lines, CONSUMED_PATIENCE, |line| line.contains(&place))
        .with_context(|| format!("no line for {place} within {CONSUMED_PATIENCE:?}"))?;
    println!("the record's line came {:.0?} after its acknowledgement", answered.elapsed());
    refuses_a_second_one()
}

/// The running program, even after cargo has put a newer one in its place: `current_exe` would name a deleted file.
fn this_program() -> Result<PathBuf> {
    let running = Path::new("/proc/self/exe");
    Ok(if running.exists() { running.to_path_buf() } else { std::env::current_exe()? })
}

/// A second `up` says who runs, and ends.
fn refuses_a_second_one() -> Result<()> {
    let output = Command::new(this_program()?).arg("up").stdin(Stdio::null()).output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success() && text.contains("already runs"), "a second `up` said: {text}");
    Ok(())
}

/// The child's lines; they are shown as they come.
fn lines_of(laptop: &mut Supervised) -> Result<Receiver<String>> {
    let stdout = laptop.child().stdout.take().context("standard output is a pipe")?;
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            println!("  up: {line}");
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    Ok(lines)
}

/// The first line that is wanted; `None` when it does not come in time, or `up` ended.
fn wait_for(lines: &Receiver<String>, patience: Duration, wanted: impl Fn(&str) -> bool) -> Option<String> {
    let deadline = Instant::now() + patience;
    loop {
        let line = lines.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()?;
        if wanted(&line) {
            return Some(line);
        }
    }
}
