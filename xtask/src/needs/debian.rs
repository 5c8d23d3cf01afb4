//! apt-get, on Debian and Ubuntu.

use std::fmt;
use std::process;

use anyhow::{Result, bail};

use super::{Install, not_runnable};
use crate::process::{capture, run};

/// The packages for these needs, each once; of alternatives, the one that this release has.
///
/// # Errors
/// If there is no apt-get; the error still names the packages.
pub(super) fn packages(installs: impl Iterator<Item = Install>) -> Result<Vec<&'static str>> {
    let mut wanted: Vec<&'static str> = Vec::new();
    for install in installs {
        if let Install::Packages(packages) = install {
            wanted.extend(packages);
        }
    }
    if let (false, Some(problem)) = (wanted.is_empty(), not_runnable("apt-get", &["--version"])) {
        bail!("{problem}; use your own package manager to install what Debian calls {}", wanted.join(", "));
    }
    // A new image knows no packages before the first update.
    if wanted.iter().any(|alternatives| chosen(alternatives, has).is_none()) {
        Command(vec!["apt-get", "update", "-qq"]).run()?;
    }
    Ok(wanted.into_iter().map(|alternatives| chosen(alternatives, has).unwrap_or(first(alternatives))).collect())
}

fn first(alternatives: &'static str) -> &'static str {
    alternatives.split('|').next().unwrap_or(alternatives)
}

/// The first of `a|b` that exists.
fn chosen(alternatives: &'static str, has: impl Fn(&str) -> bool) -> Option<&'static str> {
    alternatives.split('|').find(|package| has(package))
}

/// Whether apt knows a package that can be installed.
fn has(package: &str) -> bool {
    let policy = capture(process::Command::new("apt-cache").args(["policy", package]).env("LC_ALL", "C"));
    policy.is_ok_and(|text| text.contains("Candidate: ") && !text.contains("Candidate: (none)"))
}

fn is_root() -> bool {
    capture(process::Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

/// A command that must run as root.
pub(super) struct Command(Vec<&'static str>);

impl Command {
    pub(super) fn install(packages: &[&'static str]) -> Self {
        let command = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "-qq"];
        Self(command.into_iter().chain(["--no-install-recommends"]).chain(packages.iter().copied()).collect())
    }

    fn words(&self) -> impl Iterator<Item = &'static str> {
        let sudo = (!is_root()).then_some("sudo");
        sudo.into_iter().chain(self.0.iter().copied())
    }

    pub(super) fn run(&self) -> Result<()> {
        let mut words = self.words();
        run(process::Command::new(words.next().unwrap_or_default()).args(words))
    }
}

impl fmt::Display for Command {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.words().collect::<Vec<_>>().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_alternatives_the_first_that_the_release_has_is_chosen() {
        let java = "openjdk-17-jdk-headless|openjdk-21-jdk-headless";
        assert_eq!(chosen(java, |_| true), Some("openjdk-17-jdk-headless"));
        assert_eq!(chosen(java, |package| package.contains("21")), Some("openjdk-21-jdk-headless"));
        assert_eq!(chosen(java, |_| false), None);
    }

    #[test]
    fn the_command_is_shown_as_it_runs() {
        let command = Command::install(&["cmake", "perl"]).to_string();
        assert!(command.ends_with("apt-get install -y -qq --no-install-recommends cmake perl"), "{command}");
        assert_eq!(command.starts_with("sudo "), !is_root());
    }
}
