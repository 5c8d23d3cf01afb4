//! `cargo xtask deploy-check`: what is missing before `terraform apply`, on one screen.
//!
//! | Module | Contains |
//! |---|---|
//! | [`settings`] | the values of the variables, as Terraform will see them |
//! | [`machine`] | the environment and the programs of this machine |
//! | [`zips`] | whether the functions' zips exist, fit the processor, are newer than the sources, can do what the settings need and are small enough |
//! | [`account`] | Terraform, its state, credentials, region |
//! | [`quotas`] | how much of the account's quotas the deployment uses, and how to look them up |
//! | [`next`] | what to type if nothing is missing |
//! | [`report`] | the lines of the report, and how they are printed |

mod account;
pub(crate) mod machine;
mod next;
mod quotas;
mod report;
pub(crate) mod settings;
mod zips;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::workspace;
use machine::Machine;
use report::{Line, Status};
use settings::Settings;

/// Check what is missing before `terraform apply`: zips, settings, Terraform, credentials, quotas.
///
/// The exit code is 0 if no line says `missing`. Nothing is changed or created, and no secret is printed. If the AWS
/// command line is installed, `aws sts get-caller-identity` and `aws lambda get-account-settings` are run, for at most ten
/// seconds each; `--offline` skips them.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Options {
    /// Folder of the Terraform configuration.
    #[arg(long, value_name = "FOLDER")]
    infra: Option<PathBuf>,
    /// A variables file that you will pass to `terraform apply` with the same option; repeatable.
    #[arg(long, value_name = "FILE")]
    var_file: Vec<PathBuf>,
    /// Do not ask AWS anything.
    #[arg(long)]
    offline: bool,
}

const EXAMPLES: &str = "\
Every line of the answer begins with one of three words:
  ok       nothing to do
  missing  `terraform apply` would fail, or deploy what you do not want; the lines below say what to do
  look     only you can tell; the lines below say where to look

Examples:
  cargo xtask deploy-check
      before every deployment with infra/terraform.tfvars
  cargo xtask deploy-check --var-file infra/examples/dev.tfvars
      for the cheap profile; then: terraform apply -var-file=examples/dev.tfvars
  cargo xtask deploy-check --offline && terraform -chdir=infra plan
      in a script: continues only when nothing is missing

docs/02_TERRAFORM_DEPLOY.md describes all the steps.";

/// Prints the report; an error if something is missing.
pub(crate) fn run(options: &Options) -> Result<()> {
    let infra = options.infra.clone().unwrap_or_else(|| workspace::root().join("infra"));
    let lines = check(&workspace::root(), &infra, &options.var_file, options.offline, &Machine::this());
    print!("{}", report::render(&lines));
    match lines.iter().filter(|line| line.status() == Status::Missing).count() {
        0 => {
            let here = std::env::current_dir().context("the current folder no longer exists")?;
            let commands = next::commands(&here, options.infra.as_deref(), &infra, &options.var_file);
            println!("\nNothing is missing. Next: {commands}");
            Ok(())
        }
        1 => bail!("one thing is missing; follow the line below it and run this again"),
        count => bail!("{count} things are missing; follow the lines below them and run this again"),
    }
}

/// Every line, in the order in which a user would fix things.
fn check(root: &Path, infra: &Path, var_files: &[PathBuf], offline: bool, machine: &Machine) -> Vec<Line> {
    let mut lines = vec![account::terraform(machine, infra)];
    match Settings::read(infra, var_files, machine) {
        Ok(settings) => {
            lines.extend(settings::lines(&settings, root, infra));
            lines.extend(zips::lines(root, infra, &settings));
            let (credentials, they_work) = account::credentials(machine, offline);
            lines.push(credentials);
            lines.push(account::region(machine, &settings));
            lines.push(account::state(infra));
            let free = they_work.then(|| quotas::free_executions(machine, settings.text("region"))).flatten();
            lines.extend(quotas::lines(&settings, free));
        }
        Err(error) => {
            lines.push(
                Line::missing("settings", format!("{error:#}")).with("correct the file; nothing else was checked"),
            );
        }
    }
    lines
}

#[cfg(test)]
mod tests;
