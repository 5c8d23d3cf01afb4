//! The environment and the programs of this machine, in one value: the tests make one up.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::process::Supervised;

/// How often a running program is looked at.
const TICK: Duration = Duration::from_millis(20);

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

    /// Runs a program that prints little, for at most `patience`.
    pub(super) fn ask(&self, program: &'static str, arguments: &[&str], patience: Duration) -> Answer {
        let mut command = Command::new(program);
        command.args(arguments).env_clear().envs(&self.environment);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let Ok(mut running) = Supervised::spawn(program, &mut command) else { return Answer::Absent };
        let deadline = Instant::now() + patience;
        let status = loop {
            match running.ended() {
                Some(status) => break status,
                None if Instant::now() >= deadline => {
                    running.wait_or_kill(deadline);
                    return Answer::Late;
                }
                None => sleep(TICK),
            }
        };
        let child = running.child();
        if status.success() {
            Answer::Text(read(child.stdout.take()))
        } else {
            Answer::Refused(read(child.stderr.take()))
        }
    }
}

/// What a pipe holds; what is not text is replaced.
fn read(pipe: Option<impl Read>) -> String {
    let mut bytes = Vec::new();
    // A pipe that breaks holds what was written until then.
    let _ = pipe.map(|mut pipe| pipe.read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}
