//! The tables on standard output, and the file with the figures.

use std::io::IsTerminal;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::settings::{Benchmark, Settings};
use crate::statistics::Latencies;
use crate::subject::RAW;

/// Raw librdkafka is the control: if its median moves more than this within a run, the machine was busy with something else.
const MOST_DRIFT: f64 = 0.15;

/// The figures of one subject in one case.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Measured {
    pub(crate) benchmark: &'static str,
    /// `this`, `against` or `raw`.
    pub(crate) subject: &'static str,
    /// In each request.
    pub(crate) records: usize,
    /// Requests at the same time.
    pub(crate) connections: usize,
    pub(crate) requests: usize,
    /// The time in which they were made.
    pub(crate) seconds: f64,
    /// The size of an event, of `decode` only.
    pub(crate) bytes_per_request: usize,
    pub(crate) latency_ms: Latencies,
    /// How much the median moved between the halves of the run, as a fraction.
    pub(crate) drift: f64,
    pub(crate) cpu_seconds: f64,
    pub(crate) switches: u64,
    pub(crate) system_calls_per_request: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) no_system_calls_because: Option<String>,
    pub(crate) log_bytes: u64,
    pub(crate) peak_kib: u64,
}

/// A column: its title, its decimals, and its value.
type Column = (&'static str, usize, fn(&Measured) -> Option<f64>);

const LATENCY: [Column; 4] = [
    ("p50 ms", 3, |m| Some(m.latency_ms.p50)),
    ("p90 ms", 3, |m| Some(m.latency_ms.p90)),
    ("p99 ms", 3, |m| Some(m.latency_ms.p99)),
    ("max ms", 2, |m| Some(m.latency_ms.max)),
];
const OF_A_REQUEST: [Column; 5] = [
    ("CPU s/10k", 2, |m| per(m.cpu_seconds * 1e4, m.requests as f64)),
    ("switches", 1, |m| per(m.switches as f64, m.requests as f64)),
    ("syscalls", 1, |m| m.system_calls_per_request),
    ("log B", 0, |m| per(m.log_bytes as f64, m.requests as f64)),
    PEAK,
];
const PEAK: Column = ("peak MB", 1, |m| Some(m.peak_kib as f64 * 1024.0 / 1e6));
const OF_BYTES: [Column; 2] =
    [("MB/s", 1, |m| per(megabytes(m), m.seconds)), ("MB/CPU s", 1, |m| per(megabytes(m), m.cpu_seconds))];
const OF_A_RECORD: [Column; 4] = [
    ("records/s", 0, |m| per((m.requests * m.records) as f64, m.seconds)),
    ("CPU us/record", 1, |m| per(m.cpu_seconds * 1e6, (m.requests * m.records) as f64)),
    ("switches/record", 2, |m| per(m.switches as f64, (m.requests * m.records) as f64)),
    PEAK,
];

fn per(value: f64, count: f64) -> Option<f64> {
    (count > 0.0).then(|| value / count)
}

fn megabytes(measured: &Measured) -> f64 {
    (measured.bytes_per_request * measured.requests) as f64 / 1e6
}

/// The figures of a run so far.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    cpus: usize,
    memory_mb: u32,
    bootstrap: String,
    /// `/proc/loadavg` before the first benchmark, and at the end.
    load: Vec<String>,
    measured: Vec<Measured>,
}

impl Report {
    pub(crate) fn new(settings: &Settings) -> Self {
        let cpus = std::thread::available_parallelism().map_or(0, Into::into);
        let (memory_mb, bootstrap) = (settings.memory_mb, settings.bootstrap.clone());
        Self { cpus, memory_mb, bootstrap, load: vec![load()], measured: Vec::new() }
    }

    pub(crate) fn add(&mut self, measured: Vec<Measured>) {
        self.measured.extend(measured);
    }

