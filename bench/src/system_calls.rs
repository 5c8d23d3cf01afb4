//! How many system calls a process makes, counted by `perf` or `strace`, whichever the machine has and allows.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::child_process::{ChildProcess, clean};

/// How long a counter may take to begin or to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// A program that counts.
struct Counter {
    program: &'static str,
    arguments: &'static [&'static str],
    /// Whether a line says that it has begun.
    has_begun: fn(&str) -> bool,
    /// The calls that a line counts.
    calls: fn(&str) -> Option<u64>,
}

/// In the order of preference: `strace` stops the process at each call.
const COUNTERS: [Counter; 2] = [
    Counter {
        program: "perf",
        // A line every 100 ms; the first also says that it has begun.
        arguments: &["stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "-I", "100", "-p"],
        has_begun: |line| line.contains("raw_syscalls:sys_enter"),
        calls: perf_calls,
    },
    Counter {
        program: "strace",
        arguments: &["-f", "-c", "-p"],
        has_begun: |line| line.contains(" attached"),
        calls: strace_calls,
    },
];

/// The system calls of process `id` during `work`; the inner error says why they could not be counted.
pub(crate) fn count(id: u32, mut work: impl FnMut() -> Result<()>) -> Result<Result<u64, String>> {
    let mut problems = Vec::new();
    for counter in &COUNTERS {
        let counted = match begin(counter, id) {
            Ok(process) => {
                work()?;
                end(counter, &process)
            }
            Err(error) => Err(error),
        };
        match counted {
            Ok(calls) => return Ok(Ok(calls)),
            Err(error) => problems.push(format!("{}: {error:#}", counter.program)),
        }
    }
    Ok(Err(problems.join("; ")))
}

fn begin(counter: &Counter, id: u32) -> Result<ChildProcess> {
    let mut command = clean(counter.program);
    command.args(counter.arguments).arg(id.to_string()).envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    let process = ChildProcess::logging(command)?;
    process.wait_for("sign that it counts", PATIENCE, |log| log.lines().any(counter.has_begun).then_some(()))?;
    Ok(process)
}

/// Interrupts the counter, which then prints the rest.
fn end(counter: &Counter, process: &ChildProcess) -> Result<u64> {
    let mut kill = clean("/bin/sh");
    let sent = kill.args(["-c", "kill -s INT \"$0\"", &process.id().to_string()]).status().context("cannot run sh")?;
    anyhow::ensure!(sent.success(), "it cannot be interrupted");
    let log = process.whole_log(PATIENCE)?;
    Ok(log.lines().filter_map(counter.calls).sum())
}

/// `0.100149935,106,,raw_syscalls:sys_enter,715097,100.00,,`; `<not counted>` stands for none.
fn perf_calls(line: &str) -> Option<u64> {
    line.split(',').nth(1)?.parse().ok()
}

/// `50.00    0.000012           1        85         3 read`: the fourth column; the last line is their sum.
fn strace_calls(line: &str) -> Option<u64> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    fields.first()?.parse::<f64>().ok()?;
    (fields.last() != Some(&"total")).then(|| fields.get(3)?.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_read_from_what_the_programs_print() {
        let perf = "     0.100149935,106,,raw_syscalls:sys_enter,715097,100.00,,";
        assert_eq!(perf_calls(perf), Some(106));
        assert_eq!(perf_calls(&perf.replace("106", "<not counted>")), None);
        let strace = [
            "strace: Process 7 attached",
            "% time     seconds  usecs/call     calls    errors syscall",
            "------ ----------- ----------- --------- --------- ----------------",
            " 50.00    0.000012           1        85         3 read",
            " 50.00    0.000012           1        15           futex",
            "------ ----------- ----------- --------- --------- ----------------",
            "100.00    0.000024           1       100         3 total",
        ];
        assert_eq!(strace.into_iter().filter_map(strace_calls).sum::<u64>(), 100);
        assert!((COUNTERS[1].has_begun)(strace[0]) && (COUNTERS[0].has_begun)(perf));
    }

    #[test]
    fn a_process_that_is_not_there_is_a_reason_and_no_failure() {
        let counted = count(u32::MAX, || Ok(())).unwrap();
        assert!(counted.unwrap_err().contains("perf: "));
    }
}
