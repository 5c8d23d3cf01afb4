//! `cargo xtask bench`: the packaged functions against raw librdkafka, measured by the program of `bench/`, which is compiled as
//! they are. `docs/benchmarks.md` says what the figures mean.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::package;
use crate::process::{self, Supervised};
use crate::stages::ha;
use crate::{needs, stop, workspace};

/// The functions that are measured.
const MEASURED: [&str; 2] = ["producer", "consumer"];
/// The topic that is written to.
const TOPIC: &str = "bench";
/// The topic as the embedded brokers create it.
const TOPIC_SPEC: &str = "bench:6";
/// How long the embedded brokers may take to start, which takes milliseconds on an idle machine.
const BROKERS_START: Duration = Duration::from_secs(30);
/// How often to check whether the program has ended or the user wants to stop.
const TICK: Duration = Duration::from_millis(50);
/// How long what is left at the end may take to end by itself.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// Options of `cargo xtask bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// What to measure; all four by default.
    #[arg(value_enum)]
    benchmarks: Vec<Benchmark>,
    /// Requests to each subject in `warm`; `batch` makes a quarter of them, `decode` a twentieth.
    #[arg(long, value_name = "N", default_value_t = 5000, value_parser = clap::value_parser!(u32).range(20..=1_000_000))]
    requests: u32,
    /// The memory size that the functions are told, in MB.
    #[arg(long, value_name = "MB", default_value_t = 512, value_parser = clap::value_parser!(u32).range(128..=10_240))]
    memory: u32,
    /// Brokers that run on this machine and have a topic `bench`; embedded ones with 6 partitions by default.
    #[arg(long, value_name = "HOST:PORT,...", value_parser = on_loopback)]
    bootstrap: Option<String>,
    /// Another build to compare with: a folder with `producer/` and `consumer/`, each with a `bootstrap` or a `bootstrap.zip`.
    #[arg(long, value_name = "FOLDER")]
    against: Option<PathBuf>,
    /// Write all figures to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "snake_case")]
enum Benchmark {
    /// The producer on Lambda, a record a request.
    Warm,
    /// The producer on Lambda, 100 records a request.
    Batch,
    /// The consumer on Lambda, 1,000 records an event.
    Decode,
    /// The producer as an HTTP server: 1, 10 and 100 records on 1, 8 and 32 connections.
    Http,
}

const ALL: [Benchmark; 4] = [Benchmark::Warm, Benchmark::Batch, Benchmark::Decode, Benchmark::Http];

/// Builds everything, starts brokers, and measures.
pub(crate) fn run(options: &Options) -> Result<()> {
    needs::require([needs::NATIVE_BUILD, needs::PERL, needs::PYTHON_VENV])?;
    stop::listen()?;
    let result = build_and_measure(options);
    // What a killed program could not end itself.
    process::sweep(&process::RUN_ID, STOP_TIMEOUT);
    result
}

fn build_and_measure(options: &Options) -> Result<()> {
    let against = options.against.as_deref().map(other_build).transpose()?;
    let this = ha::packaged()?;
    let program = package::build_beside_functions("msk-bench", &workspace::target_dir().join("xtask").join("bench"))?;
    stop::check()?;
    let (brokers, bootstrap) = match &options.bootstrap {
        Some(servers) => (None, servers.clone()),
        None => embedded_brokers().map(|(brokers, servers)| (Some(brokers), servers))?,
    };
    let build = |[producer, consumer]: &[PathBuf; 2]| json!({"producer": producer, "consumer": consumer});
    let settings = json!({
        "benchmarks": if options.benchmarks.is_empty() { &ALL } else { options.benchmarks.as_slice() },
        "requests": options.requests,
        "memory_mb": options.memory,
        "bootstrap": bootstrap,
        "topic": TOPIC,
        "this": build(&this),
        "against": against.as_ref().map(build),
        "json": options.json,
    });
    let result = wait_for(Command::new(program).args(["run", &settings.to_string()]).stdin(Stdio::null()));
    drop(brokers);
    result
}

/// Runs the program until it ends or the user wants to stop.
fn wait_for(command: &mut Command) -> Result<()> {
    let mut program = Supervised::spawn("msk-bench", command)?;
    let status = loop {
        if let Some(status) = program.ended() {
            break status;
        }
        if stop::requested() {
            program.signal(Signal::SIGTERM);
            bail!(stop::Stopped);
        }
        sleep(TICK);
    };
    ensure!(status.success(), "the benchmark failed ({status}); its error is above");
    Ok(())
}

/// Three embedded brokers with the topic, in a process of their own, and their addresses.
fn embedded_brokers() -> Result<(Supervised, String)> {
    process::run(&mut process::cargo(&["build", "--locked", "--bin", "msk-local"]))?;
    let mut command = Command::new(workspace::target_dir().join("debug").join("msk-local"));
    command.args(["--format", "json", "brokers", "--topics", TOPIC_SPEC]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut brokers = Supervised::spawn("msk-local", &mut command)?;
    let stdout = brokers.child().stdout.take().context("standard output is a pipe")?;
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        // To the end, because nobody else reads this pipe.
        BufReader::new(stdout).lines().map_while(Result::ok).for_each(|line| _ = sender.send(line));
    });
    let line = lines.recv_timeout(BROKERS_START).context("the embedded brokers did not start in time")?;
    let ready: Value = serde_json::from_str(&line).with_context(|| format!("msk-local printed {line}"))?;
    let servers = ready["bootstrap_servers"].as_str().with_context(|| format!("msk-local printed {line}"))?;
    Ok((brokers, servers.to_owned()))
}

