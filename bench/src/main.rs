//! The benchmarks: the packaged functions against raw librdkafka, in one run. `cargo xtask bench` builds and starts this program;
//! `docs/benchmarks.md` says what it measures and how to read its tables.
//!
//! | Module | Contains |
//! |---|---|
//! | `settings` | what to measure, as `cargo xtask bench` passes it on |
//! | `warm` | `warm` and `batch`: one request at a time through the Lambda Runtime API |
//! | `decode` | the consumer with large events |
//! | `http_load` | the producer as an HTTP server under concurrent requests |
//! | `rounds` | what all of them share: subjects in turn, and what each used meanwhile |
//! | `subject` | what is measured: a function or raw librdkafka, each a process of its own |
//! | `raw_producer` | raw librdkafka: the child and the protocol with its parent |
//! | `runtime_api` | the Lambda Runtime API for one function |
//! | `http1` | as much of HTTP/1.1 as both need |
//! | `payloads` | records, requests, events, and the answers that count as success |
//! | `child_process` | a child with its log, ended with its handle |
//! | `process_figures` | CPU time, context switches and memory, from `/proc` |
//! | `system_calls` | counted by `perf` or `strace`, where there is one |
//! | `statistics` | percentiles and drift |
//! | `report` | the tables and the JSON file |

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool prints to both streams")]

mod child_process;
mod decode;
mod http1;
mod http_load;
mod payloads;
mod process_figures;
mod raw_producer;
mod report;
mod rounds;
mod runtime_api;
mod settings;
mod statistics;
mod subject;
mod system_calls;
mod warm;

use std::process::ExitCode;

use anyhow::{Context, Result};

use settings::{Benchmark, Settings};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["run", settings] => run(settings),
        [raw_producer::COMMAND, bootstrap, topic] => raw_producer::serve(bootstrap, topic),
        _ => Err(anyhow::anyhow!("started with arguments that it does not know: use `cargo xtask bench`")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(settings: &str) -> Result<()> {
    let settings = Settings::parse(settings)?;
    let mut report = report::Report::new(&settings);
    for benchmark in &settings.benchmarks {
        let measured = match benchmark {
            Benchmark::Warm | Benchmark::Batch => warm::measure(&settings, *benchmark),
            Benchmark::Decode => decode::measure(&settings),
            Benchmark::Http => http_load::measure(&settings),
        };
        let measured = measured.with_context(|| format!("benchmark `{}`", benchmark.name()))?;
        report.print(*benchmark, &measured);
        report.add(measured);
    }
    settings.json.as_deref().map_or(Ok(()), |path| report.write(path))
}
