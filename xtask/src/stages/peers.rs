//! Stages `contract`, `contract-full`, `docs-page` and `peers`: programs and data that others have published, against the
//! producer.

use std::process::Command;

use anyhow::{Context, Result};

use super::binaries;
use crate::{process, tools};

/// Stage `contract`: 2,000 requests made up from `docs/openapi.json`, and JSON-Schema-Test-Suite.
pub(super) fn contract() -> Result<()> {
    schemathesis("two_thousand_cases")?;
    let suite = tools::JSON_SCHEMA_TEST_SUITE.folder()?;
    let test = "schema::test_suite::the_required_tests_of_the_draft_pass";
    process::run(ignored_tests("msk_producer")?.env("JSON_SCHEMA_TEST_SUITE", suite).arg(test))
}

/// Stage `contract-full`: 10,000 requests.
pub(super) fn contract_full() -> Result<()> {
    schemathesis("ten_thousand_cases")
}

fn schemathesis(test: &str) -> Result<()> {
    let program = tools::SCHEMATHESIS.bin()?.join("schemathesis");
    process::run(ignored_tests(PROCESS)?.env("SCHEMATHESIS", program).arg(format!("schemathesis::{test}")))
}

/// Stage `docs-page`: the page in a browser.
pub(super) fn docs_page() -> Result<()> {
    process::run(ignored_tests(PROCESS)?.arg("browser::"))
}

/// Stage `peers`: the clients of `functions/producer/tests/process/peers`.
pub(super) fn peers() -> Result<()> {
    let python = tools::PEERS_PYTHON.bin()?.join("python");
    let modules = tools::PEERS_NODE.modules()?;
    let mut tests = ignored_tests(PROCESS)?;
    process::run(tests.env("PEERS_PYTHON", python).env("PEERS_NODE_MODULES", modules).arg("peers::"))
}

/// The tests of the producer as a process.
const PROCESS: &str = "process";

/// The producer's tests of a target that are otherwise ignored, because they need what others have published.
fn ignored_tests(target: &str) -> Result<Command> {
    let binaries = binaries::build()?;
    let tests = binaries.iter().find(|binary| binary.package == "msk-producer" && binary.target == target);
    let mut tests =
        tests.with_context(|| format!("the producer has no tests {target}: this stage runs them"))?.command();
    tests.args(["--ignored", "--nocapture", "--test-threads", "1"]);
    Ok(tests)
}
