//! Runs one stage and notes how it ended.

use anyhow::Result;

use crate::stages::Stage;
use crate::workspace;

/// How a stage ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Passed,
    Failed(String),
    Skipped(String),
}

/// Runs the stage in this process.
pub(super) fn run_one(stage: &Stage) -> Outcome {
    run_with(stage, stage.run)
}

/// Runs the stage in the given way, if the machine has what it needs. A missing prerequisite fails it in CI and skips it elsewhere.
pub(super) fn run_with(stage: &Stage, run: impl FnOnce() -> Result<()>) -> Outcome {
    for need in stage.needs {
        if let Some(reason) = need.complaint() {
            return if workspace::in_ci() { Outcome::Failed(reason) } else { Outcome::Skipped(reason) };
        }
    }
    match run() {
        Ok(()) => Outcome::Passed,
        Err(error) => Outcome::Failed(format!("{error:#}")),
    }
}
