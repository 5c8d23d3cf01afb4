//! What a process has used, from `/proc` (proc(5)): CPU time of all its threads, context switches, and its peak memory.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

/// Units of `utime` and `stime` a second: `USER_HZ`, which is 100 on `x86_64` and arm64 whatever the kernel's own clock is.
const TICKS_PER_SECOND: f64 = 100.0;

/// What a process has used since it started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProcessFigures {
    cpu_ticks: u64,
    /// By thread: one that ends takes its number with it.
    switches: BTreeMap<u32, u64>,
}

/// What it used between two readings.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Used {
    pub(crate) cpu_seconds: f64,
    /// Voluntary and involuntary.
    pub(crate) switches: u64,
}

impl ProcessFigures {
    /// Reads the figures of a process that runs.
    pub(crate) fn read(id: u32) -> Result<Self> {
        let stat = read(&format!("/proc/{id}/stat"))?;
        let cpu_ticks = cpu_ticks(&stat).with_context(|| format!("/proc/{id}/stat has no utime and stime: {stat}"))?;
        let tasks = format!("/proc/{id}/task");
        let mut switches = BTreeMap::new();
        for task in std::fs::read_dir(&tasks).with_context(|| format!("cannot read {tasks}"))?.flatten() {
            // A thread may end while the folder is read.
            let Ok(status) = std::fs::read_to_string(task.path().join("status")) else { continue };
            let thread = task.file_name().to_string_lossy().parse().unwrap_or_default();
            switches.insert(thread, context_switches(&status));
        }
        Ok(Self { cpu_ticks, switches })
    }

    /// What was used since `before`.
    pub(crate) fn since(&self, before: &Self) -> Used {
        let earlier = |thread| before.switches.get(thread).copied().unwrap_or_default();
        let switches = self.switches.iter().map(|(thread, count)| count.saturating_sub(earlier(thread))).sum();
        Used { cpu_seconds: self.cpu_ticks.saturating_sub(before.cpu_ticks) as f64 / TICKS_PER_SECOND, switches }
    }
}

/// The most memory that a process had resident, in KiB.
pub(crate) fn peak_kib(id: u32) -> Result<u64> {
    let path = format!("/proc/{id}/status");
    number(&read(&path)?, "VmHWM").with_context(|| format!("{path} has no VmHWM"))
}

fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(path)
        .with_context(|| format!("cannot read {path}: the process has ended, or this is no Linux"))
}

/// `utime` + `stime`, fields 14 and 15. They are counted from behind the name, which may have spaces and parentheses.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

fn context_switches(status: &str) -> u64 {
    let count = |name| number(status, name).unwrap_or_default();
    count("voluntary_ctxt_switches") + count("nonvoluntary_ctxt_switches")
}

/// The number behind `name:`.
fn number(status: &str, name: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    value.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_shifts_no_field() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 95 0 0 0 12 34 5 6 20 0 9 0 100 200 300";
        assert_eq!(cpu_ticks(stat), Some(46));
        assert_eq!(cpu_ticks("7 (a) S 1 7"), None);
    }

    #[test]
    fn counts_are_found_by_their_whole_name() {
        let status = "Name:\tx\nVmHWM:\t   12340 kB\nvoluntary_ctxt_switches:\t5\nnonvoluntary_ctxt_switches:\t2\n";
        assert_eq!((number(status, "VmHWM"), context_switches(status)), (Some(12340), 7));
        assert_eq!(number(status, "VmRSS"), None);
    }

    #[test]
    fn threads_that_came_count_and_those_that_went_do_not() {
        let figures = |cpu_ticks, switches: &[(u32, u64)]| ProcessFigures {
            cpu_ticks,
            switches: switches.iter().copied().collect(),
        };
        let used = figures(150, &[(1, 12), (3, 4)]).since(&figures(100, &[(1, 10), (2, 50)]));
        assert_eq!(used, Used { cpu_seconds: 0.5, switches: 6 });
    }

    #[test]
    fn this_process_has_figures() {
        let id = std::process::id();
        let before = ProcessFigures::read(id).unwrap();
        assert!(!before.switches.is_empty() && peak_kib(id).unwrap() > 0);
        // A wait that ends by its limit: the thread is switched away from at least once.
        let (_sender, receiver) = std::sync::mpsc::channel::<()>();
        assert!(receiver.recv_timeout(std::time::Duration::from_millis(2)).is_err());
        let used = ProcessFigures::read(id).unwrap().since(&before);
        assert!(used.switches > 0 && used.cpu_seconds < 60.0, "{used:?}");
        assert!(ProcessFigures::read(u32::MAX).is_err());
    }
}
