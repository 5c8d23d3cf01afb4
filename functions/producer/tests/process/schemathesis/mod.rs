//! Requests that Schemathesis makes up from `docs/openapi.json`, valid ones and invalid ones, and what it says of the answers:
//! no 5xx, no status, header or body that the document does not have, no invalid request that is taken.
//!
//! It does not judge valid requests that are refused: the document cannot say that a body is compressed as its
//! `Content-Encoding` says, or that 14.0 is no partition.

use std::process::{Command, Output};

use crate::support::{brokers, server};

#[test]
#[ignore = "needs Schemathesis; stage `contract` runs it"]
fn two_thousand_cases() {
    no_violation(2_000, "10", "600");
}

#[test]
#[ignore = "needs Schemathesis; stage `contract-full` runs it"]
fn ten_thousand_cases() {
    no_violation(10_000, "1200", "2400");
}

/// Runs at least so many cases, with so many examples for each phase of each operation, within so many seconds.
#[allow(clippy::print_stdout, reason = "a test prints its figures")]
fn no_violation(at_least: usize, examples: &str, bound: &str) {
    let program = std::env::var("SCHEMATHESIS").unwrap_or_else(|_| panic!("SCHEMATHESIS is not set"));
    let brokers = brokers();
    let (mut process, address) = server(&brokers, &[]);
    let mut command = Command::new("timeout");
    command.args([bound, &program, "run", &format!("http://{address}/openapi.json"), "--no-color", "--seed", "1"]);
    command.args([
        "--max-examples",
        examples,
        "--phases",
        "examples,coverage,fuzzing",
        "--suppress-health-check",
        "all",
    ]);
    command.args(["--exclude-checks", "positive_data_acceptance"]);
    command.env("PYTHONPATH", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/process/schemathesis"));
    command.env("SCHEMATHESIS_HOOKS", "hooks").env("PYTHONDONTWRITEBYTECODE", "1");
    // Its reports belong to nobody.
    let folder = tempfile::tempdir().unwrap();
    let started = std::time::Instant::now();
    let Output { status, stdout, stderr } = command.current_dir(folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&stdout);
    assert!(status.success(), "{said}\n{}", String::from_utf8_lossy(&stderr));
    let generated = said.lines().find_map(|line| line.trim().split_once(" generated, ")?.0.parse::<usize>().ok());
    assert!(generated.is_some_and(|generated| generated >= at_least), "{said}");
    assert!(process.exit_status().is_none(), "the producer has ended");
    println!("{} cases in {:.0?}, no violation", generated.unwrap_or_default(), started.elapsed());
}
