//! What the commands share: printing, signals, exit codes, and a mapping that is checked.

use std::io::IsTerminal;
use std::sync::Arc;

use anyhow::Result;
use msk_local::esm::document::MappingDocument;
use msk_local::esm::mapping::Mapping;
use msk_local::esm::validate::{Strictness, validate};
use msk_local::output::{Format, Reporter};
use tokio::signal::unix::{SignalKind, signal};

pub(crate) const DEADLINE: u8 = 3;
pub(crate) const GAVE_UP: u8 = 4;
pub(crate) const UNREACHABLE: u8 = 5;
pub(crate) const INTERRUPTED: u8 = 130;

/// Prints results in the format that was asked for.
pub(crate) struct Printer {
    pub(crate) format: Format,
}

impl Printer {
    /// Lines on standard output.
    pub(crate) fn reporter(&self, with_records: bool) -> Arc<Reporter> {
        let colour = self.format == Format::Text && std::io::stdout().is_terminal();
        Arc::new(Reporter::new(self.format, colour, with_records, Box::new(std::io::stdout())))
    }
}

/// The mapping of a document; its warnings are logged.
pub(crate) fn checked(document: &MappingDocument, strictness: Strictness) -> Result<Mapping> {
    let mapping = validate(document, strictness)?;
    for warning in &mapping.warnings {
        tracing::warn!("{warning}");
    }
    Ok(mapping)
}

/// Ctrl-C and SIGTERM.
pub(crate) struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    /// Listens from now on.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// The result of the work, or `None` if a signal arrives first: brokers that do not answer cannot delay it.
    pub(crate) async fn or<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = work => Some(done),
            () = self.next() => None,
        }
    }

    /// The next signal.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
