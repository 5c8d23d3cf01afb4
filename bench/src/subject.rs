//! What is measured: a packaged function behind a Runtime API, or raw librdkafka. Each is a process of its own, so that only its
//! own CPU time, switches and memory are counted.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::child_process::{ChildProcess, clean};
use crate::raw_producer::{RawProducer, RawRequests, Until};
use crate::runtime_api::RuntimeApi;
use crate::settings::{Build, Settings};

/// The name of raw librdkafka in tables.
pub(crate) const RAW: &str = "raw";

/// How long the HTTP server may take to listen: it waits 5 s for a cluster that does not answer.
const START: Duration = Duration::from_secs(30);

/// Fails on a response that does not acknowledge every record.
pub(crate) type ResponseCheck = Box<dyn Fn(&[u8]) -> Result<()>>;

/// The requests of a benchmark.
pub(crate) struct Load {
    /// Records of each.
    pub(crate) records: usize,
    /// The event with this number.
    pub(crate) event: Box<dyn Fn(usize) -> Vec<u8>>,
    /// Fails unless a response acknowledges every record.
    pub(crate) check: ResponseCheck,
}

/// A running subject.
#[derive(Debug)]
pub(crate) struct Subject {
    /// `this`, `against` or `raw`.
    pub(crate) name: &'static str,
    pub(crate) process: ChildProcess,
    pub(crate) driver: Driver,
    /// The number of the next request.
    next: usize,
}

/// How requests reach a subject.
#[derive(Debug)]
pub(crate) enum Driver {
    Function(RuntimeApi),
    /// An HTTP server, for `http_load`.
    Server(SocketAddr),
    Raw(RawProducer),
}

impl Subject {
    /// Starts the producer of a build, and waits until it asks for its first invocation.
    pub(crate) fn producer(name: &'static str, build: &Build, settings: &Settings) -> Result<Self> {
        let mut command = clean(&build.producer);
        command.envs(producer_variables(settings));
        Self::function(name, command, settings).context("the producer")
    }

    /// The same for the consumer.
    pub(crate) fn consumer(name: &'static str, build: &Build, settings: &Settings) -> Result<Self> {
        let mut command = clean(&build.consumer);
        command.env("REPORT_BATCH_ITEM_FAILURES", "true");
        Self::function(name, command, settings).context("the consumer")
    }

    fn function(name: &'static str, mut command: Command, settings: &Settings) -> Result<Self> {
        let api = RuntimeApi::start()?;
        command.envs([
            ("AWS_LAMBDA_RUNTIME_API", api.address().to_string().as_str()),
            ("AWS_LAMBDA_FUNCTION_NAME", "bench"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", &settings.memory_mb.to_string()),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/bench"),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "2026/01/01/[$LATEST]0"),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_DEFAULT_REGION", "eu-west-1"),
            ("_HANDLER", "bootstrap"),
            ("PATH", "/usr/local/bin:/usr/bin:/bin"),
            ("LANG", "en_US.UTF-8"),
            ("TZ", ":UTC"),
        ]);
        let process = ChildProcess::logging(command)?;
        api.wait_for_init().with_context(|| log_end(&process))?;
        Ok(Self { name, process, driver: Driver::Function(api), next: 0 })
    }

    /// Starts the producer of a build as an HTTP server, on a port that the kernel chooses.
    pub(crate) fn server(name: &'static str, build: &Build, settings: &Settings) -> Result<Self> {
        let mut command = clean(&build.producer);
        command.args(["--http", "127.0.0.1:0"]).envs(producer_variables(settings));
        let process = ChildProcess::logging(command)?;
        let address = |log: &str| {
            let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            lines.find(|line| line["message"] == "listening")?["address"].as_str()?.parse().ok()
        };
        let address = process.wait_for("line with its address", START, address)?;
        Ok(Self { name, process, driver: Driver::Server(address), next: 0 })
    }

    /// Starts raw librdkafka.
    pub(crate) fn raw(settings: &Settings) -> Result<Self> {
        let (process, raw) = RawProducer::start(&settings.bootstrap, &settings.topic)?;
        Ok(Self { name: RAW, process, driver: Driver::Raw(raw), next: 0 })
    }

    /// Makes requests one after the other and returns how long each took.
    pub(crate) fn make(&mut self, load: &Load, count: usize) -> Result<Vec<Duration>> {
        let made = match &mut self.driver {
            Driver::Raw(raw) => {
                raw.make(RawRequests { records: load.records, outstanding: 1, until: Until::Requests(count) })
            }
            Driver::Function(api) => (self.next..self.next + count)
                .map(|number| {
                    let (response, took) = api.invoke(&(load.event)(number))?;
                    (load.check)(&response).map(|()| took)
                })
                .collect(),
            Driver::Server(_) => bail!("an HTTP server takes no events"),
        };
        self.next += count;
        made.with_context(|| self.described())
    }

    /// Which it is, and the end of its log, for an error.
    pub(crate) fn described(&self) -> String {
        format!("subject `{}`, {}", self.name, log_end(&self.process))
    }
}

/// What the producer needs to write to the topic.
fn producer_variables(settings: &Settings) -> [(&'static str, String); 3] {
    [
        ("KAFKA_BOOTSTRAP_SERVERS", settings.bootstrap.clone()),
        ("KAFKA_AUTH", "none".to_owned()),
        ("TOPICS", settings.topic.clone()),
    ]
}

/// The last lines that a subject logged, for an error.
fn log_end(process: &ChildProcess) -> String {
    let log = process.log().end();
    let lines: Vec<&str> = log.lines().collect();
    format!("its log ends with:\n{}\n", lines[lines.len().saturating_sub(5)..].join("\n"))
}
