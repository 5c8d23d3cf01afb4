//! `cargo xtask test`: runs stages one after the other and says how each ended.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::stages::{STAGES, Stage};
use crate::workspace;

/// Options of `cargo xtask test`.
#[derive(Debug, clap::Args)]
#[command(after_help = stage_list())]
pub(crate) struct Options {
    /// Stages to run; all that are not on demand when none is named.
    stages: Vec<String>,
    /// Print the stages and end.
    #[arg(long)]
    list: bool,
}

/// How a stage ended.
enum Outcome {
    Passed,
    Failed(String),
    Skipped(String),
}

/// Runs the stages. The last line on standard output is `N passed, N failed, N skipped`.
pub(crate) fn run(options: &Options) -> Result<()> {
    if options.list {
        println!("{}", stage_list());
        return Ok(());
    }
    let stages = select(&options.stages)?;
    let started = Instant::now();
    let mut results = Vec::with_capacity(stages.len());
    for (index, stage) in stages.iter().enumerate() {
        println!(
            "\n==> [{}/{}] {}: {} ({} so far)",
            index + 1,
            stages.len(),
            stage.name,
            stage.does,
            show(started.elapsed())
        );
        let stage_started = Instant::now();
        let outcome = run_one(stage);
        let elapsed = stage_started.elapsed();
        match &outcome {
            Outcome::Passed => println!("<== {} passed in {}", stage.name, show(elapsed)),
            Outcome::Failed(reason) => println!("<== {} FAILED after {}: {reason}", stage.name, show(elapsed)),
            Outcome::Skipped(reason) => println!("<== {} SKIPPED: {reason}", stage.name),
        }
        results.push((*stage, outcome, elapsed));
    }
    print_summary(&results, started.elapsed())
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
        if let Some(problem) = (need.problem)() {
            let reason = format!("needs {}: {problem}. To install: {}", need.name, need.install);
            return if workspace::in_ci() { Outcome::Failed(reason) } else { Outcome::Skipped(reason) };
        }
    }
    match (stage.run)() {
        Ok(()) => Outcome::Passed,
        Err(error) => Outcome::Failed(format!("{error:#}")),
    }
}

fn print_summary(results: &[(&Stage, Outcome, Duration)], elapsed: Duration) -> Result<()> {
    println!("\n{:<16} {:<8} {:>9}", "stage", "result", "time");
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for (stage, outcome, stage_elapsed) in results {
        let (word, note) = match outcome {
            Outcome::Passed => (count(&mut passed, "passed"), ""),
            Outcome::Failed(reason) => (count(&mut failed, "FAILED"), reason.as_str()),
            Outcome::Skipped(reason) => (count(&mut skipped, "SKIPPED"), reason.as_str()),
        };
        println!("{:<16} {word:<8} {:>9}  {note}", stage.name, show(*stage_elapsed));
    }
    println!("{:<16} {:<8} {:>9}", "all", "", show(elapsed));
    // On its own as the very last line: CI reads it. The error goes first, to the other stream.
    if failed > 0 {
        eprintln!("error: {failed} of {} stages failed", results.len());
    }
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    if failed > 0 {
        std::process::exit(1);
    }
    Ok(())
}

fn count<'a>(counter: &mut u32, word: &'a str) -> &'a str {
    *counter += 1;
    word
}

/// `42.1 s`, or `3 min 07 s` from a minute on.
fn show(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds / 60 {
        0 => format!("{:.1} s", duration.as_secs_f64()),
        minutes => format!("{minutes} min {:02} s", seconds % 60),
    }
}

fn stage_list() -> String {
    let line = |stage: &Stage| {
        let when = if stage.on_demand { " [on demand]" } else { "" };
        format!("  {:<16} {}{when}", stage.name, stage.does)
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
    fn times_read_well() {
        assert_eq!(show(Duration::from_millis(1234)), "1.2 s");
        assert_eq!(show(Duration::from_secs(187)), "3 min 07 s");
    }
}
