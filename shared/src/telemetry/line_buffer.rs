//! Lines on standard output: each at once, or several together while they are held.

use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing::Level;

/// A quarter of what a pipe holds (pipe(7)): some fifty lines for one system call.
const LONGEST_HELD: usize = 16 * 1024;

#[derive(Default)]
struct Held {
    holders: usize,
    lines: Vec<u8>,
}

static HELD: Mutex<Held> = Mutex::new(Held { holders: 0, lines: Vec::new() });

fn held() -> MutexGuard<'static, Held> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Held {
    /// A closed output fails no request.
    fn write_out(&mut self) {
        if !self.lines.is_empty() {
            let _ = std::io::stdout().lock().write_all(&self.lines);
            self.lines.clear();
        }
    }
}

/// While it lives, lines of `info` and below may wait for those that follow; a warning or an error takes them along at once, and
/// so does the drop. Hold only while nothing is awaited: what is held when the process is killed is lost.
///
/// ```
/// use msk_shared::telemetry::{EmfLine, MetricsNamespace, Unit, hold_lines};
///
/// let line = EmfLine::new(&MetricsNamespace::default(), "consumer").metric("RecordsDone", Unit::Count, 1.0);
/// let held = hold_lines();
/// (0..3).for_each(|_| line.emit());
/// // All three are written here, with one system call.
/// drop(held);
/// ```
#[derive(Debug)]
#[must_use]
pub struct HeldLines(());

/// Begins to hold lines.
///
/// ```
/// use msk_shared::telemetry::hold_lines;
///
/// let outer = hold_lines();
/// let inner = hold_lines();
/// drop(outer);
/// // Lines wait until the last holder is gone.
/// drop(inner);
/// ```
pub fn hold_lines() -> HeldLines {
    held().holders += 1;
    HeldLines(())
}

impl Drop for HeldLines {
    fn drop(&mut self) {
        let mut held = held();
        held.holders = held.holders.saturating_sub(1);
        if held.holders == 0 {
            held.write_out();
        }
    }
}

/// Writes a line, which ends with a line break, or holds it.
pub(super) fn write(line: &[u8], level: Level) {
    let mut held = held();
    if held.holders == 0 && held.lines.is_empty() {
        drop(held);
        let _ = std::io::stdout().lock().write_all(line);
        return;
    }
    held.lines.extend_from_slice(line);
    if held.holders == 0 || level <= Level::WARN || held.lines.len() >= LONGEST_HELD {
        held.write_out();
    }
}
