//! The folders and programs of the workspace.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// The root of the workspace: the folder of the root `Cargo.toml`.
pub(crate) fn root() -> PathBuf {
    // Compiled in, so that the commands work from any folder of the workspace.
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Cargo's target directory, as cargo itself resolves it from `CARGO_TARGET_DIR`.
pub(crate) fn target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) if !dir.is_empty() => root().join(dir),
        _ => root().join("target"),
    }
}

/// Where pinned tools are kept: `target/tools/<name>`.
pub(crate) fn tool_dir(name: &str) -> PathBuf {
    target_dir().join("tools").join(name)
}

/// True in CI, where a missing prerequisite is a failure instead of a skip.
pub(crate) fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true" || value == "1")
}

/// The cargo that runs this command.
pub(crate) fn cargo() -> PathBuf {
    std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from)
}

/// The running program, even after cargo has put a newer one in its place: `current_exe` would name a deleted file. Other
/// programs can start it too: `/proc/self` would be themselves to them.
pub(crate) fn this_program() -> Result<PathBuf> {
    let running = PathBuf::from(format!("/proc/{}/exe", std::process::id()));
    Ok(if running.exists() {
        running
    } else {
        std::env::current_exe().context("the path of this program is unknown")?
    })
}

/// A binary of the dev build.
pub(crate) fn dev_binary(name: &str) -> Command {
    let mut command = Command::new(target_dir().join("debug").join(name));
    command.current_dir(root());
    command
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn other_programs_can_start_this_one() {
        let listed = Command::new("nice").arg(this_program().unwrap()).arg("--list").output().unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        assert!(listed.contains("workspace::tests::other_programs_can_start_this_one: test"), "{listed}");
    }
}
