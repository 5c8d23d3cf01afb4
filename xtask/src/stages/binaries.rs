//! The test binaries of the whole workspace, built by one cargo command.
//!
//! `cargo test --package x` would be simpler, but every other selection of packages unifies features differently and
//! compiles half of the tree again. One selection, `--workspace`, serves every stage.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::process;

/// A program that cargo built.
#[derive(Debug)]
pub(super) struct Binary {
    /// The package, such as `msk-shared`.
    pub(super) package: String,
    /// The target, such as `end_to_end`.
    pub(super) target: String,
    /// An example, and no test.
    pub(super) is_example: bool,
    program: PathBuf,
    /// The package's folder, from which cargo runs tests.
    folder: PathBuf,
}

/// A line of `--message-format json`, as far as it matters here.
#[derive(Deserialize)]
struct Message {
    reason: String,
    manifest_path: Option<PathBuf>,
    target: Option<Target>,
    executable: Option<PathBuf>,
    profile: Option<Profile>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

/// Builds every test and example of the workspace.
pub(super) fn build() -> Result<Vec<Binary>> {
    let arguments = ["test", "--workspace", "--locked", "--no-run", "--message-format", "json-render-diagnostics"];
    let mut cargo = process::cargo(&arguments);
    let shown = process::display(&cargo);
    let mut child = cargo.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start `{shown}`"))?;
    let stdout = child.stdout.take().context("cargo's standard output is a pipe")?;
    let lines = BufReader::new(stdout).lines().map_while(Result::ok);
    let binaries = lines.filter_map(|line| parse(&line)).collect();
    let status = child.wait()?;
    if !status.success() {
        bail!("`{shown}` ended with {status}");
    }
    Ok(binaries)
}

fn parse(line: &str) -> Option<Binary> {
    let message: Message = serde_json::from_str(line).ok()?;
    let (target, folder) = (message.target?, message.manifest_path?.parent()?.to_path_buf());
    let is_example = target.kind.iter().any(|kind| kind == "example");
    let wanted = message.reason == "compiler-artifact" && (is_example || message.profile?.test);
    let package = package_name(&folder)?;
    wanted.then_some(Binary { package, target: target.name, is_example, program: message.executable?, folder })
}

/// The name in a package's manifest.
fn package_name(folder: &Path) -> Option<String> {
    let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).ok()?;
    let line = manifest.lines().find(|line| line.starts_with("name = "))?;
    Some(line.trim_start_matches("name = ").trim_matches('"').to_owned())
}

impl Binary {
    /// Where the program is.
    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    /// The program as a command that runs where cargo would run it.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(&self.folder).stdin(Stdio::null());
        // Tests may look for the files of their package at run time.
        command.env("CARGO_MANIFEST_DIR", &self.folder).env("CARGO_PKG_NAME", &self.package);
        command
    }
}

/// Runs the binaries one after the other, all of them, and names those that failed.
pub(super) fn run_all<'a>(binaries: impl Iterator<Item = &'a Binary>) -> Result<()> {
    let (mut count, mut failed) = (0, Vec::new());
    for binary in binaries {
        count += 1;
        println!("\n--- {} {}", binary.package, binary.target);
        if !binary.command().status().is_ok_and(|status| status.success()) {
            failed.push(format!("{} {}", binary.package, binary.target));
        }
    }
    match (count, failed.as_slice()) {
        (0, _) => bail!("no test binary was found"),
        (_, []) => Ok(()),
        (_, failed) => bail!("tests failed in {}", failed.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    #[test]
    fn a_test_binary_is_recognised_in_cargos_messages() {
        let manifest = workspace::root().join("xtask").join("Cargo.toml");
        let line = |kind: &str, test: bool| {
            serde_json::json!({
                "reason": "compiler-artifact", "manifest_path": manifest, "executable": "/t/xtask-1",
                "target": {"name": "xtask", "kind": [kind]}, "profile": {"test": test},
            })
            .to_string()
        };
        let binary = parse(&line("bin", true)).unwrap();
        assert_eq!((binary.package.as_str(), binary.target.as_str(), binary.is_example), ("xtask", "xtask", false));
        assert!(parse(&line("bin", false)).is_none(), "a program is no test");
        assert!(parse(&line("example", false)).unwrap().is_example);
    }
}
