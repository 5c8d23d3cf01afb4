//! A Kafka client that is not ours reads a topic back.

use std::path::Path;
use std::process::Command;

use serde::Deserialize;

use crate::test_bed::given;

/// A record as `confluent-kafka` sees it; bytes are base64.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Read {
    pub(crate) partition: i64,
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
    pub(crate) key: Option<String>,
    pub(crate) value: Option<String>,
    pub(crate) headers: Vec<(String, Option<String>)>,
}

/// Everything in the topic, partition by partition in order of offset.
pub(crate) fn read_all(bootstrap_servers: &str, topic: &str) -> Vec<Read> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/end_to_end/second_client.py");
    let output = Command::new(given("E2E_PYTHON")).arg(script).args([bootstrap_servers, topic]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
