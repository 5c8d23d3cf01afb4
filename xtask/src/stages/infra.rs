//! Stage `infra`: the Terraform configuration, proven without AWS. Every test mocks its providers, so nothing is created.
//!
//! Terraform works in a copy, so that no `.terraform` folder is left in the tree. Where the providers come from is
//! Terraform's own matter: the registry, or what `TF_CLI_CONFIG_FILE` names.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::{process, tools, workspace};

/// What the tests read: the configuration, the runbooks that alarms link, the metrics that functions write.
const READ_BY_TESTS: [&str; 3] = ["infra", "docs", "functions"];
/// The configuration, and the one that fills Grafana after it.
const STACKS: [&str; 2] = ["infra", "infra/grafana"];

/// Runs stage `infra`.
pub(super) fn run() -> Result<()> {
    let copy = tempfile::tempdir().context("no temporary folder for a copy of the configuration")?;
    for folder in READ_BY_TESTS {
        let source = workspace::root().join(folder);
        process::run(Command::new("cp").args(["-R", "--"]).arg(source).arg(copy.path()))?;
    }
    let infra = copy.path().join("infra");
    terraform(&infra, &["fmt", "-check", "-diff", "-recursive"])?;
    tool(&infra, "static.py", &[])?;
    for stack in STACKS {
        let folder = copy.path().join(stack);
        println!("\n--- {stack}");
        terraform(&folder, &["init", "-backend=false", "-input=false", "-no-color"])?;
        terraform(&folder, &["validate", "-no-color"])?;
        terraform(&folder, &["test", "-no-color"])?;
    }
    security(&infra)
}

fn terraform(folder: &Path, arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("terraform");
    // The provider's schema is large: collecting garbage less often saves a third of the time.
    command.args(arguments).current_dir(folder).env("GOGC", "400").stdin(Stdio::null());
    process::run(&mut command)
}

/// Runs a script of `infra/tests/tools` on the configuration.
fn tool(infra: &Path, script: &str, arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("python3");
    command.arg(infra.join("tests/tools").join(script)).arg(infra).args(arguments).stdin(Stdio::null());
    process::run(&mut command)
}

/// checkov: every finding has its reason, and every reason its finding.
fn security(infra: &Path) -> Result<()> {
    let checkov = tools::CHECKOV.bin()?.join("checkov");
    let tests = infra.join("tests");
    let mut command = Command::new("python3");
    command.arg(tests.join("tools/security.py")).arg(checkov).arg(infra).arg(tests.join("data/checkov-skips.json"));
    process::run(command.stdin(Stdio::null()))
}
