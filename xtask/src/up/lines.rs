//! What the children say, and how much of it the user sees.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::sync::mpsc::Sender;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::process::Supervised;

/// A line of a child's output.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) source: &'static str,
    pub(super) text: String,
}

/// Sends every line of the child's standard output and standard error (both must be pipes) to `lines`.
pub(super) fn forward(process: &mut Supervised, lines: &Sender<Line>) -> Result<()> {
    let source = process.name();
    let child = process.child();
    let stdout = child.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>);
    let stderr = child.stderr.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>);
    for pipe in [stdout, stderr].into_iter().flatten() {
        let lines = lines.clone();
        let copy = move || {
            let mut reader = BufReader::new(pipe);
            let mut bytes = Vec::new();
            while reader.read_until(b'\n', &mut bytes).is_ok_and(|length| length > 0) {
                let text = String::from_utf8_lossy(&bytes).trim_end().to_owned();
                bytes.clear();
                if lines.send(Line { source, text }).is_err() {
                    break;
                }
            }
        };
        std::thread::Builder::new().name(source.to_owned()).spawn(copy).context("cannot start a thread")?;
    }
    Ok(())
}

/// Writes every line to the log file, and to the terminal what concerns the user.
pub(super) struct Printer {
    log: File,
    serving: bool,
    /// While starting, the last lines are kept back: they matter only when the start fails.
    recent: VecDeque<String>,
}

impl Printer {
    /// A printer that writes everything to `log`.
    pub(super) fn new(log: File) -> Self {
        Self { log, serving: false, recent: VecDeque::new() }
    }

    /// From now on consumed records are shown.
    pub(super) fn serve(&mut self) {
        self.serving = true;
        self.recent.clear();
    }

    /// Takes a line.
    pub(super) fn print(&mut self, line: &Line) {
        // The log file is a help, not a duty: a full disk must not stop the laptop.
        let _ = writeln!(self.log, "{}: {}", line.source, line.text);
        if let Some(shown) = show(line) {
            println!("{shown}");
        }
    }
}

/// What the user sees of a line.
fn show(line: &Line) -> Option<String> {
    match serde_json::from_str::<Value>(&line.text) {
        Ok(_) => None,
        Err(_) => Some(format!("{}: {}", line.source, line.text)),
    }
}
