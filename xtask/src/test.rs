//! `cargo xtask test`: runs stages and says how each ended.

mod beside;
mod summary;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::stages::{STAGES, Stage};
use crate::{tools, workspace};
use beside::Beside;
use summary::{Report, show};

/// Options of `cargo xtask test`.
#[derive(Debug, clap::Args)]
#[command(after_help = stage_list())]
pub(crate) struct Options {
    /// Stages to run; all that are not on demand when none is named.
    stages: Vec<String>,
    /// Print the stages and end.
    #[arg(long)]
    list: bool,
    /// Run one stage beside another: at the lowest priority, and without the table.
    #[arg(long, hide = true)]
    beside: bool,
}

/// How a stage ended.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    Passed,
    Failed(String),
    Skipped(String),
}

/// Runs the stages. The last line on standard output is `N passed, N failed, N skipped`.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    if options.list {
        println!("{}", stage_list());
        return Ok(ExitCode::SUCCESS);
    }
    let stages = select(&options.stages)?;
    if options.beside {
        return Ok(beside::run_here(&stages));
    }
    let started = Instant::now();
    if options.stages.is_empty() {
        // They are needed in a later stage, and wait for the network while the first ones compile.
        std::thread::spawn(tools::fetch_all);
    }
    let (later, now): (Vec<&'static Stage>, Vec<&'static Stage>) =
        stages.iter().copied().partition(|stage| runs_beside(stage, &stages));
    let mut reports = Vec::with_capacity(stages.len());
    for stage in now {
        let companions = later.iter().filter(|it| it.beside == Some(stage.name));
        let companions: Vec<_> =
            companions.map(|it| announce(it, reports.len(), &stages, started, || Beside::start(it))).collect();
        let (outcome, elapsed) =
            announce(stage, reports.len() + companions.len(), &stages, started, || timed(|| run_one(stage)));
        reports.push(Report::new(stage, outcome, elapsed).told());
        for companion in companions {
            let (stage, outcome, elapsed) = companion.wait();
            reports.push(Report::new(stage, outcome, elapsed).told());
        }
    }
    Ok(summary::print(&reports, started.elapsed()))
}

/// Whether the stage that it runs beside is to run too.
fn runs_beside(stage: &Stage, stages: &[&Stage]) -> bool {
    stage.beside.is_some_and(|other| stages.iter().any(|stage| stage.name == other))
}

/// Says what starts, and starts it.
fn announce<T>(stage: &Stage, before: usize, stages: &[&Stage], started: Instant, start: impl FnOnce() -> T) -> T {
    let so_far = show(started.elapsed());
    println!("\n==> [{}/{}] {}: {} ({so_far} so far)", before + 1, stages.len(), stage.name, stage.does);
    start()
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, std::time::Duration) {
    let started = Instant::now();
    let result = work();
    (result, started.elapsed())
}

/// The stages named, in the order of the table, or all that are not on demand.
fn select(names: &[String]) -> Result<Vec<&'static Stage>> {
    if let Some(unknown) = names.iter().find(|name| !STAGES.iter().any(|stage| stage.name == name.as_str())) {
        let known = STAGES.iter().map(|stage| stage.name).collect::<Vec<_>>().join(", ");
        bail!("no stage {unknown:?}; the stages are {known}");
    }
    let wanted = |stage: &&Stage| match names {
        [] => !stage.on_demand,
        names => names.iter().any(|name| name == stage.name),
    };
    Ok(STAGES.iter().filter(wanted).collect())
}

fn run_one(stage: &Stage) -> Outcome {
    for need in stage.needs {
        if let Some(reason) = need.complaint() {
            return if workspace::in_ci() { Outcome::Failed(reason) } else { Outcome::Skipped(reason) };
        }
    }
    match (stage.run)() {
        Ok(()) => Outcome::Passed,
        Err(error) => Outcome::Failed(format!("{error:#}")),
    }
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
    fn a_stage_runs_beside_another_only_when_that_one_runs() {
        let infra = |names: &[&str]| {
            let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
            let stages = select(&names).unwrap();
            stages.iter().find(|stage| stage.name == "infra").map(|stage| runs_beside(stage, &stages))
        };
        assert_eq!(
            (infra(&[]), infra(&["infra", "ha"]), infra(&["infra", "unit"])),
            (Some(true), Some(true), Some(false))
        );
        let known = |stage: &Stage| {
            stage.beside.is_none_or(|name| STAGES.iter().any(|it| it.name == name && it.beside.is_none()))
        };
        assert!(STAGES.iter().all(known), "a stage runs beside one that is not in the table, or does so itself");
    }

    #[test]
    fn the_budgets_of_a_whole_run_are_40_minutes() {
        let stages = select(&[]).unwrap();
        let seconds: u64 = stages.iter().filter(|stage| !runs_beside(stage, &stages)).map(|stage| stage.budget).sum();
        assert!(seconds <= 40 * 60, "{seconds} s");
    }
}
