//! Part of stages `e2e` and `rig`: `cargo xtask up` as a newcomer uses it.

mod real_brokers;
mod reloading;

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::process::{self, Supervised};
use crate::up;
use crate::workspace;

pub(super) use real_brokers::run_on_real_brokers;

use super::watch;

/// The first start compiles the functions.
const READY_PATIENCE: Duration = Duration::from_secs(30 * 60);
/// From the response to the line of the consumed record.
const CONSUMED_PATIENCE: Duration = Duration::from_secs(2);
/// From Ctrl-C to the end: functions, mapping and brokers have 5 s each.
const STOP_PATIENCE: Duration = Duration::from_secs(20);
/// How long a refusal may take: the slowest one creates a virtual environment first, in some 10 s of idle cores.
const REFUSAL_PATIENCE: Duration = Duration::from_secs(240);
/// For a request, including one that arrives while its function starts.
const ANSWER_PATIENCE: Duration = Duration::from_secs(60);

/// What `up` prints about the processes that a killed one left behind.
const LEFTOVERS_ENDED: &str = "was killed and left processes behind; ended them";

/// `up` with embedded brokers, and what it reports if it cannot start.
pub(super) fn run() -> Result<()> {
    refuses_a_busy_port()?;
    needs_the_network_once()?;
    let mut laptop = Laptop::start(&[], free_port()?)?;
    laptop.try_it()?;
    refuses_a_second_one()?;
    let killed = laptop.kill()?;
    // On the same port, which the functions of the killed one still use.
    let mut next = Laptop::start(&[], killed.port)?;
    ensure!(next.said(LEFTOVERS_ENDED), "`up` after a killed one did not say that it ended its leftovers");
    ensure!(process::sweep(&killed.run_id, Duration::ZERO).is_empty(), "processes of the killed `up` were left");
    next.try_it()?;
    watch::run(next.brokers()?, free_port()?)?;
    let saved = next.reloads_functions()?;
    next.stop()?;
    // Otherwise the later stages would rebuild these functions.
    saved.into_iter().try_for_each(|saved| saved.undo())
}

/// `up` whose brokers make faults, each with a line. What is answered meanwhile is judged by the test of the API.
pub(super) fn run_with_chaos() -> Result<()> {
    let mut laptop = Laptop::start(&["--chaos", "--seed", "7"], free_port()?)?;
    ensure!(laptop.said("--chaos --seed 7"), "`up --chaos` did not say how its faults can be had again");
    // A fifth of the requests meets a fault.
    for _ in 0..50 {
        // A fault may make it an error, or late.
        let _ = laptop.is_consumed_in_time();
        if laptop.seen.iter().any(|line| line.starts_with("chaos  ")) {
            return laptop.stop();
        }
    }
    bail!("`up --chaos` had no line about a fault")
}

/// `up` with two consumers: each has every record of `orders`, from a mapping of its own; that of the second one is a file.
pub(super) fn run_with_consumer(name: &str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("mapping.yaml");
    // As it is deployed, where functions have other names.
    let mapping = "FunctionName: shop-second\nTopics: [orders]\nStartingPosition: TRIM_HORIZON\nBatchSize: 7\n\
                   FunctionResponseTypes: [ReportBatchItemFailures]\nProvisionedPollerConfig: {MinimumPollers: 1}\n";
    std::fs::write(&file, mapping)?;
    let (file, consumers) = (format!("{name}={}", file.display()), format!("consumer,{name}"));
    let mut laptop = Laptop::start(&["--consumers", &consumers, "--config", &file], free_port()?)?;
    laptop.try_it()?;
    let by_it = format!("  by {name}");
    let consumed = |line: &str| line.starts_with("consumed  orders") && line.ends_with(&by_it);
    let both = laptop.seen.iter().any(|line| consumed(line)) || laptop.wait_for(CONSUMED_PATIENCE, consumed).is_some();
    ensure!(both, "there was no line for a record that {name} consumed");
    laptop.tells_of_a_broken_build(name)?;
    laptop.stop()
}

/// What is known about an `up` that was killed.
struct Killed {
    run_id: String,
    port: u16,
    folder: tempfile::TempDir,
}

/// The process of an `up`. A failing test ends it as a user would, so that it ends everything it has started.
struct Up(Supervised);

