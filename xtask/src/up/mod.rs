//! `cargo xtask up`: the laptop. Brokers, the producer's HTTP API, the consumer behind the event source mapping.

mod child_output;
mod functions;
mod instance_lock;
mod mapping_file;
mod options;
mod port;
mod servers;
mod topics;

pub(crate) use instance_lock::{log_path, running_id};
pub(crate) use options::{ClusterKind, Options};

use std::fs::File;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::sync::mpsc;
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;

use crate::process::{self, Supervised};
use crate::stop;
use crate::tools::CargoLambda;
use crate::{members, needs, workspace};
use child_output::{OutputLine, Printer};
use instance_lock::InstanceLock;
use mapping_file::FileMapping;
use servers::Ready;

/// How often to check whether a child has ended or the user wants to stop.
const TICK: Duration = Duration::from_millis(100);
/// How long to read the last lines of a child that has ended, while the others keep printing.
const LAST_LINES: Duration = Duration::from_secs(1);
/// How long each child may take to end by itself.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Starts everything, prints a line for each consumed record, and runs until Ctrl-C.
pub(crate) fn run(options: &Options) -> Result<()> {
    stop::listen()?;
    options.check()?;
    needs::require(options.needs())?;
    // What the files say is known once `msk-local` is built.
    let options = if options.config.is_empty() { resolved(options, Vec::new())? } else { options.clone() };
    // What a killed `up` left behind may still use the port, so the lock comes first.
    let lock = InstanceLock::acquire(options.port)?;
    port::check(options.port)?;
    let result = start_and_serve(&options);
    process::sweep(&process::RUN_ID, STOP_TIMEOUT);
    drop(lock);
    match result {
        // A step that was interrupted by Ctrl-C, such as an installation, failed because of it.
        Err(error) if error.is::<stop::Stopped>() || stop::requested() => {
            println!("stopped; nothing is left running");
            Ok(())
        }
        result => result,
    }
}

fn resolved(options: &Options, mappings: Vec<FileMapping>) -> Result<Options> {
    options.resolved(&members::consumers()?, mappings)
}

/// With what the files of `--config` say.
fn with_files(options: &Options) -> Result<Options> {
    if options.config.is_empty() {
        return Ok(options.clone());
    }
    build(&["build", "--bin", "msk-local"])?;
    let own_cluster = options.bootstrap_servers.is_some();
    let mappings = options.config.iter().map(|file| file.read(own_cluster)).collect::<Result<_>>()?;
    resolved(options, mappings)
}

/// Everything that runs, in the order in which it was started.
struct Laptop {
    children: Vec<Supervised>,
    sender: mpsc::Sender<OutputLine>,
    lines: mpsc::Receiver<OutputLine>,
    printer: Printer,
    /// When the children were last checked.
    checked: Instant,
}

fn start_and_serve(options: &Options) -> Result<()> {
    let started = Instant::now();
    let cargo_lambda = CargoLambda::for_watch()?;
    stop::check()?;
    let options = &with_files(options)?;
    build(&build_arguments(options.kafka, &options.consumers))?;
    let log_path = log_path()?;
    let log = File::create(&log_path).with_context(|| format!("cannot create {}", log_path.display()))?;
    let (sender, lines) = mpsc::channel();
    let mut laptop =
        Laptop { children: Vec::new(), sender, lines, printer: Printer::new(log), checked: Instant::now() };
    let chaos_seed = options.chaos_seed();
    let result = laptop.start(options, &cargo_lambda, chaos_seed).and_then(|brokers| {
        announce(options, &brokers, chaos_seed, started.elapsed(), &log_path);
        laptop.serve()
    });
    laptop.stop();
    result
}

