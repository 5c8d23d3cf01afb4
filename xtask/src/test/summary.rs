//! The table at the end of `cargo xtask test`.

use std::process::ExitCode;
use std::time::Duration;

use super::outcome::Outcome;
use crate::stages::Stage;
use crate::workspace;

/// The result of one stage.
pub(super) struct Report {
    stage: &'static Stage,
    outcome: Outcome,
    elapsed: Duration,
    /// A remark if the budget was exceeded.
    late: Option<String>,
}

impl Report {
    /// The report of a stage. In CI, a stage that took more than twice its budget has failed.
    pub(super) fn new(stage: &'static Stage, outcome: Outcome, elapsed: Duration) -> Self {
        Self::judge(stage, outcome, elapsed, workspace::in_ci())
    }

    fn judge(stage: &'static Stage, outcome: Outcome, elapsed: Duration, in_ci: bool) -> Self {
        let late = match elapsed.as_secs_f64() / stage.budget as f64 {
            times if times > 2.0 => Some(format!("over twice its budget of {} s", stage.budget)),
            times if times > 1.0 => Some(format!("over its budget of {} s", stage.budget)),
            _ => None,
        };
        let too_late = in_ci && elapsed > Duration::from_secs(2 * stage.budget);
        let outcome = match (outcome, &late) {
            (Outcome::Passed, Some(late)) if too_late => Outcome::Failed(late.clone()),
            (outcome, _) => outcome,
        };
        Self { stage, outcome, elapsed, late }
    }

    /// Prints how the stage ended.
    pub(super) fn tell(&self) {
        let (name, elapsed) = (self.stage.name, show(self.elapsed));
        match &self.outcome {
            Outcome::Passed => println!("<== {name} passed in {elapsed}"),
            Outcome::Failed(reason) => println!("<== {name} FAILED after {elapsed}: {reason}"),
            Outcome::Skipped(reason) => println!("<== {name} SKIPPED: {reason}"),
        }
    }

    fn row(&self) -> String {
        let (word, reason) = match &self.outcome {
            Outcome::Passed => ("passed", None),
            Outcome::Failed(reason) => ("FAILED", Some(reason)),
            Outcome::Skipped(reason) => ("SKIPPED", Some(reason)),
        };
        let late = self.late.as_ref().filter(|late| reason != Some(*late)).map(|late| format!("warning: {late}"));
        let note = [reason.cloned(), late].into_iter().flatten().collect::<Vec<_>>().join("; ");
        let (seconds, budget) = (self.elapsed.as_secs_f64(), self.stage.budget);
        format!("{:<16} {word:<8} {seconds:>7.0} {budget:>7}  {note}", self.stage.name).trim_end().to_owned()
    }
}

/// Prints the table. The last line on standard output counts the stages: CI reads it.
pub(super) fn print(reports: &[Report], elapsed: Duration) -> ExitCode {
    println!("\n{:<16} {:<8} {:>7} {:>7}", "stage", "result", "seconds", "budget");
    for report in reports {
        println!("{}", report.row());
    }
    println!("{:<16} {:<8} {:>7.0}", "all", "", elapsed.as_secs_f64());
    let count = |wanted: fn(&Outcome) -> bool| reports.iter().filter(|report| wanted(&report.outcome)).count();
    let failed = count(|outcome| matches!(outcome, Outcome::Failed(_)));
    // The error comes first, on the other stream.
    if failed > 0 {
        eprintln!("error: {failed} of {} stages failed", reports.len());
    }
    let passed = count(|outcome| matches!(outcome, Outcome::Passed));
    println!("{passed} passed, {failed} failed, {} skipped", reports.len() - passed - failed);
    if failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// `42.1 s`, or `3 min 07 s` from one minute on.
pub(super) fn show(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds / 60 {
        0 => format!("{:.1} s", duration.as_secs_f64()),
        minutes => format!("{minutes} min {:02} s", seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::STAGES;

    /// Stage `fmt` after so many times its budget.
    fn after(times: f64, in_ci: bool) -> Report {
        let stage = &STAGES[0];
        Report::judge(stage, Outcome::Passed, Duration::from_secs_f64(stage.budget as f64 * times), in_ci)
    }

    #[test]
    fn a_stage_over_its_budget_is_a_warning_and_over_twice_a_failure_in_ci() {
        assert_eq!(after(0.9, true).row(), "fmt              passed        18      20");
        assert_eq!(
            after(1.5, true).row(),
            "fmt              passed        30      20  warning: over its budget of 20 s"
        );
        assert_eq!(after(2.0, true).outcome, Outcome::Passed);
        assert_eq!(after(2.1, true).row(), "fmt              FAILED        42      20  over twice its budget of 20 s");
        let elsewhere = after(2.1, false).row();
        assert_eq!(elsewhere, "fmt              passed        42      20  warning: over twice its budget of 20 s");
    }

    #[test]
    fn a_failure_keeps_its_reason_beside_the_warning() {
        let failed = Outcome::Failed("2 tests failed".to_owned());
        let row = Report::judge(&STAGES[0], failed, Duration::from_secs(60), true).row();
        assert!(row.ends_with("2 tests failed; warning: over twice its budget of 20 s"), "{row}");
    }

    #[test]
    fn times_read_well() {
        assert_eq!(show(Duration::from_millis(1234)), "1.2 s");
        assert_eq!(show(Duration::from_secs(187)), "3 min 07 s");
    }
}
