//! The brokers and the event source mapping: `msk-local`, and before it `msk-e2e-brokers` when they shall be real ones.

use std::process::{Command, Stdio};
use std::time::Duration;

use super::lines::Line;
use super::{Options, dev_binary, topics};

/// Joining the consumer groups takes 3 s by Kafka's own rules; a cluster of the user's may take its time.
const MAPPING_PATIENCE: Duration = Duration::from_secs(60);
/// The first time Maven fetches the jars.
const REAL_PATIENCE: Duration = Duration::from_secs(15 * 60);

/// A process that prints a line when it is ready.
pub(super) struct Server {
    pub(super) name: &'static str,
    pub(super) command: Command,
    /// How long it may take.
    pub(super) patience: Duration,
}

/// The ready line.
#[derive(Debug, serde::Deserialize)]
pub(super) struct Ready {
    pub(super) bootstrap_servers: String,
    /// What nobody should find out the hard way.
    pub(super) note: Option<String>,
}

/// Three Apache Kafka brokers with the topics and their dead-letter topics.
pub(super) fn real(options: &Options) -> Server {
    let topics = [options.topics.join(","), topics::dead_letters(&options.topics)].join(",");
    let mut command = dev_binary("msk-e2e-brokers");
    command.args(["--topics", &topics]);
    // A pipe that nothing is written to: when this process is killed it closes, and the brokers end.
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Server { name: "msk-e2e-brokers", command, patience: REAL_PATIENCE }
}

/// The event source mapping, and embedded brokers when there are no `bootstrap_servers`.
pub(super) fn mapping(options: &Options, bootstrap_servers: Option<&str>) -> Server {
    let mut command = dev_binary("msk-local");
    command.args(["--format", "json", "up", "--topics", &options.topics.join(",")]);
    // The mapping asks for partial batch responses, as infra/ configures the real one.
    command.args(["--function", "consumer", "--report-batch-item-failures", "--records"]);
    let port = options.port;
    command
        .args(["--invoke-url", &format!("http://127.0.0.1:{port}/2015-03-31/functions/{{FunctionName}}/invocations")]);
    match bootstrap_servers {
        Some(servers) => command.args(["--bootstrap-servers", servers]),
        None => command.args(["--other-topics", &topics::dead_letters(&options.topics)]),
    };
    for option in &options.kafka_option {
        command.args(["--kafka-option", option]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Server { name: "msk-local", command, patience: MAPPING_PATIENCE }
}

/// The ready line, when `line` is it and the process `from` wrote it.
pub(super) fn ready_line(line: &Line, from: &str) -> Option<Ready> {
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
        let line = |text: &str| Line { source: "msk-local", text: text.to_owned() };
        let text = r#"{"ready":true,"bootstrap_servers":"127.0.0.1:1","topics":[]}"#;
        let ready = ready_line(&line(text), "msk-local").unwrap();
        assert_eq!((ready.bootstrap_servers.as_str(), ready.note), ("127.0.0.1:1", None));
        assert!(ready_line(&line(text), "msk-e2e-brokers").is_none());
        assert!(ready_line(&line(r#"{"event":"record","topic":"orders"}"#), "msk-local").is_none());
    }
}
