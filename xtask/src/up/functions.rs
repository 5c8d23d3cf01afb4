//! The functions under `cargo lambda watch`.

use std::process::Stdio;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Result;
use ureq::Agent;
use ureq::http::StatusCode;

use super::options::Options;
use super::servers::Ready;
use crate::process::Supervised;
use crate::stop;
use crate::tools::CargoLambda;

/// The functions are already built; they only have to start.
const WARM_TIMEOUT: Duration = Duration::from_secs(120);
const RETRY_INTERVAL: Duration = Duration::from_millis(100);
/// The responses are a few hundred bytes, including those that report an error.
const MAX_BODY_BYTES: u64 = 1024 * 1024;
/// A batch without records: the consumer responds and does nothing else.
const EMPTY_BATCH: &str = r#"{"eventSource":"aws:kafka","records":{}}"#;

/// Starts `cargo lambda watch`. It serves the HTTP API only on 127.0.0.1, at `options.port`.
pub(super) fn start(
    cargo_lambda: &CargoLambda,
    options: &Options,
    topics: &str,
    brokers: &Ready,
) -> Result<Supervised> {
    let mut command = cargo_lambda.command("watch");
    command.args(["--invoke-address", "127.0.0.1", "--invoke-port", &options.port.to_string(), "--disable-cors"]);
    command.env("KAFKA_BOOTSTRAP_SERVERS", &brokers.bootstrap_servers).env("TOPICS", topics);
    // As the mappings have it, so that none takes the names of failed records for a success.
    command.env("REPORT_BATCH_ITEM_FAILURES", options.reports_batch_item_failures().to_string());
    if options.bootstrap_servers.is_none() {
        command.env("KAFKA_AUTH", "none").env("DEAD_LETTER", "kafka:{topic}.dlq").envs(brokers.environment()?);
    } else if std::env::var_os("KAFKA_AUTH").is_none() {
        command.env("KAFKA_AUTH", "none");
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    Supervised::spawn("cargo lambda watch", &mut command)
}

/// Invokes the producer and each consumer, each on its own thread, until they respond as expected.
pub(super) fn warm(port: u16, consumers: &[String]) -> Vec<JoinHandle<Result<(), String>>> {
    let url = format!("http://127.0.0.1:{port}/healthz");
    let producer = std::thread::spawn(move || warm_one("producer", &url, None, ""));
    let consumers = consumers.iter().cloned().map(|consumer| {
        let url = format!("http://127.0.0.1:{port}/2015-03-31/functions/{consumer}/invocations");
        // `watch` answers 200 even if a function failed to start; that response has no `batchItemFailures`.
        std::thread::spawn(move || warm_one(&consumer, &url, Some(EMPTY_BATCH), "batchItemFailures"))
    });
    consumers.chain([producer]).collect()
}

/// Repeats the first request until the response is a 200 with `expected` in its body.
fn warm_one(function: &str, url: &str, body: Option<&str>, expected: &str) -> Result<(), String> {
    let deadline = Instant::now() + WARM_TIMEOUT;
    loop {
        let problem = match request(url, body) {
            Ok((StatusCode::OK, answer)) if answer.contains(expected) => return Ok(()),
            Ok((status, answer)) => format!("status {}: {answer}", status.as_u16()),
            Err(error) => error.to_string(),
        };
        if stop::requested() {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!("the {function} does not answer: {problem}"));
        }
        std::thread::sleep(RETRY_INTERVAL);
    }
}

/// Status and body of the response to a POST, or to a GET if there is no body.
fn request(url: &str, body: Option<&str>) -> Result<(StatusCode, String), ureq::Error> {
    let config = Agent::config_builder().timeout_global(Some(WARM_TIMEOUT)).http_status_as_error(false).proxy(None);
    let agent = Agent::new_with_config(config.build());
    let mut answer = match body {
        Some(body) => agent.post(url).header("Content-Type", "application/json").send(body)?,
        None => agent.get(url).call()?,
    };
    Ok((answer.status(), answer.body_mut().with_config().limit(MAX_BODY_BYTES).read_to_string()?))
}

/// A command for the user to try first.
pub(super) fn curl(port: u16) -> String {
    format!(
        "curl -sS 'http://127.0.0.1:{port}/messages?key=customer-42' -H 'Content-Type: application/json' \
         -d '{{\"order\": 1001, \"amount\": 49.9}}'"
    )
}