    /// Prints the tables of a benchmark, and what may be wrong with its figures.
    pub(crate) fn print(&self, benchmark: Benchmark, measured: &[Measured]) {
        let columns = match benchmark {
            Benchmark::Warm | Benchmark::Batch => [LATENCY.as_slice(), &OF_A_REQUEST].concat(),
            Benchmark::Decode => [OF_BYTES.as_slice(), &LATENCY, &OF_A_REQUEST].concat(),
            Benchmark::Http => [OF_A_RECORD.as_slice(), &LATENCY].concat(),
        };
        for case in measured.chunk_by(|a, b| (a.records, a.connections) == (b.records, b.connections)) {
            let Some(first) = case.first() else { continue };
            let requests = case.iter().map(|subject| subject.requests.to_string()).collect::<Vec<_>>().join(", ");
            println!(
                "\n{}: records a request: {}; requests at a time: {}; requests made: {requests}; CPUs: {}; load: {}",
                benchmark.name(),
                first.records,
                first.connections,
                self.cpus,
                load()
            );
            println!("{}", table(&columns, case));
            for note in case.iter().filter_map(note) {
                println!("note: {note}");
            }
        }
    }

    /// Writes the figures as JSON.
    pub(crate) fn write(mut self, path: &Path) -> Result<()> {
        self.load.push(load());
        let text = serde_json::to_string_pretty(&self)? + "\n";
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}

fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

fn note(measured: &Measured) -> Option<String> {
    if measured.subject == RAW && measured.drift > MOST_DRIFT {
        let percent = measured.drift * 100.0;
        return Some(format!(
            "the median of raw librdkafka moved by {percent:.0} % within the run: the machine was busy, repeat it"
        ));
    }
    let reason = measured.no_system_calls_because.as_ref()?;
    Some(format!("`{}`: system calls are not counted: {reason}", measured.subject))
}

/// A row for each subject, then the ratios: each build to raw librdkafka, and this build to the other.
fn table(columns: &[Column], case: &[Measured]) -> String {
    let titles = columns.iter().map(|(title, ..)| (*title).to_owned());
    let mut rows = vec![std::iter::once(String::new()).chain(titles).collect::<Vec<_>>()];
    for subject in case {
        let cells = columns.iter().map(|(_, decimals, value)| shown(value(subject), *decimals));
        rows.push(std::iter::once(subject.subject.to_owned()).chain(cells).collect());
    }
    for (upper, lower) in [("this", RAW), ("against", RAW), ("this", "against")] {
        let named = |name| case.iter().find(|subject| subject.subject == name);
        let (Some(upper), Some(lower)) = (named(upper), named(lower)) else { continue };
        let ratio = |value: fn(&Measured) -> Option<f64>| per(value(upper)?, value(lower)?);
        let cells = columns.iter().map(|(_, _, value)| shown(ratio(*value), 2));
        rows.push(std::iter::once(format!("{} : {}", upper.subject, lower.subject)).chain(cells).collect());
    }
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..=columns.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).skip(1).map(|(cell, width)| format!("  {cell:>width$}"));
        format!("{:<width$}{}", row[0], cells.collect::<String>(), width = widths[0])
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn shown(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.decimals$}"))
}

/// Says on a terminal what is being measured.
pub(crate) fn progress(text: &str) {
    if std::io::stderr().is_terminal() {
        eprintln!("{text}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(subject: &'static str, cpu_seconds: f64) -> Measured {
        Measured { subject, requests: 2000, cpu_seconds, peak_kib: 10_000, ..Measured::default() }
    }

    #[test]
    fn ratios_follow_the_subjects_and_what_is_missing_shows_as_such() {
        let case = [subject("this", 1.0), subject("against", 1.25), subject("raw", 0.5)];
        let table = table(&OF_A_REQUEST, &case);
        let rows: Vec<Vec<&str>> =
            table.lines().map(|line| line.split("  ").filter(|c| !c.is_empty()).map(str::trim).collect()).collect();
        assert_eq!(rows[0][..2], ["CPU s/10k", "switches"]);
        assert_eq!(rows[1], ["this", "5.00", "0.0", "-", "0", "10.2"]);
        assert_eq!(rows[4], ["this : raw", "2.00", "-", "-", "-", "1.00"]);
        assert_eq!((rows[5][0], rows[5][1]), ("against : raw", "2.50"));
        assert_eq!((rows[6][0], rows[6][1]), ("this : against", "0.80"));
    }

    #[test]
    fn a_run_on_a_busy_machine_is_noted() {
        let drifted = |subject, drift| note(&Measured { subject, drift, ..Measured::default() });
        assert!(drifted(RAW, 0.2).unwrap().contains("20 %"));
        assert!(drifted(RAW, 0.1).is_none() && drifted("this", 0.2).is_none());
    }
}
