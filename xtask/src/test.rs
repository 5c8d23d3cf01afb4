//! `cargo xtask test`: runs stages and reports how each ended.

mod background;
mod outcome;
mod summary;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::stages::{STAGES, Stage};
use crate::tools;
use background::Background;
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
    /// Runs one stage without a heading and a table, as a run of all does beside others.
    #[arg(long, hide = true)]
    bare: bool,
}

/// Runs the stages. The last line on standard output is `N passed, N failed, N skipped`.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    if options.list {
        println!("{}", stage_list());
        return Ok(ExitCode::SUCCESS);
    }
    let stages = select(&options.stages)?;
    if options.bare {
        return stages.iter().try_for_each(|stage| (stage.run)()).map(|()| ExitCode::SUCCESS);
    }
    let started = Instant::now();
    let reports = match options.stages.is_empty() {
        true => run_all(&stages, started)?,
        false => stages.iter().enumerate().map(|at| run_shown(at, stages.len(), started)).collect(),
    };
    Ok(summary::print(&reports, started.elapsed()))
}

/// Runs a stage under its heading.
fn run_shown((index, stage): (usize, &&'static Stage), count: usize, started: Instant) -> Report {
    let so_far = show(started.elapsed());
    println!("\n==> [{}/{count}] {}: {} ({so_far} so far)", index + 1, stage.name, stage.does);
    let stage_started = Instant::now();
    let report = Report::new(stage, run_one(stage), stage_started.elapsed());
    report.tell();
    report
}

/// Runs the stages, those that may beside the others.
fn run_all(stages: &[&'static Stage], started: Instant) -> Result<Vec<Report>> {
    // Later stages need them, and they can be downloaded while the first stages compile.
    std::thread::spawn(tools::fetch_all);
    let mut background = Background::start()?;
    let mut reports = Vec::with_capacity(stages.len());
    for (index, stage) in stages.iter().enumerate() {
        if stage.beside {
            background.queue(stage);
            continue;
        }
        background.wait_for(stage.after);
        reports.push((*stage, run_shown((index, stage), stages.len(), started)));
    }
    reports.extend(background.end());
    reports.sort_by_key(|(stage, _)| stages.iter().position(|listed| listed.name == stage.name));
    Ok(reports.into_iter().map(|(_, report)| report).collect())
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
        assert!(error.contains("\"units\"") && error.contains("unit, contract"), "{error}");
    }

    #[test]
    fn a_stage_waits_only_for_those_before_it_that_run_beside_others() {
        let stages = select(&[]).unwrap();
        for (index, stage) in stages.iter().enumerate() {
            let queued = |name: &&str| stages[..index].iter().any(|before| before.beside && before.name == *name);
            assert!(stage.after.iter().all(queued), "{} waits for {:?}", stage.name, stage.after);
            assert!(!stage.beside || stage.after.is_empty(), "{} cannot wait", stage.name);
        }
    }

    #[test]
    fn the_budgets_of_a_whole_run_are_75_minutes() {
        let stages = select(&[]).unwrap();
        let seconds: u64 = stages.iter().filter(|stage| !stage.beside).map(|stage| stage.budget).sum();
        assert!(seconds <= 75 * 60, "{seconds} s");
    }
}
