//! The brokers and the event source mapping: one `msk-local up` process.

use std::process::Stdio;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::lines::{self, Line, Printer};
use super::{Options, TICK, dev_binary};
use crate::process::Supervised;
use crate::stop;

/// Joining the consumer groups takes 3 s by Kafka's own rules; a cluster of the user's may take its time.
const READY_PATIENCE: Duration = Duration::from_secs(60);

/// The running process.
pub(super) struct Brokers {
    pub(super) process: Supervised,
}

/// What the process says once the brokers answer and the mapping polls.
#[derive(Debug, serde::Deserialize)]
pub(super) struct Ready {
    pub(super) bootstrap_servers: String,
    /// What nobody should find out the hard way.
    pub(super) note: Option<String>,
}

/// Starts `msk-local up`.
pub(super) fn start(options: &Options, lines: &Sender<Line>) -> Result<Brokers> {
    let mut command = dev_binary("msk-local");
    command.args(["--format", "json", "up", "--topics", &options.topics.join(",")]);
    // The mapping asks for partial batch responses, as infra/ configures the real one.
    command.args(["--function", "consumer", "--report-batch-item-failures", "--records"]);
    let port = options.port;
    command
        .args(["--invoke-url", &format!("http://127.0.0.1:{port}/2015-03-31/functions/{{FunctionName}}/invocations")]);
    match &options.bootstrap_servers {
        Some(servers) => command.args(["--bootstrap-servers", servers]),
        None => command.args(["--other-topics", &dead_letter_topics(&options.topics)]),
    };
    for option in &options.kafka_option {
        command.args(["--kafka-option", option]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = Supervised::spawn("msk-local", &mut command)?;
    lines::forward(&mut process, lines)?;
    Ok(Brokers { process })
}

fn dead_letter_topics(topics: &[String]) -> String {
    topics.iter().map(|topic| format!("{}.dlq:1", name(topic))).collect::<Vec<_>>().join(",")
}

/// `orders:6`, six partitions, is the topic `orders`.
pub(super) fn name(topic: &str) -> &str {
    topic.split_once(':').map_or(topic, |(name, _)| name)
}

impl Brokers {
    /// Waits for the ready line.
    pub(super) fn ready(&mut self, lines: &Receiver<Line>, printer: &mut Printer) -> Result<Ready> {
        let deadline = Instant::now() + READY_PATIENCE;
        while Instant::now() < deadline {
            stop::check()?;
            match lines.recv_timeout(TICK) {
                Ok(line) => {
                    printer.print(&line);
                    if let Ok(ready) = serde_json::from_str(&line.text) {
                        return Ok(ready);
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    if let Some(status) = self.process.ended() {
                        bail!("msk-local ended with {status} before its brokers were ready; its words are above");
                    }
                }
            }
        }
        bail!("msk-local did not say within {} s that its brokers are ready", READY_PATIENCE.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topic_has_a_dead_letter_topic() {
        let topics = ["orders:6".to_owned(), "audit".to_owned()];
        assert_eq!(dead_letter_topics(&topics), "orders.dlq:1,audit.dlq:1");
    }

    #[test]
    fn the_ready_line_is_told_from_others() {
        let ready: Ready =
            serde_json::from_str(r#"{"ready":true,"bootstrap_servers":"127.0.0.1:1","topics":[]}"#).unwrap();
        assert_eq!((ready.bootstrap_servers.as_str(), ready.note), ("127.0.0.1:1", None));
        assert!(serde_json::from_str::<Ready>(r#"{"event":"record","topic":"orders"}"#).is_err());
    }
}