/// The programs of another build, unpacked if they are zips.
fn other_build(folder: &Path) -> Result<[PathBuf; 2]> {
    let program = |function: &str| {
        let [binary, zip] = ["bootstrap", "bootstrap.zip"].map(|name| folder.join(function).join(name));
        if binary.is_file() {
            return std::path::absolute(&binary).with_context(|| format!("cannot use {}", binary.display()));
        }
        ensure!(zip.is_file(), "--against: neither {} nor {} is there", binary.display(), zip.display());
        // A copy, because the folder may belong to somebody else.
        let own = workspace::target_dir().join("xtask").join("against");
        let copy = package::zip(&own, function);
        std::fs::create_dir_all(own.join(function))
            .and_then(|()| std::fs::copy(&zip, &copy))
            .with_context(|| format!("cannot copy {} to {}", zip.display(), copy.display()))?;
        package::unpack(&own, function)
    };
    let [producer, consumer] = MEASURED.map(program);
    Ok([producer?, consumer?])
}

/// Addresses of this machine only: a benchmark is a flood.
fn on_loopback(addresses: &str) -> Result<String, String> {
    let is_loopback = |address: &str| match address.parse::<SocketAddr>() {
        Ok(address) => address.ip().is_loopback() && address.port() != 0,
        Err(_) => address.strip_prefix("localhost:").is_some_and(|port| port.parse::<u16>().is_ok()),
    };
    if addresses.split(',').all(is_loopback) {
        return Ok(addresses.to_owned());
    }
    Err("only brokers on this machine are loaded: write 127.0.0.1:PORT, [::1]:PORT or localhost:PORT, comma separated"
        .to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct CommandLine {
        #[command(flatten)]
        options: Options,
    }

    fn parse(arguments: &[&str]) -> Result<Options, String> {
        let parsed = CommandLine::try_parse_from([&["bench"], arguments].concat());
        parsed.map(|line| line.options).map_err(|error| error.to_string())
    }

    #[test]
    fn benchmarks_are_named_and_limits_are_kept() {
        let options =
            parse(&["warm", "http", "--requests", "40", "--bootstrap", "127.0.0.1:9092,localhost:9093,[::1]:1"]);
        let options = options.unwrap();
        assert_eq!(
            (options.benchmarks.as_slice(), options.requests),
            ([Benchmark::Warm, Benchmark::Http].as_slice(), 40)
        );
        assert!(options.bootstrap.is_some() && parse(&[]).unwrap().benchmarks.is_empty());
        for refused in [&["cold"][..], &["--requests", "19"], &["--memory", "127"]] {
            assert!(parse(refused).is_err(), "{refused:?}");
        }
    }

    #[test]
    fn brokers_elsewhere_are_refused() {
        for addresses in [
            "10.0.0.1:9092",
            "127.0.0.1:1,b-1.example.com:9092",
            "localhost",
            "127.0.0.1:0",
            "",
            "localhost.example.com:1",
        ] {
            let error = parse(&["--bootstrap", addresses]).unwrap_err();
            assert!(error.contains("this machine"), "{addresses}: {error}");
        }
    }

    #[test]
    fn another_build_is_found_as_programs_and_told_what_it_lacks() {
        let folder = tempfile::tempdir().unwrap();
        let error = other_build(folder.path()).unwrap_err().to_string();
        assert!(error.contains("producer/bootstrap.zip"), "{error}");
        for function in MEASURED {
            std::fs::create_dir(folder.path().join(function)).unwrap();
            std::fs::write(folder.path().join(function).join("bootstrap"), "").unwrap();
        }
        assert!(other_build(folder.path()).unwrap()[1].ends_with("consumer/bootstrap"));
    }

    /// Otherwise measuring would change what is measured, and compile librdkafka once more.
    #[test]
    fn the_benchmark_changes_no_feature_of_the_packages() {
        let packages = |more: &[&str]| {
            let tree =
                ["tree", "--locked", "--offline", "--edges", "normal,build", "--prefix", "none", "--format", "{p} {f}"];
            let mut cargo = process::cargo(&tree);
            let listing = process::capture(
                cargo
                    .args([
                        "--package",
                        "msk-producer",
                        "--package",
                        "msk-consumer",
                        "--features",
                        package::CONSUMER_FEATURES,
                    ])
                    .args(more),
            );
            let lines = listing.unwrap();
            let lines = lines.lines().map(|line| line.trim_end_matches(" (*)").to_owned());
            lines.filter(|line| !line.starts_with("msk-bench ")).collect::<std::collections::BTreeSet<_>>()
        };
        let with_it = packages(&["--package", "msk-bench"]);
        assert_eq!(packages(&[]), with_it);
        assert!(with_it.iter().any(|line| line.starts_with("rdkafka-sys ")));
    }
}
