//! The test binaries of the whole workspace, built by one cargo command.
//!
//! `cargo test --package x` would be simpler, but every other selection of packages unifies features differently and
//! recompiles half of the tree. One selection, `--workspace`, serves every stage.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::process;

/// How long one binary may take, which is five minutes on a busy machine: a test that hangs ends no run of CI.
const LONGEST: Duration = Duration::from_secs(1_500);

/// A program that cargo built.
#[derive(Debug)]
pub(super) struct Binary {
    /// The package, such as `msk-shared`.
    pub(super) package: String,
    /// The target, such as `end_to_end`.
    pub(super) target: String,
    /// Whether it is an example instead of a test.
    pub(super) is_example: bool,
    /// Whether its tests are those within a program: a folder of `tests/` may have the program's name.
    is_of_program: bool,
    program: PathBuf,
    /// The package's folder, from which cargo runs tests.
    folder: PathBuf,
}

/// What cargo reports about something that it compiled now or earlier.
#[derive(Debug, Deserialize)]
pub(super) struct Artifact {
    /// For example `registry+...#serde_json@1.0.154`, or `path+...` for a crate of this workspace.
    pub(super) package_id: String,
    pub(super) features: Vec<String>,
    /// The files; their names contain a hash of everything they were compiled with.
    pub(super) filenames: Vec<PathBuf>,
    /// Whether it had been compiled before.
    pub(super) fresh: bool,
    manifest_path: PathBuf,
    target: Target,
    executable: Option<PathBuf>,
    profile: Profile,
}

#[derive(Debug, Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Profile {
    test: bool,
}

/// The selection of packages and targets that builds every test and example of the workspace.
pub(super) const EVERYTHING: &[&str] = &["test", "--workspace", "--no-run"];

/// Builds every test and example of the workspace.
pub(super) fn build() -> Result<Vec<Binary>> {
    Ok(artifacts(EVERYTHING)?.into_iter().filter_map(binary).collect())
}

/// Runs a cargo command that builds, and shows its progress.
pub(super) fn artifacts(arguments: &[&str]) -> Result<Vec<Artifact>> {
    let mut cargo = process::cargo(arguments);
    cargo.args(["--locked", "--message-format", "json-render-diagnostics"]);
    let shown = process::display(&cargo);
    let mut child = cargo.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start `{shown}`"))?;
    let stdout = child.stdout.take().context("cargo's standard output is a pipe")?;
    let lines = BufReader::new(stdout).lines().map_while(Result::ok);
    let artifacts = lines.filter_map(|line| parse(&line)).collect();
    let status = child.wait()?;
    if !status.success() {
        bail!("`{shown}` ended with {status}");
    }
    Ok(artifacts)
}

/// A line of `--message-format json`; `None` if it is not about an artifact.
fn parse(line: &str) -> Option<Artifact> {
    #[derive(Deserialize)]
    struct Reason<'a> {
        reason: &'a str,
    }
    let message: Reason<'_> = serde_json::from_str(line).ok()?;
    if message.reason != "compiler-artifact" {
        return None;
    }
    serde_json::from_str(line).ok()
}

/// The program, if it is a test or an example.
fn binary(artifact: Artifact) -> Option<Binary> {
    let folder = artifact.manifest_path.parent()?.to_path_buf();
    let is_kind = |wanted: &str| artifact.target.kind.iter().any(|kind| kind == wanted);
    let (is_example, is_of_program) = (is_kind("example"), is_kind("bin"));
    let package = package_name(&folder)?;
    let wanted = is_example || artifact.profile.test;
    wanted.then_some(Binary {
        package,
        target: artifact.target.name,
        is_example,
        is_of_program,
        program: artifact.executable?,
        folder,
    })
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

    /// The program as a command that runs in the folder where cargo would run it.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(&self.folder).stdin(Stdio::null());
        // Tests may look for the files of their package at run time.
        command.env("CARGO_MANIFEST_DIR", &self.folder).env("CARGO_PKG_NAME", &self.package);
        command
    }

    /// Runs it and shows what it printed.
    fn passes(&self) -> bool {
        let heading = format!("\n--- {} {}\n", self.package, self.target);
        let captured = match process::capture_within(&mut self.command(), LONGEST) {
            Ok(captured) => captured,
            Err(error) => {
                println!("{heading}cannot be started: {error}");
                return false;
            }
        };
        let mut stdout = std::io::stdout().lock();
        // Whoever reads has gone if this fails; the tests still count.
        let _ = [heading.as_bytes(), &captured.stdout, &captured.stderr]
            .into_iter()
            .try_for_each(|text| stdout.write_all(text));
        if captured.status.is_none() {
            let hung = running(&String::from_utf8_lossy(&captured.stdout)).join(", ");
            let _ = writeln!(stdout, "killed after {} s; still running: {hung}", LONGEST.as_secs());
        }
        captured.status.is_some_and(|status| status.success())
    }
}

