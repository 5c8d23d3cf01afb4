//! The two functions under `cargo lambda watch`.

use std::process::Stdio;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::{Options, TICK, http};
use crate::process::Supervised;
use crate::stop;
use crate::tools::CargoLambda;

/// Both functions are built already; what remains is starting them.
const WARM_PATIENCE: Duration = Duration::from_secs(120);
/// A batch without a record: the consumer answers it without doing anything.
const EMPTY_BATCH: &str = r#"{"eventSource":"aws:kafka","records":{}}"#;

/// Starts `cargo lambda watch`. It serves the HTTP API on `options.port` of 127.0.0.1 only.
pub(super) fn start(cargo_lambda: &CargoLambda, options: &Options, bootstrap_servers: &str) -> Result<Supervised> {
    let mut command = cargo_lambda.command("watch");
    command.args(["--invoke-address", "127.0.0.1", "--invoke-port", &options.port.to_string(), "--disable-cors"]);
    command.env("KAFKA_BOOTSTRAP_SERVERS", bootstrap_servers).env("TOPICS", options.topic_names().join(","));
    // The mapping asks for partial batch responses, as infra/ configures the real one.
    command.env("REPORT_BATCH_ITEM_FAILURES", "true");
    if options.starts_brokers() {
        command.env("KAFKA_AUTH", "none").env("DEAD_LETTER", "kafka:{topic}.dlq");
    } else if std::env::var_os("KAFKA_AUTH").is_none() {
        command.env("KAFKA_AUTH", "none");
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    Supervised::spawn("cargo lambda watch", &mut command)
}

/// Invokes both functions, each on a thread of its own, until they answer as they should.
pub(super) fn warm(port: u16) -> [JoinHandle<Result<(), String>>; 2] {
    [
        std::thread::spawn(move || warm_one(port, "consumer", consumer_answers)),
        std::thread::spawn(move || warm_one(port, "producer", producer_answers)),
    ]
}

/// Repeats the first invocation until the function answers as it should.
fn warm_one(port: u16, function: &str, answers: fn(u16) -> Result<(), String>) -> Result<(), String> {
    let deadline = Instant::now() + WARM_PATIENCE;
    loop {
        match answers(port) {
            Ok(()) => return Ok(()),
            Err(problem) if Instant::now() > deadline => {
                return Err(format!("the {function} does not answer: {problem}"));
            }
            Err(_) if stop::requested() => return Ok(()),
            Err(_) => std::thread::sleep(TICK),
        }
    }
}

fn producer_answers(port: u16) -> Result<(), String> {
    match http::request(port, "GET", "/healthz", "", WARM_PATIENCE) {
        Ok(answer) if answer.status == 200 => Ok(()),
        Ok(answer) => Err(format!("status {}: {}", answer.status, answer.body)),
        Err(error) => Err(format!("{error:#}")),
    }
}

/// `watch` answers 200 also for a function that failed to start; its answer then has no `batchItemFailures`.
fn consumer_answers(port: u16) -> Result<(), String> {
    let path = "/2015-03-31/functions/consumer/invocations";
    match http::request(port, "POST", path, EMPTY_BATCH, WARM_PATIENCE) {
        Ok(answer) if answer.status == 200 && answer.body.contains("batchItemFailures") => Ok(()),
        Ok(answer) => Err(format!("status {}: {}", answer.status, answer.body)),
        Err(error) => Err(format!("{error:#}")),
    }
}

/// The line to try first.
pub(super) fn curl(port: u16) -> String {
    format!(
        "curl -sS 'http://127.0.0.1:{port}/messages?key=customer-42' -H 'Content-Type: application/json' \
         -d '{{\"order\": 1001, \"amount\": 49.9}}'"
    )
}
