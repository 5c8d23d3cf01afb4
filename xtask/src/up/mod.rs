//! `cargo xtask up`: the laptop. Brokers, the producer's HTTP API, the consumer behind the event source mapping.

mod functions;
mod http;
mod kafka;
mod lines;
mod session;
mod topics;

pub(crate) use session::{log_path, running_id};

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;

use crate::process::{self, Supervised};
use crate::stop;
use crate::tools::CargoLambda;
use crate::{needs, workspace};
use kafka::Ready;
use lines::{Line, Printer};

/// How often the main loop looks whether a child ended or the user wants to stop.
const TICK: Duration = Duration::from_millis(100);
/// How long the last lines of a child that ended are waited for, when the others' never pause.
const LAST_LINES: Duration = Duration::from_secs(1);
/// How long each child has to end by itself.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// Options of `cargo xtask up`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// Port of the HTTP API, on 127.0.0.1.
    #[arg(long, default_value_t = 9000, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// Which brokers to start; all of their data is gone at the end.
    #[arg(long, value_enum, default_value = "embedded", conflicts_with = "bootstrap_servers")]
    kafka: Kafka,
    /// A cluster of yours, `host:port,...`, and no brokers here. `KAFKA_*` and `DEAD_LETTER` are passed on to the
    /// functions; `KAFKA_AUTH` is `none` unless set. The topics must exist.
    #[arg(long, value_name = "HOST:PORT,...")]
    bootstrap_servers: Option<String>,
    /// Topics to serve, `NAME` or `NAME:PARTITIONS`; the first is the default one.
    #[arg(long, value_name = "TOPIC,...", value_delimiter = ',', default_value = "orders,payments,audit",
        value_parser = topics::parse)]
    topics: Vec<String>,
    /// With `--bootstrap-servers`: a librdkafka property for the event source mapping, when your cluster needs more
    /// than an address; repeatable.
    #[arg(long, value_name = "NAME=VALUE", requires = "bootstrap_servers")]
    kafka_option: Vec<String>,
}

impl Options {
    fn topic_names(&self) -> Vec<&str> {
        self.topics.iter().map(|topic| topics::name(topic)).collect()
    }

    /// The brokers are started here, and not somebody else's.
    fn starts_brokers(&self) -> bool {
        self.bootstrap_servers.is_none()
    }

