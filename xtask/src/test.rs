//! `cargo xtask test`: runs stages and reports how each ended.

mod outcome;
mod summary;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::stages::{STAGES, Stage};
use crate::tools;
use outcome::run_one;
use summary::{Report, show};

/// Options of `cargo xtask test`.
#[derive(Debug, clap::Args)]
#[command(after_help = stage_list())]
pub(crate) struct Options {
    /// Stages to run; by default all that are not on demand.
    stages: Vec<String>,
    /// Only print the stages.
    #[arg(long)]
    list: bool,
}

/// Runs the stages. The last line on standard output is `N passed, N failed, N skipped`.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    if options.list {
        println!("{}", stage_list());
        return Ok(ExitCode::SUCCESS);
    }
    let stages = select(&options.stages)?;
    let started = Instant::now();
    if options.stages.is_empty() {
        // Later stages need them, and they can be downloaded while the first stages compile.
        std::thread::spawn(tools::fetch_all);
    }
    let mut reports = Vec::with_capacity(stages.len());
    for (index, stage) in stages.iter().enumerate() {
        let so_far = show(started.elapsed());
        println!("\n==> [{}/{}] {}: {} ({so_far} so far)", index + 1, stages.len(), stage.name, stage.does);
        let stage_started = Instant::now();
        let outcome = run_one(stage);
        reports.push(Report::new(stage, outcome, stage_started.elapsed()).told());
    }
    Ok(summary::print(&reports, started.elapsed()))
}

/// The named stages, in the order of the table, or all that are not on demand.
fn select(names: &[String]) -> Result<Vec<&'static Stage>> {
    if let Some(unknown) = names.iter().find(|name| !STAGES.iter().any(|stage| stage.name == name.as_str())) {
        let known = STAGES.iter().map(|stage| stage.name).collect::<Vec<_>>().join(", ");
        bail!("there is no stage {unknown:?}; the stages are {known}");
    }
    let wanted = |stage: &&Stage| match names {
        [] => !stage.on_demand,
        names => names.iter().any(|name| name == stage.name),
    };
    Ok(STAGES.iter().filter(wanted).collect())
}

fn stage_list() -> String {
    let line = |stage: &Stage| {
        let when = if stage.on_demand { " [on demand]" } else { "" };
        format!("  {:<16} {}{when} (budget {} s)", stage.name, stage.does, stage.budget)
    };
    format!("Stages:\n{}", STAGES.iter().map(line).collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_names_every_stage_runs_but_those_on_demand() {
        let stages = select(&[]).unwrap();
        assert!(stages.iter().all(|stage| !stage.on_demand));
        assert!(stages.iter().any(|stage| stage.name == "unit"));
    }

    #[test]
    fn named_stages_run_in_the_tables_order() {
        let names = ["monitoring".to_owned(), "fmt".to_owned()];
        let stages = select(&names).unwrap().iter().map(|stage| stage.name).collect::<Vec<_>>();
        assert_eq!(stages, ["fmt", "monitoring"]);
    }

    #[test]
    fn an_unknown_stage_is_refused_with_the_list() {
        let error = select(&["units".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("\"units\"") && error.contains("unit, e2e"), "{error}");
    }

    #[test]
    fn the_budgets_of_a_whole_run_are_75_minutes() {
        let seconds: u64 = select(&[]).unwrap().iter().map(|stage| stage.budget).sum();
        assert!(seconds <= 75 * 60, "{seconds} s");
    }
}
