//! What the functions' own tests run them in: a process with a JSON log, and a Lambda Runtime API to poll.
//!
//! Small on purpose, and of the standard library alone: the host that freezes, kills at deadlines and moves clocks is
//! `e2e`'s.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failing test may panic")]

mod host;
mod process;

use std::time::Duration;

pub use host::{Extensions, Host, Posted};
pub use process::{Process, clean};

/// How long a test waits for anything.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A file of `events/`.
pub fn sample(name: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
