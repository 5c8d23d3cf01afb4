//! Stages `infra` and `infra-mutations`: the Terraform configuration, proven without AWS. Every test mocks its providers,
//! so nothing is created.
//!
//! Terraform works in a copy, so that no `.terraform` folder is left in the tree. The source of the providers is
//! Terraform's default, the registry, or what `TF_CLI_CONFIG_FILE` names.

mod jobs;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use self::jobs::Job;
use crate::{process, tools, workspace};

/// What the tests read: the configuration, the runbooks that alarms link to, the metrics that functions write, the schemas.
const READ_BY_TESTS: [&str; 4] = ["infra", "docs", "functions", "events"];
/// The folder for the configuration of the variables alone, which `variables_only.py` writes.
const VARIABLES: &str = "variables";
/// Plans in one run of the matrix, as `matrix.py` writes them: what such a run costs compared with others.
const PLANS_A_RUN: usize = 8;

/// Runs stage `infra`.
pub(super) fn run() -> Result<()> {
    let copy = copy()?;
    let infra = copy.path().join("infra");
    let matrix = copy.path().join("matrix");
    let variables = copy.path().join(VARIABLES);
    let outputs = copy.path().join("outputs");
    std::fs::create_dir(&outputs).with_context(|| format!("cannot create {}", outputs.display()))?;

    process::run(&mut terraform(&infra, &["fmt", "-check", "-diff", "-recursive"]))?;
    process::run(&mut tool(&infra, "static.py", &[&infra]))?;
    process::run(&mut tool(&infra, "tests_of_tools.py", &[]))?;
    process::run(&mut tool(&infra, "variables_only.py", &[&infra, &variables]))?;
    process::run(&mut tool(&infra, "matrix.py", &[&infra, &matrix]))?;
    let grafana = infra.join("grafana");
    // Their output is long, and only matters if one of them fails.
    let init =
        |folder| process::capture(&mut terraform(folder, &["init", "-backend=false", "-input=false", "-no-color"]));
    std::thread::scope(|scope| {
        let started: Vec<_> = [&infra, &grafana, &variables, &matrix].map(|folder| scope.spawn(|| init(folder))).into();
        started.into_iter().try_for_each(|it| {
            it.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the thread of `terraform init` panicked"))).map(drop)
        })
    })?;

    let mut jobs = vec![security(&infra)?, front_doors(copy.path())?];
    // Grafana's plans are small: they fill the gaps at the end.
    for (folder, weight) in [(&infra, 1), (&grafana, 0)] {
        jobs.push(Job::new(0, format!("{} is valid", name(folder)), terraform(folder, &["validate", "-no-color"])));
        jobs.extend(tests(folder, weight, &[], None)?);
    }
    jobs.extend(tests(&variables, 0, &[], None)?);
    jobs.extend(tests(&matrix, PLANS_A_RUN, &["-verbose"], Some(&outputs))?);
    jobs::run_side_by_side(jobs)?;

    let data = workspace::root().join("infra/tests/data");
    process::run(&mut tool(&infra, "rendered.py", &[&outputs, &data.join("functions.json")]))?;
    process::run(&mut tool(&infra, "signed_calls.py", &[&outputs, &copy.path().join("docs")]))?;
    process::run(&mut tool(&infra, "policies.py", &[&outputs, &data.join("who-may-do-what.md")]))
}

/// Runs stage `infra-mutations`: breaks the configuration in one way after another, and each one must make a test fail.
pub(super) fn mutations() -> Result<()> {
    let copy = copy()?;
    let infra = copy.path().join("infra");
    process::run(&mut tool(&infra, "mutations.py", &[copy.path()]))
}

/// A copy of the files that the tests read, in its own folder.
fn copy() -> Result<TempDir> {
    let copy = tempfile::tempdir().context("cannot create a temporary folder for a copy of the configuration")?;
    for folder in READ_BY_TESTS {
        let source = workspace::root().join(folder);
        process::run(Command::new("cp").args(["-R", "--"]).arg(source).arg(copy.path()))?;
    }
    Ok(copy)
}

/// The front doors that the deployment guide shows, beside the configuration that they belong to: Terraform takes both together.
fn front_doors(copy: &Path) -> Result<Job> {
    let guide = copy.join("docs/02_TERRAFORM_DEPLOY.md");
    let guide = std::fs::read_to_string(&guide).with_context(|| format!("cannot read {}", guide.display()))?;
    let (_, section) = guide.split_once("\n### Another front door\n").context("the guide shows no other front door")?;
    let section = section.split("\n### ").next().unwrap_or(section);
    let blocks: Vec<_> =
        section.split("\n```terraform\n").skip(1).filter_map(|rest| rest.split("\n```").next()).collect();
    // A REST API, a function URL, a load balancer.
    ensure!(blocks.len() >= 3, "the guide shows {} front doors", blocks.len());
    let folder = copy.join("front-doors");
    process::run(Command::new("cp").args(["-R", "--"]).arg(copy.join("infra")).arg(&folder))?;
    std::fs::write(folder.join("front_door.tf"), blocks.join("\n\n") + "\n")?;
    Ok(Job::new(0, "the guide's front doors are valid".to_owned(), terraform(&folder, &["validate", "-no-color"])))
}

/// One job for each test file of a folder, but what variables refuse is tested in [`VARIABLES`] only. `weight` is what one run
/// costs, compared with others.
fn tests(folder: &Path, weight: usize, options: &[&str], outputs: Option<&Path>) -> Result<Vec<Job>> {
    let entries = std::fs::read_dir(folder.join("tests"))
        .with_context(|| format!("cannot read the tests in {}", folder.display()))?;
    let mut jobs = Vec::new();
    for entry in entries {
        let file = entry?.path();
        let Some(test) = file.file_name().and_then(|name| name.to_str()).filter(|name| name.ends_with(".tftest.hcl"))
        else {
            continue;
        };
        if test.starts_with("refused") && !folder.ends_with(VARIABLES) {
            continue;
        }
        let runs = std::fs::read_to_string(&file)?.lines().filter(|line| line.starts_with("run \"")).count();
        let mut command = terraform(folder, &["test", "-no-color"]);
        command.args(options).arg(format!("-filter=tests/{test}"));
        let mut job = Job::new(runs * weight, format!("{}: {test}, {runs} runs", name(folder)), command);
        job.output = outputs.map(|outputs| outputs.join(test).with_extension("txt"));
        jobs.push(job);
    }
    Ok(jobs)
}

fn name(folder: &Path) -> String {
    folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn terraform(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("terraform");
    // The provider's schema is large: collecting garbage only at that many bytes saves a third of the time.
    command.args(arguments).current_dir(folder).envs([("GOGC", "off"), ("GOMEMLIMIT", "2GiB")]).stdin(Stdio::null());
    command
}

/// A script of `infra/tests/tools`.
fn tool(infra: &Path, script: &str, arguments: &[&Path]) -> Command {
    let mut command = Command::new("python3");
    // -B: leaves no __pycache__ next to the scripts.
    command.arg("-B").arg(infra.join("tests/tools").join(script)).args(arguments).stdin(Stdio::null());
    command
}

/// checkov: every finding must have a reason on record, and every recorded reason a finding.
fn security(infra: &Path) -> Result<Job> {
    let checkov: PathBuf = tools::CHECKOV.bin()?.join("checkov");
    let skips = infra.join("tests/data/checkov-skips.json");
    // It starts first, because it is one long process.
    Ok(Job::new(usize::MAX, "checkov".to_owned(), tool(infra, "security.py", &[&checkov, infra, &skips])))
}
