//! Stages that run beside others, with the processor time that those leave.

use std::fs::File;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::outcome::run_with;
use super::summary::Report;
use crate::stages::Stage;
use crate::{process, workspace};

/// Those that wait in the foreground come first: nine of ten parts of a core go to them.
const NICENESS: &str = "10";

/// Runs stages one after the other, each in a process of its own whose output is kept until it has ended.
pub(super) struct Background {
    queue: Option<Sender<&'static Stage>>,
    done: Receiver<Finished>,
    worker: Option<JoinHandle<()>>,
    finished: Vec<Finished>,
}

/// A stage that has ended, and what it wrote.
struct Finished {
    stage: &'static Stage,
    report: Report,
    output: String,
}

impl Background {
    pub(super) fn start() -> Result<Self> {
        let logs = tempfile::tempdir().context("cannot create a temporary folder for the output of stages")?;
        let (queue, stages) = channel::<&'static Stage>();
        let (sender, done) = channel();
        let worker = std::thread::spawn(move || {
            for stage in stages {
                // Nobody waits for it any more if the run was given up.
                let _ = sender.send(run(stage, &logs));
            }
        });
        Ok(Self { queue: Some(queue), done, worker: Some(worker), finished: Vec::new() })
    }

    /// Runs the stage when those before it have ended.
    pub(super) fn queue(&self, stage: &'static Stage) {
        println!("\n==> {}: {}, beside the next stages", stage.name, stage.does);
        // The worker lives as long as the queue.
        let _ = self.queue.as_ref().map(|queue| queue.send(stage));
    }

    /// Waits for stages that were queued, and shows all that have ended.
    pub(super) fn wait_for(&mut self, names: &[&str]) {
        let is_missing = |finished: &[Finished]| {
            names.iter().any(|name| !finished.iter().any(|finished| finished.stage.name == *name))
        };
        while is_missing(&self.finished)
            && let Ok(finished) = self.done.recv()
        {
            self.show(finished);
        }
        while let Ok(finished) = self.done.try_recv() {
            self.show(finished);
        }
    }

    fn show(&mut self, finished: Finished) {
        println!("\n==> {}: what it wrote\n{}", finished.stage.name, finished.output.trim_end());
        finished.report.tell();
        self.finished.push(finished);
    }

    /// Waits for all, and returns their reports.
    pub(super) fn end(mut self) -> Vec<(&'static Stage, Report)> {
        self.queue = None;
        while let Ok(finished) = self.done.recv() {
            self.show(finished);
        }
        // It has ended, as its sender has.
        let _ = self.worker.take().map(JoinHandle::join);
        self.finished.into_iter().map(|finished| (finished.stage, finished.report)).collect()
    }
}

fn run(stage: &'static Stage, logs: &TempDir) -> Finished {
    let started = Instant::now();
    let log = logs.path().join(stage.name);
    let outcome = run_with(stage, || {
        let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = Command::new("nice");
        command.args(["-n", NICENESS]).arg(workspace::this_program()?).args(["test", "--bare", stage.name]);
        process::without_own_package(&mut command);
        let both = file.try_clone().context("cannot share the file of the output")?;
        let status = command.stdin(Stdio::null()).stdout(file).stderr(both).status();
        ensure!(status.context("cannot start `nice`")?.success(), "see what it wrote");
        Ok(())
    });
    let report = Report::new(stage, outcome, started.elapsed());
    let output = std::fs::read(&log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    Finished { stage, report, output }
}
