//! Brokers and event source mapping: `msk-local`, and before it `msk-e2e-brokers` if the brokers are real ones.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use super::child_output::OutputLine;
use super::mapping_file::{FileMapping, without_sign_in};
use super::options::{Auth, Options};
use crate::workspace;

/// Kafka's classic protocol takes 3 s to form a group, and the user's own cluster may take longer.
const MAPPING_TIMEOUT: Duration = Duration::from_secs(60);
/// The first time, Maven downloads the jars.
const REAL_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// A process that prints a line when it is ready.
pub(super) struct Server {
    pub(super) name: &'static str,
    pub(super) command: Command,
    /// How long it may take until it is ready.
    pub(super) timeout: Duration,
}

/// The ready line.
#[derive(Debug, serde::Deserialize)]
pub(super) struct Ready {
    /// For the functions.
    pub(super) bootstrap_servers: String,
    /// For the event source mapping, if it uses others.
    pub(super) mapping_servers: Option<String>,
    /// A JSON object of variables that the functions need to reach the brokers. In a file, because it has an access key and this
    /// line is logged.
    pub(super) environment_file: Option<PathBuf>,
    /// Topics that the cluster says are compacted.
    #[serde(default)]
    pub(super) compacted: Vec<String>,
    /// What these brokers cannot do.
    pub(super) note: Option<String>,
}

impl Ready {
    /// Brokers of the user's own.
    pub(super) fn brokers_at(servers: &str) -> Self {
        let (mapping_servers, environment_file, note) = (None, None, None);
        Self { bootstrap_servers: servers.to_owned(), mapping_servers, environment_file, compacted: Vec::new(), note }
    }

    /// Where the event source mapping reads.
    pub(super) fn for_mapping(&self) -> &str {
        self.mapping_servers.as_ref().unwrap_or(&self.bootstrap_servers)
    }

    /// What the functions need besides the addresses.
    pub(super) fn environment(&self) -> Result<BTreeMap<String, String>> {
        let Some(file) = &self.environment_file else { return Ok(BTreeMap::new()) };
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is no JSON object of variables", file.display()))
    }
}

/// Three Apache Kafka brokers with the topics and their dead-letter topics.
pub(super) fn real(options: &Options) -> Server {
    let topics = [options.topics.join(","), options.other_topics()].join(",");
    let mut command = workspace::dev_binary("msk-e2e-brokers");
    command.args(["--topics", &topics]);
    if options.auth == Auth::Iam {
        command.args(["--auth", "iam"]);
    }
    // Nothing is written to this pipe. It closes when this process is killed, which ends the brokers.
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Server { name: "msk-e2e-brokers", command, timeout: REAL_TIMEOUT }
}

/// The event source mappings of the consumers without a file, and embedded brokers when there are no `bootstrap_servers`; `None` if
/// there is neither.
pub(super) fn mappings(options: &Options, bootstrap_servers: Option<&str>, chaos_seed: Option<u64>) -> Option<Server> {
    let mut command = workspace::dev_binary("msk-local");
    command.args(["--format", "json"]);
    let consumers = options.consumers_of_all_topics();
    let (topics, others) = (options.topics.join(","), options.other_topics());
    match (consumers.is_empty(), bootstrap_servers) {
        (true, Some(_)) => return None,
        (true, None) => {
            command.args(["brokers", "--topics", &[topics, others].join(",")]);
        }
        (false, servers) => {
            // The mapping asks for partial batch responses, as infra/ configures the real one.
            command.args([
                "up",
                "--topics",
                &topics,
                "--functions",
                &consumers.join(","),
                "--report-batch-item-failures",
            ]);
            match servers {
                Some(servers) => command.args(["--bootstrap-servers", servers]),
                None => command.args(["--other-topics", &others]),
            };
            invoke(&mut command, options);
        }
    }
    if let Some(seed) = chaos_seed {
        command.args(["--chaos-brokers", &seed.to_string()]);
    }
    Some(local(command))
}

/// The event source mapping of a file.
pub(super) fn mapping_of_file(options: &Options, mapping: &FileMapping, bootstrap_servers: &str) -> Server {
    let mut command = workspace::dev_binary("msk-local");
    command.args(["--format", "json", "esm", "run"]).arg(&mapping.path);
    command.args(["--function-name", &mapping.consumer, "--topics", &mapping.topic]);
    command.args(["--bootstrap-servers", bootstrap_servers]);
    command.args(without_sign_in(options.bootstrap_servers.is_some()));
    invoke(&mut command, options);
    local(command)
}

/// How a mapping invokes the functions, and what it prints of them.
fn invoke(command: &mut Command, options: &Options) {
    let port = options.port;
    let url = format!("http://127.0.0.1:{port}/2015-03-31/functions/{{FunctionName}}/invocations");
    // `cargo lambda watch` builds a function on its first invocation.
    command.args(["--records", "--invoke-url", &url, "--first-invocation-timeout", "300"]);
    for option in &options.kafka_option {
        command.args(["--kafka-option", option]);
    }
}

fn local(mut command: Command) -> Server {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Server { name: "msk-local", command, timeout: MAPPING_TIMEOUT }
}

/// The contents of `line`, if it is the ready line of the process `from`.
pub(super) fn ready_line(line: &OutputLine, from: &str) -> Option<Ready> {
    if line.source != from {
        return None;
    }
    serde_json::from_str(&line.text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ready_line_is_told_from_others() {
        let line = |text: &str| OutputLine { source: "msk-local", text: text.to_owned() };
        let text = r#"{"ready":true,"bootstrap_servers":"127.0.0.1:1","topics":[]}"#;
        let ready = ready_line(&line(text), "msk-local").unwrap();
        assert_eq!((ready.bootstrap_servers.as_str(), ready.note), ("127.0.0.1:1", None));
        assert!(ready_line(&line(text), "msk-e2e-brokers").is_none());
        assert!(ready_line(&line(r#"{"event":"record","topic":"orders"}"#), "msk-local").is_none());
    }
}
