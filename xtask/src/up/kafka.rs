//! The brokers and the event source mapping: one `msk-local up` process.

use std::process::Stdio;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::Value;

use super::lines::{self, Line, Printer};
use super::{Options, TICK, dev_binary};
use crate::process::Supervised;
use crate::stop;

/// What nobody should find out the hard way.
pub(super) const EMBEDDED_LIMITS: &str =
    "three embedded brokers: in memory, 5 MiB kept per partition, leaders never move; no proof of durability";

/// The brokers listen after milliseconds; a cluster of the user's may take its time.
const READY_PATIENCE: Duration = Duration::from_secs(30);

/// The running process.
pub(super) struct Brokers {
    pub(super) process: Supervised,
}

/// Starts `msk-local up`.
pub(super) fn start(options: &Options, lines: &Sender<Line>) -> Result<Brokers> {
    let mut command = dev_binary("msk-local");
    command.arg("up");
    for topic in &options.topics {
        command.args(["--topic", topic]);
    }
    if let Some(servers) = &options.bootstrap_servers {
        command.args(["--bootstrap-servers", servers]);
    }
    command.args(["--function", "consumer", "--invoke-url", &format!("http://127.0.0.1:{}", options.port)]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = Supervised::spawn("msk-local", &mut command)?;
    lines::forward(&mut process, lines)?;
    Ok(Brokers { process })
}

impl Brokers {
    /// Waits for the ready line, a JSON object with `bootstrap_servers`.
    pub(super) fn bootstrap_servers(&mut self, lines: &Receiver<Line>, printer: &mut Printer) -> Result<String> {
        let deadline = Instant::now() + READY_PATIENCE;
        while Instant::now() < deadline {
            stop::check()?;
            match lines.recv_timeout(TICK) {
                Ok(line) => {
                    if let Some(servers) = ready(&line.text) {
                        return Ok(servers);
                    }
                    printer.print(&line);
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

fn ready(text: &str) -> Option<String> {
    let value: Value = serde_json::from_str(text).ok()?;
    Some(value.get("bootstrap_servers")?.as_str()?.to_owned())
}