/// Prints what runs where, and a command to try.
fn announce(options: &Options, brokers: &Ready, chaos_seed: Option<u64>, took: Duration, log_path: &Path) {
    println!("\nready in {:.1} s", took.as_secs_f64());
    println!("  brokers   {}", brokers.bootstrap_servers);
    if let Some(note) = &brokers.note {
        println!("            {note}");
    }
    println!("  API       http://127.0.0.1:{}  (topics: {})", options.port, options.topic_names().join(", "));
    match options.consumers.as_slice() {
        [_] => println!("  consumer  fed by the local event source mapping; edit functions/ and it reloads"),
        all => {
            println!("  consumers {}, each fed by mappings of its own; edit functions/ and they reload", all.join(", "))
        }
    }
    for FileMapping { path, consumer, topic, .. } in &options.mappings {
        println!("  mapping   {topic} -> {consumer}, of {}", path.display());
    }
    if let Some(seed) = chaos_seed {
        println!("  chaos     from the first record on, at seed {seed}; the same again: --chaos --seed {seed}");
    }
    println!("  log       {}", log_path.strip_prefix(workspace::root()).unwrap_or(log_path).display());
    println!("\nTry it (Ctrl-C stops everything):\n\n  {}\n", functions::curl(options.port));
}

impl Laptop {
    /// Starts the brokers, the event source mapping and the functions, and waits until they are ready.
    fn start(&mut self, options: &Options, cargo_lambda: &CargoLambda, chaos_seed: Option<u64>) -> Result<Ready> {
        let real = match options.kafka {
            ClusterKind::Real => Some(self.start_until_ready(servers::real(options))?),
            ClusterKind::Embedded => None,
        };
        let servers = real.as_ref().map(Ready::for_mapping).or(options.bootstrap_servers.as_deref());
        match servers {
            Some(_) => println!("starting the event source mapping ..."),
            None => println!("starting the brokers and the event source mapping ..."),
        }
        let started = match (servers::mappings(options, servers, chaos_seed), servers) {
            (Some(server), _) => self.start_until_ready(server)?,
            (None, servers) => Ready::brokers_at(servers.unwrap_or_default()),
        };
        for mapping in &options.mappings {
            self.start_until_ready(servers::mapping_of_file(options, mapping, &started.bootstrap_servers))?;
        }
        println!("starting the functions ...");
        let policies = topics::policies(&options.topics, &started.compacted);
        let brokers = real.unwrap_or(started);
        let mut watch = functions::start(cargo_lambda, options, &policies, &brokers)?;
        child_output::forward(&mut watch, &self.sender)?;
        self.children.push(watch);
        self.warm(options)?;
        Ok(brokers)
    }

    fn start_until_ready(&mut self, mut server: servers::Server) -> Result<Ready> {
        let mut process = Supervised::spawn(server.name, &mut server.command)?;
        child_output::forward(&mut process, &self.sender)?;
        self.children.push(process);
        let deadline = Instant::now() + server.timeout;
        while Instant::now() < deadline {
            if let Some(line) = self.next_line()?
                && let Some(ready) = servers::ready_line(&line, server.name)
            {
                return Ok(ready);
            }
        }
        bail!("{} was not ready within {} s; its lines are above", server.name, server.timeout.as_secs())
    }

    /// `watch` starts a function when it is first invoked: waits until all have answered.
    fn warm(&mut self, options: &Options) -> Result<()> {
        let functions = functions::warm(options.port, &options.consumers);
        while !functions.iter().all(JoinHandle::is_finished) {
            self.next_line()?;
        }
        for function in functions {
            if let Err(message) = function.join().unwrap_or_else(|_| Err("its thread panicked".to_owned())) {
                bail!("{message}");
            }
        }
        Ok(())
    }

    /// Prints the children's lines until the user stops it or a child ends.
    fn serve(&mut self) -> Result<()> {
        loop {
            self.next_line()?;
        }
    }

    /// Prints and returns the next line, if one comes within a tick. An error once the user wants to stop, or a child
    /// has ended.
    fn next_line(&mut self) -> Result<Option<OutputLine>> {
        stop::check()?;
        let line = self.lines.recv_timeout(TICK).ok();
        if let Some(line) = &line {
            self.printer.print(line);
        }
        // Even if there was a line: under load there always is one.
        if self.checked.elapsed() >= TICK {
            self.check_children()?;
        }
        Ok(line)
    }

