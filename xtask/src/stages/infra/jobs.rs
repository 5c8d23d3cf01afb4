//! Commands that do not depend on each other, run side by side, one for each processor.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};
use std::thread::{available_parallelism, scope};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::process::{self, Captured};

/// More would cost a lot of memory for little time: each Terraform process keeps the provider's schema, up to 2 GB.
const AT_ONCE: usize = 4;
/// How long one job may take. The longest takes three minutes on two idle processors; beside other stages it gets what those leave.
const BOUND: Duration = Duration::from_secs(1800);

/// One command.
pub(super) struct Job {
    /// How long it takes compared with others: long ones start first, so that no processor is idle at the end.
    weight: usize,
    /// For the progress lines.
    name: String,
    command: Command,
    /// Where its standard output is kept.
    pub(super) output: Option<PathBuf>,
}

impl Job {
    pub(super) fn new(weight: usize, name: String, command: Command) -> Self {
        Self { weight, name, command, output: None }
    }

    fn run(&mut self, bound: Duration) -> Result<Output> {
        let captured = process::capture_within(&mut self.command, bound)
            .with_context(|| format!("cannot start {}", process::display(&self.command)))?;
        let Captured { status: Some(status), stdout, stderr } = captured else {
            let (stdout, stderr) =
                (String::from_utf8_lossy(&captured.stdout), String::from_utf8_lossy(&captured.stderr));
            bail!(
                "still running after {} s, so it was killed; until then it printed:\n{stdout}{stderr}",
                bound.as_secs()
            );
        };
        if let Some(path) = &self.output {
            std::fs::write(path, &stdout).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(Output { status, stdout, stderr })
    }
}

/// Runs all jobs even if some fail, and prints a line when each one ends; the output of failed jobs is shown.
///
/// # Errors
/// Names the jobs that failed.
pub(super) fn run_side_by_side(mut jobs: Vec<Job>) -> Result<()> {
    jobs.sort_by_key(|job| job.weight);
    let total = jobs.len();
    let workers = available_parallelism().map_or(1, usize::from).min(AT_ONCE);
    println!("{total} jobs, {workers} at a time");
    let waiting = Mutex::new(jobs);
    // Also keeps the lines of two workers apart.
    let ended: Mutex<(usize, Vec<String>)> = Mutex::new((0, Vec::new()));
    scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(mut job) = take(&waiting) {
                    let started = Instant::now();
                    let result = job.run(BOUND);
                    let seconds = started.elapsed().as_secs_f64();
                    let mut ended = ended.lock().unwrap_or_else(PoisonError::into_inner);
                    ended.0 += 1;
                    if !report(&format!("[{}/{total}] {}", ended.0, job.name), seconds, &result) {
                        ended.1.push(job.name);
                    }
                }
            });
        }
    });
    let (_, failed) = ended.into_inner().unwrap_or_else(PoisonError::into_inner);
    if !failed.is_empty() {
        bail!("{} of {total} failed: {}", failed.len(), failed.join("; "));
    }
    Ok(())
}

/// The heaviest job that is waiting.
fn take(waiting: &Mutex<Vec<Job>>) -> Option<Job> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner).pop()
}

/// Prints how a job ended; true if it passed.
fn report(name: &str, seconds: f64, result: &Result<Output>) -> bool {
    match result {
        Ok(output) if output.status.success() => {
            let text = String::from_utf8_lossy(&output.stdout);
            let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
            println!("{name}: {last} ({seconds:.1} s)");
            true
        }
        Ok(output) => {
            println!("{name}: FAILED ({seconds:.1} s)");
            println!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            false
        }
        Err(error) => {
            println!("{name}: FAILED: {error:#}");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_hangs_is_ended_and_what_it_printed_is_shown() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo planning; echo no answer >&2; sleep 60"]);
        let error = Job::new(0, "hanging".to_owned(), command).run(Duration::from_secs(3)).unwrap_err().to_string();
        assert!(error.starts_with("still running after 3 s"), "{error}");
        assert!(error.ends_with("planning\nno answer\n"), "{error}");
    }
}
