//! The producer as a plain HTTP server over a cluster, and its clients.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use msk_e2e::functions;
use msk_e2e::kafka::{Cluster, Listener};
use msk_test_kit::Process;
use serde_json::{Value, json};

/// The server answers within 30 s whatever happens.
const LIMIT: Duration = Duration::from_secs(35);

pub(crate) struct Server {
    process: Process,
    url: String,
    agent: ureq::Agent,
}

/// What a request was answered.
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Server {
    pub(crate) fn start(cluster: &Cluster, topics: &str) -> Self {
        let options = functions::producer(cluster, Listener::Plaintext, topics);
        let mut command = Command::new(&options.binary);
        command.env_clear().envs(options.variables).args(["--http", "127.0.0.1:0"]);
        let process = Process::start("producer", &mut command);
        let address = process.line(|line| line["message"] == "listening")["address"].as_str().unwrap().to_owned();
        let config = ureq::Agent::config_builder().timeout_global(Some(LIMIT)).http_status_as_error(false);
        // Every client keeps a connection.
        let agent = config.max_idle_connections(64).max_idle_connections_per_host(64).build().into();
        Self { process, url: format!("http://{address}"), agent }
    }

    /// POSTs records to a topic.
    pub(crate) fn post(&self, topic: &str, records: &[Value]) -> Answered {
        let body = json!({ "records": records }).to_string();
        self.send(&format!("/topics/{topic}"), "application/vnd.kafka.json.v2+json", &[], &body)
    }

    /// POSTs one message to a topic, with headers.
    pub(crate) fn post_message(&self, topic: &str, headers: &[(&str, &str)], message: &Value) -> Answered {
        self.send(&format!("/messages?topic={topic}"), "application/json", headers, &message.to_string())
    }

    fn send(&self, path: &str, content_type: &str, headers: &[(&str, &str)], body: &str) -> Answered {
        let mut request = self.agent.post(format!("{}{path}", self.url)).header("content-type", content_type);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut answer = request.send(body).unwrap();
        let text = answer.body_mut().read_to_string().unwrap();
        Answered { status: answer.status().as_u16(), body: serde_json::from_str(&text).unwrap() }
    }

    /// Fails when the log holds `word`, which stands in the records.
    pub(crate) fn ensure_silent_on(&self, word: &str) {
        let lines = self.process.json_lines();
        assert!(!lines.is_empty(), "the log has lines");
        let loud: Vec<_> = lines.iter().filter(|line| line.to_string().contains(word)).collect();
        assert!(loud.is_empty(), "{loud:?}");
    }
}

impl Answered {
    /// The records' results.
    pub(crate) fn results(&self) -> &[Value] {
        self.body["offsets"].as_array().unwrap_or_else(|| panic!("no results: {} {}", self.status, self.body))
    }

    /// The indices of the records that were not written, by `error_code`.
    pub(crate) fn refused(&self) -> BTreeMap<u64, Vec<usize>> {
        let mut refused: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for (index, result) in self.results().iter().enumerate() {
            if let Some(code) = result["error_code"].as_u64() {
                refused.entry(code).or_default().push(index);
            }
        }
        refused
    }

    /// The offsets of the records that were written, in the order of the request.
    pub(crate) fn offsets(&self) -> Vec<i64> {
        self.results().iter().filter_map(|result| result["offset"].as_i64()).collect()
    }
}