impl Drop for Up {
    fn drop(&mut self) {
        self.0.signal(Signal::SIGINT);
        self.0.wait_or_kill(Instant::now() + STOP_PATIENCE);
    }
}

/// A running `up`.
struct Laptop {
    process: Up,
    lines: Receiver<String>,
    seen: Vec<String>,
    curl: String,
    port: u16,
    /// The folder where it and its children put temporary files.
    folder: tempfile::TempDir,
}

impl Laptop {
    /// Starts `up` and waits for the `curl` line.
    fn start(arguments: &[&str], port: u16) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut command = up(&["--port", &port.to_string()])?;
        command.args(arguments).env("TMPDIR", folder.path()).stdout(Stdio::piped());
        let mut process = Supervised::spawn("cargo xtask up", &mut command)?;
        let lines = lines_of(&mut process)?;
        let mut laptop = Self { process: Up(process), lines, seen: Vec::new(), curl: String::new(), port, folder };
        laptop.curl = laptop
            .wait_for(READY_PATIENCE, |line| line.trim_start().starts_with("curl "))
            .context("`cargo xtask up` did not print a curl line")?;
        Ok(laptop)
    }

    /// Runs the `curl` line that `up` prints and checks that the record is consumed.
    fn try_it(&mut self) -> Result<()> {
        // A second attempt, in case the machine stalls for a moment.
        let in_time = self.is_consumed_in_time()? || self.is_consumed_in_time()?;
        ensure!(in_time, "twice there was no line for a record within {CONSUMED_PATIENCE:?} of its acknowledgement");
        Ok(())
    }

    /// Runs the `curl` line; the answer.
    fn ask(&self) -> Result<Value> {
        let answer = process::capture_within(Command::new("sh").args(["-c", self.curl.trim()]), ANSWER_PATIENCE)
            .context("cannot run the curl line")?;
        ensure!(answer.status.is_some(), "no answer within {ANSWER_PATIENCE:?}");
        let answer = String::from_utf8_lossy(&answer.stdout);
        serde_json::from_str(&answer).with_context(|| format!("the response is not JSON: {answer}"))
    }

    fn is_consumed_in_time(&mut self) -> Result<bool> {
        let answer = self.ask()?;
        let answered = Instant::now();
        let (topic, partition, offset) =
            (answer["topic"].as_str(), answer["partition"].as_i64(), answer["offset"].as_i64());
        let (Some(topic), Some(partition), Some(offset)) = (topic, partition, offset) else {
            bail!("the response has no topic, partition and offset: {answer}");
        };
        let place = format!("{topic}  partition {partition}  offset {offset}");
        let in_time = self.wait_for(CONSUMED_PATIENCE, |line| line.contains(&place)).is_some();
        let what = if in_time { "the record's line appeared" } else { "there was no line for the record" };
        println!("{what} {:.0?} after its acknowledgement", answered.elapsed());
        Ok(in_time)
    }

    /// The addresses of its brokers.
    fn brokers(&self) -> Result<&str> {
        let line = self.seen.iter().find_map(|line| line.trim_start().strip_prefix("brokers "));
        line.map(str::trim).context("`up` did not say where its brokers are")
    }

    /// Sends Ctrl-C and checks that it ends successfully and leaves nothing behind.
    fn stop(mut self) -> Result<()> {
        let run_id = up::running_id().context("`up` did not record a run id")?;
        self.process.0.signal(Signal::SIGINT);
        self.process.0.wait_or_kill(Instant::now() + STOP_PATIENCE);
        let status = self.process.0.ended();
        ensure!(status.is_some_and(|status| status.success()), "`up` ended with {status:?}");
        let left = process::sweep(&run_id, Duration::ZERO);
        ensure!(left.is_empty(), "Ctrl-C left processes behind: {left:?}");
        ensure!(TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).is_ok(), "port {} is still in use", self.port);
        let left = data_folders(&self.folder)?;
        ensure!(left.is_empty(), "Ctrl-C left folders behind: {left:?}");
        Ok(())
    }

    /// Kills it with SIGKILL.
    fn kill(mut self) -> Result<Killed> {
        let run_id = up::running_id().context("`up` did not record a run id")?;
        self.process.0.signal(Signal::SIGKILL);
        self.process.0.wait_or_kill(Instant::now() + STOP_PATIENCE);
        Ok(Killed { run_id, port: self.port, folder: self.folder })
    }

    /// The first line that is wanted; `None` if it does not appear in time, or `up` ends.
    fn wait_for(&mut self, patience: Duration, wanted: impl Fn(&str) -> bool) -> Option<String> {
        let deadline = Instant::now() + patience;
        loop {
            let line = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()?;
            self.seen.push(line.clone());
            if wanted(&line) {
                return Some(line);
            }
        }
    }

    /// Whether any line so far has these words.
    fn said(&self, words: &str) -> bool {
        self.seen.iter().any(|line| line.contains(words))
    }
}

