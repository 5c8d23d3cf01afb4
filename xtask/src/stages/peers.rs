//! Stages `contract`, `contract-full`, `docs-page` and `peers`: programs and data that others have published, against the
//! functions and the event source mapping.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::binaries::{ignored_tests, run_chosen};
use crate::package::Architecture;
use crate::{needs, process, tools, workspace};

/// Stage `contract`: 2,000 requests made up from `docs/openapi.json`, and JSON-Schema-Test-Suite.
pub(super) fn contract() -> Result<()> {
    schemathesis("two_thousand_cases")?;
    let suite = tools::JSON_SCHEMA_TEST_SUITE.folder()?;
    let test = "schema::test_suite::the_required_tests_of_the_draft_pass";
    run_chosen(ignored_tests(PRODUCER, "msk_producer")?.env("JSON_SCHEMA_TEST_SUITE", suite).arg(test))
}

/// Stage `contract-full`: 10,000 requests.
pub(super) fn contract_full() -> Result<()> {
    schemathesis("ten_thousand_cases")
}

fn schemathesis(test: &str) -> Result<()> {
    let program = tools::SCHEMATHESIS.bin()?.join("schemathesis");
    run_chosen(ignored_tests(PRODUCER, PROCESS)?.env("SCHEMATHESIS", program).arg(format!("schemathesis::{test}")))
}

/// Stage `docs-page`: the page in a browser.
pub(super) fn docs_page() -> Result<()> {
    run_chosen(ignored_tests(PRODUCER, PROCESS)?.arg("browser::"))
}

/// Stage `peers`: the clients of `functions/producer/tests/process/peers`, and the functions of `local/tests/peers`.
pub(super) fn peers() -> Result<()> {
    let python = tools::PEERS_PYTHON.bin()?.join("python");
    let modules = tools::PEERS_NODE.modules()?;
    let (go, go_clients) = (tools::PEERS_GO.program()?, tools::PEERS_GO_CLIENTS.program()?);
    let (emulator, registry) = (runtime_interface_emulator()?, tools::APICURIO_REGISTRY.folder()?);
    let run = |package, target, filter: &[&str]| {
        let mut tests = ignored_tests(package, target)?;
        tests.env("PEERS_PYTHON", &python).env("PEERS_NODE_MODULES", &modules).env("PEERS_GO", &go);
        tests.env("PEERS_GO_CLIENTS", &go_clients).env("PEERS_RIE", &emulator).env("APICURIO_REGISTRY", &registry);
        run_chosen(tests.args(filter))
    };
    run(PRODUCER, PROCESS, &["peers::"])?;
    // The tests of `installed` are those of stage `dist`.
    run("msk-local", OTHERS, &["--skip", "installed::"])?;
    run("msk-local", "emulator", &["guide::"])?;
    let mut samples = ignored_tests("msk-consumer", "consumer")?;
    samples.env("PEERS_AWS_LAMBDA_EVENTS", source_of("aws_lambda_events")?);
    samples.env("PEERS_AWS_LAMBDA_GO", tools::PEERS_GO.source_of("github.com/aws/aws-lambda-go")?);
    run_chosen(samples.arg("samples::"))
}

/// AWS's runtime interface emulator, as a module that only pins it builds it.
fn runtime_interface_emulator() -> Result<PathBuf> {
    needs::require([needs::GO])?;
    let program = workspace::tool_dir("aws-lambda-rie").join("aws-lambda-rie");
    let mut go = Command::new("go");
    go.args(["build", "-mod=readonly", "-o"]).arg(&program).arg(INTERFACE_EMULATOR);
    process::capture(go.current_dir(workspace::root().join("local/tests/peers/rie"))).with_context(|| {
        format!("cannot build {INTERFACE_EMULATOR}. The first run needs the network, later runs do not")
    })?;
    Ok(program)
}

/// The folder with the source of a crate that the workspace depends on.
fn source_of(name: &str) -> Result<PathBuf> {
    // Of all platforms cargo would download what only the others need.
    let platform = ["--filter-platform", Architecture::host().target()];
    let listing = process::capture(process::cargo(&["metadata", "--locked", "--format-version", "1"]).args(platform))?;
    let listing: Value = serde_json::from_str(&listing).context("`cargo metadata` printed something unexpected")?;
    let package = listing["packages"].as_array().into_iter().flatten().find(|package| package["name"] == name);
    let manifest = package.and_then(|package| package["manifest_path"].as_str());
    let manifest = Path::new(manifest.with_context(|| format!("the workspace depends on no crate {name}"))?);
    Ok(manifest.parent().unwrap_or(manifest).to_owned())
}

const INTERFACE_EMULATOR: &str = "github.com/aws/aws-lambda-runtime-interface-emulator/cmd/aws-lambda-rie";
const PRODUCER: &str = "msk-producer";
/// The tests of the producer as a process.
const PROCESS: &str = "process";
/// The tests of `msk-local` with what others have published.
pub(super) const OTHERS: &str = "peers";
