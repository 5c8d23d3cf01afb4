//! The signals that ask a command to stop.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::process;

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// From here on Ctrl-C, SIGTERM and SIGHUP only set [`requested`]; a second one ends everything at once. The signals are
/// handled, not blocked: a child would inherit the blocking, and would never notice that it should end.
pub(crate) fn listen() -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot listen to signals")?;
    let wait = move || {
        for (index, _) in signals.forever().enumerate() {
            REQUESTED.store(true, Ordering::SeqCst);
            if index > 0 {
                process::sweep(&process::RUN_ID, Duration::ZERO);
                std::process::exit(130);
            }
        }
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(wait).context("cannot start a thread")?;
    Ok(())
}

/// True once the user wants to stop.
pub(crate) fn requested() -> bool {
    REQUESTED.load(Ordering::SeqCst)
}

/// The error of a step that the user stopped.
#[derive(Debug, thiserror::Error)]
#[error("stopped")]
pub(crate) struct Stopped;

/// An error once the user wants to stop.
pub(crate) fn check() -> Result<()> {
    if requested() {
        bail!(Stopped);
    }
    Ok(())
}