/// The tests that had run for a minute and have no result, by what the test harness printed.
fn running(output: &str) -> Vec<&str> {
    let tests = || output.lines().filter_map(|line| line.strip_prefix("test "));
    let slow = tests().filter_map(|line| line.strip_suffix(" has been running for over 60 seconds"));
    let has_ended =
        |name: &str| tests().any(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(" ...")));
    slow.filter(|name| !has_ended(name)).collect()
}

/// The tests of a target, of a library or a folder of `tests/`, that are otherwise ignored: for what they need, or because they
/// take long. One at a time, with [`run_chosen`].
pub(super) fn ignored_tests(package: &str, target: &str) -> Result<Command> {
    let binaries = build()?;
    let wanted = |binary: &&Binary| binary.package == package && binary.target == target && !binary.is_of_program;
    let tests = binaries.iter().find(wanted);
    let mut tests = tests.with_context(|| format!("{package} has no tests {target}: this stage runs them"))?.command();
    tests.args(["--ignored", "--nocapture", "--test-threads", "1"]);
    Ok(tests)
}

/// Runs the tests that a command chooses, of which there must be one: to a test binary none is a success.
pub(super) fn run_chosen(tests: &mut Command) -> Result<()> {
    let mut list = Command::new(tests.get_program());
    list.args(tests.get_args()).arg("--list");
    list.envs(tests.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(folder) = tests.get_current_dir() {
        list.current_dir(folder);
    }
    let chosen = process::capture(&mut list)?;
    ensure!(chosen.lines().any(|line| line.ends_with(": test")), "`{}` chooses no test", process::display(tests));
    process::run(tests)
}

/// Runs the binaries, all of them, `at_once` at a time, and names those that failed. What a binary prints is shown when it ends,
/// so that the outputs do not mix.
pub(super) fn run_all<'a>(binaries: impl Iterator<Item = &'a Binary> + Send, at_once: usize) -> Result<()> {
    let (count, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let binaries = Mutex::new(binaries);
    let next = || binaries.lock().unwrap_or_else(PoisonError::into_inner).next();
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                while let Some(binary) = next() {
                    count.fetch_add(1, Ordering::Relaxed);
                    if !binary.passes() {
                        let name = format!("{} {}", binary.package, binary.target);
                        failed.lock().unwrap_or_else(PoisonError::into_inner).push(name);
                    }
                }
            });
        }
    });
    match (count.into_inner(), failed.into_inner().unwrap_or_else(PoisonError::into_inner).as_slice()) {
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
    fn tests_that_hang_are_named() {
        let slow = " has been running for over 60 seconds";
        let output =
            format!("running 3 tests\ntest a::b{slow}\ntest a::c{slow}\ntest quick ... ok\ntest a::b ... ok\n");
        assert_eq!(running(&output), ["a::c"]);
    }

    #[test]
    fn tests_that_are_chosen_run_and_none_is_an_error() {
        let choose = |name: &str| run_chosen(Command::new(std::env::current_exe().unwrap()).args(["--exact", name]));
        choose("stages::binaries::tests::tests_that_hang_are_named").unwrap();
        let error = choose("stages::binaries::tests::there_is_no_such_test").unwrap_err().to_string();
        assert!(error.ends_with("there_is_no_such_test` chooses no test"), "{error}");
    }

    #[test]
    fn a_test_binary_is_recognised_in_cargos_messages() {
        let manifest = workspace::root().join("xtask").join("Cargo.toml");
        let line = |kind: &str, test: bool| {
            serde_json::json!({
                "reason": "compiler-artifact", "package_id": "path+file:///xtask#0.1.0", "manifest_path": manifest,
                "executable": "/t/xtask-1", "target": {"name": "xtask", "kind": [kind]}, "profile": {"test": test},
                "features": [], "filenames": ["/t/xtask-1"], "fresh": true,
            })
            .to_string()
        };
        let read = |kind, test| binary(parse(&line(kind, test)).unwrap());
        let test = read("bin", true).unwrap();
        assert_eq!((test.package.as_str(), test.target.as_str(), test.is_example), ("xtask", "xtask", false));
        assert_eq!((test.is_of_program, read("test", true).unwrap().is_of_program), (true, false));
        assert!(read("bin", false).is_none(), "a program is no test");
        assert!(read("example", false).unwrap().is_example);
        assert!(parse(r#"{"reason":"build-finished","success":true}"#).is_none());
    }
}
