//! Ctrl-C and its kin.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{SigSet, Signal};

use crate::process;

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// From here on Ctrl-C, SIGTERM and SIGHUP only set [`requested`]; a second one ends everything at once. To be called
/// before any thread starts. Children get their signals as usual.
pub(crate) fn listen() -> Result<()> {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        signals.add(signal);
    }
    signals.thread_block().context("cannot block signals")?;
    let wait = move || {
        let mut seen = 0;
        while signals.wait().is_ok() {
            REQUESTED.store(true, Ordering::SeqCst);
            seen += 1;
            if seen > 1 {
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

/// What a step returns when the user stopped it.
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
