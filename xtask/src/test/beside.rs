//! A stage that runs while another one waits: in a process of its own, at the lowest priority, so that the other one finds
//! its processors free; what it prints is shown when it has ended.

use std::io::{Read, Seek, SeekFrom};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::{Outcome, run_one};
use crate::stages::Stage;
use crate::{process, workspace};

/// What begins the line with the reason.
const FAILED: &str = "failed: ";
const SKIPPED: &str = "skipped: ";

/// A stage that is running.
pub(super) struct Beside {
    stage: &'static Stage,
    started: Instant,
    running: Result<(std::thread::JoinHandle<Result<Duration>>, std::fs::File)>,
}

impl Beside {
    pub(super) fn start(stage: &'static Stage) -> Self {
        println!("    (in the background; its output follows when it has ended)");
        let started = Instant::now();
        let running = workspace::this_program().and_then(|program| {
            let mut command = Command::new(program);
            spawn(command.args(["test", "--beside", stage.name]))
        });
        let running = running.map(|(child, output)| (std::thread::spawn(move || end(child, started)), output));
        Self { stage, started, running }
    }

    /// Waits for its end and shows its output.
    pub(super) fn wait(self) -> (&'static Stage, Outcome, Duration) {
        let Self { stage, started, running } = self;
        let ended = running.and_then(|(thread, output)| {
            let elapsed = thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("its thread panicked")))?;
            Ok((text(output)?, elapsed))
        });
        match ended {
            Ok((text, elapsed)) => {
                let (shown, outcome) = split(&text);
                println!("\n==> {}, which ran beside:\n{shown}", stage.name);
                (stage, outcome, elapsed)
            }
            Err(error) => (stage, Outcome::Failed(format!("{error:#}")), started.elapsed()),
        }
    }
}

/// Starts the command with both of its streams into one file. It stays in this process's group: Ctrl-C reaches it.
fn spawn(command: &mut Command) -> Result<(Child, std::fs::File)> {
    let output = tempfile::tempfile().context("no temporary file")?;
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output.try_clone()?);
    let child = command.spawn().with_context(|| format!("cannot start `{}`", process::display(command)))?;
    Ok((child, output))
}

fn end(mut child: Child, started: Instant) -> Result<Duration> {
    child.wait()?;
    Ok(started.elapsed())
}

fn text(mut output: std::fs::File) -> Result<String> {
    let mut bytes = Vec::new();
    output.seek(SeekFrom::Start(0))?;
    output.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The output and the outcome, which is its last line. A process that was killed wrote none.
fn split(text: &str) -> (&str, Outcome) {
    let text = text.trim_end();
    let (shown, last) = text.rsplit_once('\n').unwrap_or(("", text));
    if last == "passed" {
        return (shown, Outcome::Passed);
    }
    match (last.strip_prefix(FAILED), last.strip_prefix(SKIPPED)) {
        (Some(reason), _) => (shown, Outcome::Failed(reason.to_owned())),
        (_, Some(reason)) => (shown, Outcome::Skipped(reason.to_owned())),
        _ => (text, Outcome::Failed("it ended without saying how; its output is above".to_owned())),
    }
}

/// The other side of [`Beside`]: runs the stages and says how they ended.
pub(super) fn run_here(stages: &[&'static Stage]) -> ExitCode {
    let id = std::process::id().to_string();
    // Where that is refused it runs all the same.
    let _ = process::capture(Command::new("renice").args(["-n", "19", "-p", &id]));
    let outcome = stages.iter().map(|stage| run_one(stage)).find(|outcome| *outcome != Outcome::Passed);
    let one_line = |reason: String| reason.lines().collect::<Vec<_>>().join(" ");
    match outcome.unwrap_or(Outcome::Passed) {
        Outcome::Passed => println!("passed"),
        Outcome::Failed(reason) => println!("{FAILED}{}", one_line(reason)),
        Outcome::Skipped(reason) => println!("{SKIPPED}{}", one_line(reason)),
    }
    ExitCode::SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_the_outcome() {
        assert_eq!(split("17 jobs\npassed\n"), ("17 jobs", Outcome::Passed));
        assert_eq!(split("17 jobs\nfailed: 1 of 17\n"), ("17 jobs", Outcome::Failed("1 of 17".to_owned())));
        assert_eq!(split("skipped: no terraform\n"), ("", Outcome::Skipped("no terraform".to_owned())));
        for cut_off in ["", "17 jobs\n"] {
            assert!(matches!(split(cut_off).1, Outcome::Failed(_)), "{cut_off:?}");
        }
    }

    #[test]
    fn both_streams_are_kept_in_their_order() {
        let (child, output) = spawn(Command::new("sh").args(["-c", "echo one; echo two >&2; echo three"])).unwrap();
        end(child, Instant::now()).unwrap();
        assert_eq!(text(output).unwrap(), "one\ntwo\nthree\n");
    }
}
