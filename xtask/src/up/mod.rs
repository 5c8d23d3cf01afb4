//! `cargo xtask up`: the laptop. Brokers, the producer's HTTP API, the consumer behind the event source mapping.

mod functions;
mod http;
mod kafka;
mod lines;
mod session;

pub(crate) use session::running_id;

use std::fs::File;
use std::process::Command;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;

use crate::process::{self, Supervised};
use crate::stop;
use crate::tools::CargoLambda;
use crate::{needs, workspace};
use lines::{Line, Printer};

/// How often the main loop looks whether a child ended or the user wants to stop.
const TICK: Duration = Duration::from_millis(100);
/// How long the children have to end by themselves.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// Options of `cargo xtask up`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Port of the HTTP API, on 127.0.0.1.
    #[arg(long, default_value_t = 9000)]
    port: u16,
    /// Which brokers to start.
    #[arg(long, value_enum, default_value = "embedded", conflicts_with = "bootstrap_servers")]
    kafka: Kafka,
    /// A cluster of yours, `host:port,...`, and no brokers here. `KAFKA_*` and `DEAD_LETTER` are passed on to the
    /// functions; `KAFKA_AUTH` is `none` unless set. The topics must exist.
    #[arg(long, value_name = "HOST:PORT,...")]
    bootstrap_servers: Option<String>,
    /// Topics to serve, `NAME` or `NAME:PARTITIONS`; the first is the default one.
    #[arg(long, value_name = "TOPIC,...", value_delimiter = ',', default_value = "orders,payments,audit")]
    topics: Vec<String>,
    /// With `--bootstrap-servers`: a librdkafka property for the event source mapping, when your cluster needs more
    /// than an address; repeatable.
    #[arg(long, value_name = "NAME=VALUE", requires = "bootstrap_servers")]
    kafka_option: Vec<String>,
}

impl Options {
    fn topic_names(&self) -> Vec<&str> {
        self.topics.iter().map(|topic| kafka::name(topic)).collect()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kafka {
    /// Three brokers in one process: in memory, for trying things out.
    Embedded,
    /// Three Apache Kafka brokers (not built yet).
    Real,
}

/// Starts everything, prints a line per consumed record, and ends when the user says so.
pub(crate) fn run(options: &Options) -> Result<()> {
    if options.kafka == Kafka::Real {
        bail!(
            "`--kafka real` is not built yet. Use the embedded brokers (the default), or a cluster of your own: \
             `cargo xtask up --bootstrap-servers host:9092`"
        );
    }
    stop::listen()?;
    for need in [needs::NATIVE_BUILD, needs::PYTHON_VENV] {
        if let Some(problem) = (need.problem)() {
            bail!("{} is needed: {problem}. To install: {}", need.name, need.install);
        }
    }
    let session = session::Session::claim(options.port)?;
    let result = start_and_serve(options);
    process::sweep(&process::RUN_ID, STOP_PATIENCE);
    drop(session);
    match result {
        Err(error) if error.is::<stop::Stopped>() => {
            println!("stopped; nothing is left running");
            Ok(())
        }
        result => result,
    }
}

fn start_and_serve(options: &Options) -> Result<()> {
    let started = Instant::now();
    let cargo_lambda = CargoLambda::for_watch()?;
    stop::check()?;
    build()?;
    let log_path = session::state_dir()?.join("up.log");
    let log = File::create(&log_path).with_context(|| format!("cannot create {}", log_path.display()))?;
    let (sender, lines) = mpsc::channel();
    let mut printer = Printer::new(log);

    let mut kafka = kafka::start(options, &sender)?;
    println!("starting the brokers and the event source mapping ...");
    let brokers = kafka.ready(&lines, &mut printer)?;
    let mut watch = functions::start(&cargo_lambda, options, &brokers.bootstrap_servers, &sender)?;
    functions::warm(options.port, &mut watch, &lines, &mut printer)?;

    let shown_log = log_path.strip_prefix(workspace::root()).unwrap_or(&log_path);
    println!("\nready in {:.1} s", started.elapsed().as_secs_f64());
    println!("  brokers   {}", brokers.bootstrap_servers);
    if let Some(note) = &brokers.note {
        println!("            {note}");
    }
    println!("  API       http://127.0.0.1:{}  (topics: {})", options.port, options.topic_names().join(", "));
    println!("  consumer  fed by the local event source mapping; edit functions/ and it reloads");
    println!("  log       {}", shown_log.display());
    println!("\nTry it (Ctrl-C stops everything):\n\n  {}\n", functions::curl(options.port));
    let result = serve(&mut [&mut kafka.process, &mut watch], &lines, &mut printer);
    stop_both(&mut kafka.process, &mut watch);
    result
}

/// Prints what happens until the user stops it or a child ends.
fn serve(children: &mut [&mut Supervised], lines: &mpsc::Receiver<Line>, printer: &mut Printer) -> Result<()> {
    loop {
        stop::check()?;
        match lines.recv_timeout(TICK) {
            Ok(line) => printer.print(&line),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => sleep(TICK),
        }
        for child in &mut *children {
            if let Some(status) = child.ended() {
                while let Ok(line) = lines.recv_timeout(TICK) {
                    printer.print(&line);
                }
                stop::check()?;
                bail!("{} ended by itself with {status}; its last lines are above", child.name());
            }
        }
    }
}

/// The functions first, so that the mapping's last answers and the producer's flush still find brokers.
fn stop_both(kafka: &mut Supervised, watch: &mut Supervised) {
    let deadline = Instant::now() + STOP_PATIENCE;
    watch.signal(Signal::SIGINT);
    watch.wait_or_kill(deadline);
    kafka.signal(Signal::SIGTERM);
    kafka.wait_or_kill(deadline);
}

/// Builds what `up` runs. The selection of packages is that of `cargo run --bin ...` at the root, which `cargo lambda
/// watch` uses: the same features, so nothing is compiled twice.
fn build() -> Result<()> {
    fetch_crates()?;
    let mut cargo =
        process::cargo(&["build", "--locked", "--bin", "producer", "--bin", "consumer", "--bin", "msk-local"]);
    println!("building the functions and the local brokers (the first time takes minutes: librdkafka is compiled) ...");
    let status = wait_for_end(Supervised::spawn("cargo build", &mut cargo)?)?;
    if !status.success() {
        bail!("the build failed; the messages above say why");
    }
    Ok(())
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