    /// What the machine must have.
    fn needs(&self) -> impl Iterator<Item = needs::Need> {
        let real = [needs::JAVA, needs::MAVEN].into_iter().filter(|_| self.kafka == Kafka::Real);
        [needs::NATIVE_BUILD, needs::PYTHON_VENV].into_iter().chain(real)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kafka {
    /// Three brokers in one process: in memory, there in a second.
    Embedded,
    /// Three Apache Kafka brokers and a controller: replicated, leaders move. Needs Java 17 and Maven, and 2 GB.
    Real,
}

/// Starts everything, prints a line per consumed record, and ends when the user says so.
pub(crate) fn run(options: &Options) -> Result<()> {
    stop::listen()?;
    needs::require(options.needs())?;
    let options = Options { topics: topics::distinct(&options.topics), ..options.clone() };
    let session = session::Session::claim(options.port)?;
    let result = start_and_serve(&options);
    process::sweep(&process::RUN_ID, STOP_PATIENCE);
    drop(session);
    match result {
        // A step that Ctrl-C ended, such as an installation, failed because of it.
        Err(error) if error.is::<stop::Stopped>() || stop::requested() => {
            println!("stopped; nothing is left running");
            Ok(())
        }
        result => result,
    }
}

/// Everything that runs, in the order in which it was started.
struct Laptop {
    children: Vec<Supervised>,
    sender: mpsc::Sender<Line>,
    lines: mpsc::Receiver<Line>,
    printer: Printer,
    /// When the children were last looked at.
    looked: Instant,
}

fn start_and_serve(options: &Options) -> Result<()> {
    let started = Instant::now();
    let cargo_lambda = CargoLambda::for_watch()?;
    stop::check()?;
    build(options.kafka)?;
    let log_path = log_path()?;
    let log = File::create(&log_path).with_context(|| format!("cannot create {}", log_path.display()))?;
    let (sender, lines) = mpsc::channel();
    let mut laptop = Laptop { children: Vec::new(), sender, lines, printer: Printer::new(log), looked: Instant::now() };
    let result = laptop.start(options, &cargo_lambda).and_then(|brokers| {
        announce(options, &brokers, started.elapsed(), &log_path);
        laptop.serve()
    });
    laptop.stop();
    result
}

/// What runs where, and the line to try.
fn announce(options: &Options, brokers: &Ready, took: Duration, log_path: &Path) {
    println!("\nready in {:.1} s", took.as_secs_f64());
    println!("  brokers   {}", brokers.bootstrap_servers);
    if let Some(note) = &brokers.note {
        println!("            {note}");
    }
    println!("  API       http://127.0.0.1:{}  (topics: {})", options.port, options.topic_names().join(", "));
    println!("  consumer  fed by the local event source mapping; edit functions/ and it reloads");
    println!("  log       {}", log_path.strip_prefix(workspace::root()).unwrap_or(log_path).display());
    println!("\nTry it (Ctrl-C stops everything):\n\n  {}\n", functions::curl(options.port));
}

impl Laptop {
    /// Starts the brokers, the event source mapping and the functions, and waits until they are ready.
    fn start(&mut self, options: &Options, cargo_lambda: &CargoLambda) -> Result<Ready> {
        let real = match options.kafka {
            Kafka::Real => Some(self.start_until_ready(kafka::real(options))?),
            Kafka::Embedded => None,
        };
        let servers = real.as_ref().map(|ready| &ready.bootstrap_servers).or(options.bootstrap_servers.as_ref());
        match servers {
            Some(_) => println!("starting the event source mapping ..."),
            None => println!("starting the brokers and the event source mapping ..."),
        }
        let mapping = self.start_until_ready(kafka::mapping(options, servers.map(String::as_str)))?;
        let brokers = real.unwrap_or(mapping);
        println!("starting the functions ...");
        let mut watch = functions::start(cargo_lambda, options, &brokers.bootstrap_servers)?;
        lines::forward(&mut watch, &self.sender)?;
        self.children.push(watch);
        self.warm(options.port)?;
        Ok(brokers)
    }

    fn start_until_ready(&mut self, mut server: kafka::Server) -> Result<Ready> {
        let mut process = Supervised::spawn(server.name, &mut server.command)?;
        lines::forward(&mut process, &self.sender)?;
        self.children.push(process);
        let deadline = Instant::now() + server.patience;
        while Instant::now() < deadline {
            if let Some(line) = self.next_line()?
                && let Some(ready) = kafka::ready_line(&line, server.name)
            {
                return Ok(ready);
            }
        }
        bail!("{} did not say within {} s that its brokers are ready", server.name, server.patience.as_secs())
    }

    /// `watch` starts a function when it is first invoked: waits until both have answered.
    fn warm(&mut self, port: u16) -> Result<()> {
        let functions = functions::warm(port);
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

    /// Prints what happens until the user stops it or a child ends.
    fn serve(&mut self) -> Result<()> {
        loop {
            self.next_line()?;
        }
    }

    /// The next line, printed already, if one comes within a tick. An error once the user wants to stop, or a child has
    /// ended.
    fn next_line(&mut self) -> Result<Option<Line>> {
        stop::check()?;
        let line = self.lines.recv_timeout(TICK).ok();
        if let Some(line) = &line {
            self.printer.print(line);
        }
        // Under load there is always a line.
        if self.looked.elapsed() >= TICK {
            self.look()?;
        }
        Ok(line)
    }

    /// An error when a child has ended.
    fn look(&mut self) -> Result<()> {
        self.looked = Instant::now();
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

    /// The functions first, so that the mapping's last answers and the producer's flush still find brokers.
    fn stop(&mut self) {
        for child in self.children.iter_mut().rev() {
            // As Ctrl-C at the terminal would, had they been in its group.
            child.signal(Signal::SIGINT);
            child.wait_or_kill(Instant::now() + STOP_PATIENCE);
        }
    }
}

/// Builds what `up` runs. The selection of packages is that of `cargo run --bin ...` at the root, which `cargo lambda
/// watch` uses: the same features, so nothing is compiled twice.
fn build(kafka: Kafka) -> Result<()> {
    fetch_crates()?;
    let mut cargo = process::cargo(&build_arguments(kafka));
    cargo.arg("--locked");
    println!("building what runs here (the first time takes minutes: librdkafka is compiled) ...");
    let status = wait_for_end(Supervised::spawn("cargo build", &mut cargo)?)?;
    if !status.success() {
        bail!("the build failed; the messages above say why");
    }
    Ok(())
}

/// What cargo is told to build.
pub(crate) fn build_arguments(kafka: Kafka) -> Vec<&'static str> {
    let mut arguments = vec!["build", "--bin", "producer", "--bin", "consumer", "--bin", "msk-local"];
    if kafka == Kafka::Real {
        arguments.extend(["--bin", "msk-e2e-brokers"]);
    }
    arguments
}

/// Downloads the crates when they are not all there.
fn fetch_crates() -> Result<()> {
    let platform = workspace::host_platform()?;
    let arguments = ["metadata", "--locked", "--format-version", "1", "--offline", "--filter-platform", &platform];
    if process::capture(&mut process::cargo(&arguments)).is_ok() {
        return Ok(());
    }
    println!("downloading crates (once) ...");
    let mut cargo = process::cargo(&["fetch", "--locked", "--target", &platform]);
    let status = wait_for_end(Supervised::spawn("cargo fetch", &mut cargo)?)?;
    if !status.success() {
        bail!("cannot download the crates. The first run needs the network; after it, none is needed");
    }
    Ok(())
}

/// Waits for a child's end, or for the user's wish to stop.
fn wait_for_end(mut child: Supervised) -> Result<std::process::ExitStatus> {
    loop {
        if let Some(status) = child.ended() {
            stop::check()?;
            return Ok(status);
        }
        stop::check()?;
        sleep(TICK);
    }
}

/// A binary of the dev build.
fn dev_binary(name: &str) -> Command {
    let mut command = Command::new(workspace::target_dir().join("debug").join(name));
    command.current_dir(workspace::root());
    command
}

#[cfg(test)]
mod tests;
