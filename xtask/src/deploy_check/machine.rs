//! The environment and the programs of this machine as one value, so that tests can invent another machine.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::process;

/// What the checks can find out about the machine.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) environment: BTreeMap<String, String>,
}

/// The result of running a program.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ProgramAnswer {
    /// It exited with code 0 and printed this to standard output.
    Text(String),
    /// It exited with another code and printed this to standard error.
    Refused(String),
    /// It did not answer in time and was ended.
    Late,
    /// There is no such program.
    Absent,
}

impl Machine {
    /// This machine.
    pub(super) fn this() -> Self {
        let variables = std::env::vars_os();
        let readable =
            variables.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self { environment: readable.collect() }
    }

    /// The value of a variable, if it is set and not empty.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A file below the home folder, or at the place that `variable` names.
    pub(super) fn home_file(&self, variable: &str, below_home: &str) -> Option<PathBuf> {
        let moved = self.variable(variable).map(PathBuf::from);
        moved.or_else(|| Some(PathBuf::from(self.variable("HOME")?).join(below_home)))
    }

    /// Runs a program for at most `timeout`.
    pub(super) fn ask(&self, program: &str, arguments: &[&str], timeout: Duration) -> ProgramAnswer {
        let mut command = Command::new(program);
        command.args(arguments).env_clear().envs(&self.environment);
        let Ok(captured) = process::capture_within(&mut command, timeout) else { return ProgramAnswer::Absent };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match captured.status {
            None => ProgramAnswer::Late,
            Some(status) if status.success() => ProgramAnswer::Text(text(&captured.stdout)),
            Some(_) => ProgramAnswer::Refused(text(&captured.stderr)),
        }
    }
}
