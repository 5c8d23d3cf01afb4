//! Subjects in turn: a machine that gets slower or faster meanwhile does so for all of them.

use std::time::Duration;

use anyhow::Result;

use crate::child_process::Log;
use crate::process_figures::{ProcessFigures, Used, peak_kib};
use crate::report::{Measured, progress};
use crate::statistics::{Latencies, drift};
use crate::subject::{Load, Subject};
use crate::system_calls;

/// How often each subject has its turn.
pub(crate) const ROUNDS: usize = 20;
/// How many requests the system calls are counted over, in a run of their own: counting slows a process down.
const COUNTED_REQUESTS: usize = 500;

/// What was added up for one subject.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    pub(crate) durations: Vec<Duration>,
    pub(crate) used: Used,
    pub(crate) log_bytes: u64,
}

impl Sums {
    /// Runs `work`, which returns the duration of each request, and adds what the process used meanwhile.
    pub(crate) fn add(&mut self, id: u32, log: &Log, work: impl FnOnce() -> Result<Vec<Duration>>) -> Result<()> {
        let (log_before, before) = (log.bytes(), ProcessFigures::read(id)?);
        let durations = work()?;
        let used = ProcessFigures::read(id)?.since(&before);
        self.durations.extend(durations);
        self.used.cpu_seconds += used.cpu_seconds;
        self.used.switches += used.switches;
        self.log_bytes += log.bytes() - log_before;
        Ok(())
    }

    /// The figures, for a process that is still there.
    pub(crate) fn figures(&self, subject: &'static str, id: u32) -> Result<Measured> {
        Ok(Measured {
            subject,
            requests: self.durations.len(),
            seconds: self.durations.iter().sum::<Duration>().as_secs_f64(),
            latency_ms: Latencies::new(&self.durations),
            drift: drift(&self.durations),
            cpu_seconds: self.used.cpu_seconds,
            switches: self.used.switches,
            log_bytes: self.log_bytes,
            peak_kib: peak_kib(id)?,
            ..Measured::default()
        })
    }
}

/// The subjects of round `round`: another one begins each time.
pub(crate) fn order(round: usize, subjects: usize) -> impl Iterator<Item = usize> {
    (0..subjects).map(move |turn| (round + turn) % subjects)
}

/// Makes at least `requests` requests to each subject, one at a time.
pub(crate) fn measure(
    benchmark: &'static str,
    mut subjects: Vec<Subject>,
    load: &Load,
    requests: usize,
) -> Result<Vec<Measured>> {
    let per_round = requests.div_ceil(ROUNDS);
    let mut sums: Vec<Sums> = subjects.iter().map(|_| Sums::default()).collect();
    for subject in &mut subjects {
        // Connections, caches and memory are as they will stay.
        subject.make(load, per_round)?;
    }
    for round in 0..ROUNDS {
        progress(&format!("{benchmark}: round {} of {ROUNDS}", round + 1));
        for turn in order(round, subjects.len()) {
            let subject = &mut subjects[turn];
            let (id, log) = (subject.process.id(), subject.process.log());
            sums[turn].add(id, &log, || subject.make(load, per_round))?;
        }
    }
    let mut measured = Vec::new();
    for (subject, sums) in subjects.iter_mut().zip(&sums) {
        progress(&format!("{benchmark}: system calls of `{}`", subject.name));
        let mut figures = sums.figures(subject.name, subject.process.id())?;
        let counted = system_calls::count(subject.process.id(), || subject.make(load, COUNTED_REQUESTS).map(drop))?;
        match counted {
            Ok(calls) => figures.system_calls_per_request = Some(calls as f64 / COUNTED_REQUESTS as f64),
            Err(reason) => figures.no_system_calls_because = Some(reason),
        }
        measured.push(Measured { benchmark, records: load.records, connections: 1, ..figures });
    }
    Ok(measured)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_subject_begins_as_often_as_the_others() {
        let orders: Vec<Vec<usize>> = (0..4).map(|round| order(round, 3).collect()).collect();
        assert_eq!(orders, [[0, 1, 2], [1, 2, 0], [2, 0, 1], [0, 1, 2]]);
    }
}