    /// An error when a child has ended.
    fn check_children(&mut self) -> Result<()> {
        self.checked = Instant::now();
        let ended = self.children.iter_mut().find_map(|child| Some((child.name(), child.ended()?)));
        let Some((name, status)) = ended else { return Ok(()) };
        let deadline = Instant::now() + LAST_LINES;
        while Instant::now() < deadline
            && let Ok(line) = self.lines.recv_timeout(TICK)
        {
            self.printer.print(&line);
        }
        stop::check()?;
        bail!("{name} ended by itself with {status}; its last lines are above");
    }

    /// The functions first, so that the brokers are still there for the mapping's last commits and the producer's flush.
    fn stop(&mut self) {
        for child in self.children.iter_mut().rev() {
            // The signal that Ctrl-C at the terminal would send if they were in its process group.
            child.signal(Signal::SIGINT);
            child.wait_or_kill(Instant::now() + STOP_TIMEOUT);
        }
    }
}

/// Builds what `up` runs. The selection of packages is that of `cargo run --bin ...` at the root, which `cargo lambda
/// watch` uses: with the same features, nothing is compiled twice.
fn build(arguments: &[&str]) -> Result<()> {
    fetch_crates()?;
    let mut cargo = process::cargo(arguments);
    cargo.arg("--locked");
    println!("building (the first time takes minutes, because librdkafka is compiled) ...");
    let status = wait_for_end(Supervised::spawn("cargo build", &mut cargo)?)?;
    if !status.success() {
        bail!("the build failed; see the messages above");
    }
    Ok(())
}

/// The arguments of the cargo command that builds.
pub(crate) fn build_arguments(kafka: ClusterKind, consumers: &[String]) -> Vec<&str> {
    let brokers = ["msk-e2e-brokers"].into_iter().filter(|_| kafka == ClusterKind::Real);
    let programs = ["producer", "msk-local"].into_iter().chain(brokers).chain(consumers.iter().map(String::as_str));
    std::iter::once("build").chain(programs.flat_map(|program| ["--bin", program])).collect()
}

/// Downloads the crates unless all are available.
fn fetch_crates() -> Result<()> {
    let version = process::capture(Command::new("rustc").arg("-vV"))?;
    let platform = version.lines().find_map(|line| line.strip_prefix("host: ")).context("`rustc -vV` names no host")?;
    let arguments = ["metadata", "--locked", "--format-version", "1", "--offline", "--filter-platform", platform];
    if process::capture(&mut process::cargo(&arguments)).is_ok() {
        return Ok(());
    }
    println!("downloading crates (once) ...");
    let mut cargo = process::cargo(&["fetch", "--locked", "--target", platform]);
    let status = wait_for_end(Supervised::spawn("cargo fetch", &mut cargo)?)?;
    if !status.success() {
        bail!(
            "cannot download the crates. The first run needs the network, later runs do not: connect, and run this \
             again"
        );
    }
    Ok(())
}

/// Waits until a child ends or the user wants to stop.
fn wait_for_end(mut child: Supervised) -> Result<ExitStatus> {
    loop {
        if let Some(status) = child.ended() {
            stop::check()?;
            return Ok(status);
        }
        stop::check()?;
        sleep(TICK);
    }
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;
    use std::thread;

    use super::*;

    /// Steady load: a line always waits, and yet the end of a child is seen.
    #[test]
    fn a_child_that_ended_is_reported_while_others_never_pause() {
        let (sender, lines) = mpsc::channel();
        let printer = Printer::new(tempfile::tempfile().unwrap());
        let mut laptop = Laptop { children: Vec::new(), sender, lines, printer, checked: Instant::now() };
        for (name, script) in [("busy", "while :; do echo '{}'; sleep 0.01; done"), ("brief", "exit 3")] {
            let mut command = Command::new("sh");
            command.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = Supervised::spawn(name, &mut command).unwrap();
            child_output::forward(&mut child, &laptop.sender).unwrap();
            laptop.children.push(child);
        }
        let (done, error) = mpsc::channel();
        thread::spawn(move || done.send(laptop.serve().unwrap_err().to_string()));
        let error = error.recv_timeout(Duration::from_secs(20)).unwrap();
        assert!(error.starts_with("brief ended by itself with exit status: 3"), "{error}");
    }
}
