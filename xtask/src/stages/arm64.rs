//! Stage `arm64`: the functions as they are packaged for Graviton, run here.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::binaries;
use crate::package::{self, Architecture};
use crate::{members, needs, workspace};

/// The tests of `e2e/tests/packaged.rs`.
const TESTS: &str = "packaged";

/// Packages every function for arm64 and runs producer and consumer from their zips in an execution environment; on another
/// processor under qemu.
pub(super) fn run() -> Result<()> {
    let folder = workspace::target_dir().join("xtask").join("packaged-arm64");
    package::build(Architecture::Arm64, &[], &folder)?;
    for function in members::functions()? {
        let architecture = package::architecture_of(&package::zip(&folder, &function))?;
        ensure!(architecture == Architecture::Arm64, "the {function} was built for {}", architecture.name());
    }
    let producer = runnable(&package::unpack(&folder, "producer")?)?;
    let consumer = runnable(&package::unpack(&folder, "consumer")?)?;
    // One after the other: an emulated processor is slow, and the init phase has a limit.
    let mut tests = binaries::ignored_tests("msk-e2e", TESTS)?;
    tests.env("MSK_E2E_PRODUCER", producer).env("MSK_E2E_CONSUMER", consumer);
    binaries::run_chosen(&mut tests)
}

/// The binary itself on an arm64 machine, elsewhere a script next to it that starts it under qemu.
fn runnable(binary: &Path) -> Result<PathBuf> {
    if Architecture::host() == Architecture::Arm64 {
        return Ok(binary.to_path_buf());
    }
    let qemu = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .map(|folder| folder.join(needs::QEMU_PROGRAM))
        .find(|program| program.is_file())
        .with_context(|| format!("there is no {} on the PATH", needs::QEMU_PROGRAM))?;
    let script = binary.with_extension("sh");
    let text = format!("#!/bin/sh\nexec '{}' -L {} '{}'\n", qemu.display(), needs::ARM64_LIBRARIES, binary.display());
    fs::write(&script, text).with_context(|| format!("cannot write {}", script.display()))?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&script, mode).with_context(|| format!("cannot make {} executable", script.display()))?;
    Ok(script)
}