/// The folders with brokers' data.
fn data_folders(parent: &tempfile::TempDir) -> Result<Vec<OsString>> {
    let path = parent.path();
    let entries = std::fs::read_dir(path).with_context(|| format!("cannot look into {}", path.display()))?;
    let names = entries.flatten().map(|entry| entry.file_name());
    Ok(names.filter(|name| name.to_string_lossy().starts_with("msk-e2e-")).collect())
}

/// `cargo xtask up` as a direct command, without cargo.
fn up(arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(workspace::this_program()?);
    command.arg("up").args(arguments).stdin(Stdio::null());
    Ok(command)
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// A second `up` reports the one that is running, and ends.
fn refuses_a_second_one() -> Result<()> {
    refused(&mut up(&[])?, &["already running", "Ctrl-C"])
}

/// `up` reports a port that is in use, and what to do.
fn refuses_a_busy_port() -> Result<()> {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = taken.local_addr()?.port().to_string();
    refused(&mut up(&["--port", &port])?, &[&format!("port {port} is in use"), "--port"])
}

/// The first run downloads tools and crates; if it cannot, it says so.
fn needs_the_network_once() -> Result<()> {
    let empty = tempfile::tempdir()?;
    // Nothing listens on port 1 of loopback.
    let mut without_tools = up(&["--port", &free_port()?.to_string()])?;
    without_tools.env("CARGO_TARGET_DIR", empty.path()).env("PATH", path_without("cargo-lambda")?);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PIP_")) {
        without_tools.env_remove(name);
    }
    without_tools.env("PIP_CONFIG_FILE", "/dev/null").env("PIP_INDEX_URL", "http://127.0.0.1:1/simple");
    // It would ask that port five times, with pauses.
    without_tools.env("PIP_RETRIES", "0");
    refused(&mut without_tools, &["cannot install cargo-lambda", "The first run needs the network"])?;

    let mut without_crates = up(&["--port", &free_port()?.to_string()])?;
    without_crates.env("CARGO_HOME", empty.path()).env("CARGO_HTTP_PROXY", "127.0.0.1:1").env("CARGO_NET_RETRY", "0");
    refused(&mut without_crates, &["cannot download the crates", "The first run needs the network"])
}

/// The `PATH` without the folders that have this program.
fn path_without(program: &str) -> Result<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).filter(|folder| !folder.join(program).exists());
    std::env::join_paths(folders).context("the PATH has a folder that cannot be joined")
}

/// Checks that the command fails by itself, with an error that has these words.
fn refused(command: &mut Command, words: &[&str]) -> Result<()> {
    let started = Instant::now();
    let mut process = Supervised::spawn("cargo xtask up", command.stdout(Stdio::null()).stderr(Stdio::piped()))?;
    let stderr = process.child().stderr.take().context("standard error is a pipe")?;
    // In a thread, because a child that does not end keeps the pipe open.
    let reader = std::thread::spawn(move || std::io::read_to_string(stderr));
    process.wait_or_kill(started + REFUSAL_PATIENCE);
    let status = process.ended().context("it has ended")?;
    let text = reader.join().map_err(|_| anyhow::anyhow!("the reader panicked"))??;
    ensure!(status.code() == Some(1), "`up` ended with {status} after {:.1?}, and printed: {text}", started.elapsed());
    let missing = words.iter().find(|words| !text.contains(**words));
    ensure!(missing.is_none(), "`up` did not print {missing:?}, but: {text}");
    println!("refused in {:.1?}: {}", started.elapsed(), text.trim());
    Ok(())
}

/// The child's lines, which are also printed as they arrive.
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
