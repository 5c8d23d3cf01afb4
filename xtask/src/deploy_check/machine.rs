//! The environment and the programs of this machine, in one value: the tests make one up.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::process;

/// What a check may know of the machine.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) environment: BTreeMap<String, String>,
}

/// How a program that was asked something answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It ended with 0 and printed this.
    Text(String),
    /// It ended with another code and printed this to standard error.
    Refused(String),
    /// It did not answer in time and was ended.
    Late,
    /// There is no such program.
    Absent,
}

impl Machine {
    /// This one.
    pub(super) fn this() -> Self {
        let variables = std::env::vars_os();
        let readable =
            variables.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self { environment: readable.collect() }
    }

    /// A variable that is set and not empty.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A file below the home folder, or where a variable says that it is.
    pub(super) fn home_file(&self, variable: &str, below_home: &str) -> Option<PathBuf> {
        let moved = self.variable(variable).map(PathBuf::from);
        moved.or_else(|| Some(PathBuf::from(self.variable("HOME")?).join(below_home)))
    }

    /// Runs a program for at most `patience`.
    pub(super) fn ask(&self, program: &str, arguments: &[&str], patience: Duration) -> Answer {
        let mut command = Command::new(program);
        command.args(arguments).env_clear().envs(&self.environment);
        let Ok(captured) = process::capture_within(&mut command, patience) else { return Answer::Absent };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match captured.status {
            None => Answer::Late,
            Some(status) if status.success() => Answer::Text(text(&captured.stdout)),
            Some(_) => Answer::Refused(text(&captured.stderr)),
        }
    }
}
