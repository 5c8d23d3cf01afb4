//! Apicurio's schema registry, with the Java library of Apache Avro that comes with it.

use std::io::Write;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use msk_test_kit::process::Signal;
use msk_test_kit::{PATIENCE, Process};
use serde_json::{Value, json};

/// The folder of the program, which stage `schema-registry` fetches.
const FOLDER: &str = "APICURIO_REGISTRY";
const RUNNER: &str = "apicurio-registry-app-2.6.13.Final-runner.jar";
/// How often a server that starts is asked.
const LOOK: Duration = Duration::from_millis(50);

fn folder() -> PathBuf {
    PathBuf::from(std::env::var_os(FOLDER).expect("run `cargo xtask test schema-registry`"))
}

/// A registry that keeps schemas in memory; it ends when this is dropped.
pub(crate) struct Apicurio {
    /// Where its API of Confluent's is.
    pub(crate) url: String,
    process: Process,
}

impl Apicurio {
    pub(crate) fn start() -> Self {
        // Chosen by the kernel, and free again for the server, which does not say in its API which one it has chosen itself.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut java = Command::new("java");
        java.arg("-Xmx400m").arg("-Dquarkus.http.host=127.0.0.1").arg(format!("-Dquarkus.http.port={port}"));
        java.arg("-jar").arg(folder().join(RUNNER));
        let url = format!("http://127.0.0.1:{port}/apis/ccompat/v7");
        let registry = Self { url, process: Process::start("Apicurio's registry", &mut java) };
        let started = Instant::now();
        while ureq::get(format!("{}/subjects", registry.url)).call().is_err() {
            assert!(started.elapsed() < PATIENCE, "the registry does not answer");
            std::thread::sleep(LOOK);
        }
        registry
    }

    /// Registers a schema under a name of its own; its id.
    pub(crate) fn register(&self, subject: &str, kind: &str, schema: &str, references: &Value) -> u32 {
        let body = json!({"schemaType": kind, "schema": schema, "references": references}).to_string();
        let request = ureq::post(format!("{}/subjects/{subject}/versions", self.url))
            .header("Content-Type", "application/vnd.schemaregistry.v1+json");
        let answer =
            request.send(body).unwrap_or_else(|error| panic!("{subject}: {error}")).body_mut().read_to_string();
        let answer: Value = serde_json::from_str(&answer.unwrap()).unwrap();
        u32::try_from(answer["id"].as_u64().unwrap()).unwrap()
    }

    /// Stops or continues the whole program: it keeps its port and answers nothing meanwhile.
    pub(crate) fn signal(&self, signal: Signal) {
        self.process.signal(signal).unwrap();
    }
}

/// What Apache Avro's Java library writes for values in Avro's own JSON encoding, each with its schema.
pub(crate) fn encode(values: &[(&str, &str)]) -> Vec<Vec<u8>> {
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/apicurio/AvroEncoder.java");
    let mut java = Command::new("java");
    java.arg("-cp").arg(folder().join("lib/*")).arg(source);
    let mut encoder = java.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let line = |(schema, value): &(&str, &str)| format!("{schema}\t{value}").replace('\n', " ") + "\n";
    let lines: String = values.iter().map(line).collect();
    encoder.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = encoder.wait_with_output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let encoded: Vec<Vec<u8>> = text.lines().map(bytes).collect();
    assert_eq!(encoded.len(), values.len());
    encoded
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<_> = hex.chars().map(|digit| u8::try_from(digit.to_digit(16).unwrap()).unwrap()).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}
