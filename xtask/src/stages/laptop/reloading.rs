//! What `cargo xtask up` does when a function's source is saved.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::{CONSUMED_PATIENCE, Laptop};
use crate::stages::saved_source::{Saved, modified, replace};
use crate::up;
use crate::workspace;

/// From saving a source file to the new process: a build of one crate, on busy cores.
const RELOAD_PATIENCE: Duration = Duration::from_secs(5 * 60);
/// From saving a source to the line that comes of it: a build, and a retry of the mapping's, which waits 30 s at most.
const SAVED_PATIENCE: Duration = Duration::from_secs(45);
/// From a record to the line that it waits: a bound of 30 s for the function's answer, and 30 s between two such lines.
const WAITING_PATIENCE: Duration = Duration::from_secs(90);

/// A function, one of its sources, and what it logs once at its start.
struct Function {
    name: &'static str,
    source: &'static str,
    starts: &'static str,
}

const CONSUMER: Function = Function {
    name: "consumer",
    source: "functions/consumer/src/handler.rs",
    starts: "\"message\":\"consumer starts\"",
};
const PRODUCER: Function = Function {
    name: "producer",
    source: "functions/producer/src/api/routes/version.rs",
    starts: "\"message\":\"connected to the cluster\"",
};

impl Laptop {
    /// Saves a source file of each function. What it returns is undone when nothing watches any more.
    pub(super) fn reloads_functions(&mut self) -> Result<[Saved; 2]> {
        Ok([self.reloads(&CONSUMER)?, self.reloads(&PRODUCER)?])
    }

    /// Saving a source file of a function rebuilds and restarts it.
    fn reloads(&mut self, function: &Function) -> Result<Saved> {
        let Function { name, source, starts } = function;
        let log = up::log_path()?;
        let binary = workspace::target_dir().join("debug").join(name);
        let state = || -> Result<_> {
            let log = std::fs::read_to_string(&log).with_context(|| format!("cannot read {}", log.display()))?;
            Ok((log.matches(starts).count(), modified(&binary)?))
        };
        let (before, at) = (state()?, Instant::now());
        ensure!(before.0 > 0, "the log does not show that the {name} started");
        let saved = Saved::again(workspace::root().join(source))?;
        loop {
            let now = state()?;
            if now.0 > before.0 && now.1.is_some() && now.1 > before.1 {
                break;
            }
            ensure!(at.elapsed() < RELOAD_PATIENCE, "saving {source} did not rebuild and restart the {name}");
            std::thread::sleep(Duration::from_millis(100));
        }
        println!("the {name} was rebuilt and restarted within {:.1?} of saving {source}", at.elapsed());
        self.try_it()?;
        Ok(saved)
    }

    /// While a function does not compile its records wait, with a line that says so; it consumes them once it compiles.
    pub(super) fn tells_of_a_broken_build(&mut self, name: &str) -> Result<()> {
        let source = workspace::root().join("functions").join(name).join("src/handler.rs");
        let whole = std::fs::read(&source).with_context(|| format!("cannot read {}", source.display()))?;
        let broken = [whole.as_slice(), b"\ncompile_error!(\"broken on purpose\");\n"].concat();
        self.save_until(&source, &broken, |line| line.contains("error: broken on purpose"))?;
        let answer = self.ask()?;
        let waiting = format!(" of orders for {name}  ");
        let waits = |line: &str| line.starts_with("waiting  ") && line.contains(&waiting);
        ensure!(self.wait_for(WAITING_PATIENCE, waits).is_some(), "no line told that records wait for {name}");
        let advice = self.wait_for(CONSUMED_PATIENCE, |line| line.contains("is being built or does not build"));
        ensure!(advice.is_some(), "no line told why records wait for {name}");
        let place = format!("partition {}  offset {}  by {name}", answer["partition"], answer["offset"]);
        self.save_until(&source, &whole, |line| line.ends_with(&place))
    }

    /// Saves a source until there is a line that is wanted. Once need not be enough: `cargo lambda watch` begins to look at the
    /// sources a moment after it has started the function.
    fn save_until(&mut self, source: &Path, text: &[u8], wanted: impl Fn(&str) -> bool) -> Result<()> {
        let saved_first = Instant::now();
        while saved_first.elapsed() < RELOAD_PATIENCE {
            replace(source, text).with_context(|| format!("cannot save {}", source.display()))?;
            if self.wait_for(SAVED_PATIENCE, &wanted).is_some() {
                return Ok(());
            }
        }
        bail!("saving {} did not lead to the line that was waited for", source.display())
    }
}
