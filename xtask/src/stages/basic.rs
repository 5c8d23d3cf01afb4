//! The stages that are little more than one command.

use std::process::Command;

use anyhow::Result;

use super::{binaries, compiled_once, ha, laptop};
use crate::{process, tools, workspace};

/// The crate whose tests start real brokers; its scenarios have their own stages.
const RIG: &str = ha::SCENARIOS.0;

/// Most of these tests wait for events and leave more than half of two cores idle when run one binary at a time.
const UNIT_AT_ONCE: usize = 3;

pub(super) fn fmt() -> Result<()> {
    process::run(&mut process::cargo(&["fmt", "--all", "--check"]))
}

/// `cargo clippy` would check every dependency that the tests then build. Clippy's compiler as cargo's wrapper for the crates of
/// this workspace uses the built ones, and is what `cargo clippy` sets around `cargo check`.
pub(super) fn lint() -> Result<()> {
    let mut clippy = process::cargo(binaries::EVERYTHING);
    clippy.arg("--locked").env("RUSTC_WORKSPACE_WRAPPER", "clippy-driver");
    if workspace::in_ci() {
        // How `cargo clippy` passes what comes after `--`.
        clippy.env("CLIPPY_ARGS", "--deny__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__");
    }
    process::run(&mut clippy)
}

/// The tests that need no rig, and the examples in the documentation; also checks that other commands recompile no dependency.
pub(super) fn unit() -> Result<()> {
    let binaries = binaries::build()?;
    let tests = binaries.iter().filter(|binary| !binary.is_example && binary.package != RIG);
    let ran = binaries::run_all(tests, UNIT_AT_ONCE);
    let documented = process::run(&mut process::cargo(&["test", "--workspace", "--locked", "--doc"]));
    ran.and(documented).and(compiled_once::check())
}

/// The rig's own tests: brokers, proxy, verifier, history checker, Lambda host. Then `cargo xtask up` on its brokers.
pub(super) fn rig() -> Result<()> {
    let binaries = binaries::build()?;
    let of_rig =
        |binary: &&binaries::Binary| !binary.is_example && binary.package == RIG && binary.target != ha::SCENARIOS.1;
    // One at a time: each starts brokers that keep both cores of a small machine busy.
    binaries::run_all(binaries.iter().filter(of_rig), 1)?;
    laptop::run_on_real_brokers()
}

/// What takes too long for stage `unit` of the emulator's own tests: seed after seed, and memory over ten minutes.
pub(super) fn chaos() -> Result<()> {
    binaries::run_chosen(&mut binaries::ignored_tests("msk-local", "chaos")?)
}

/// Advisories need the internet; the GitHub workflow checks them.
pub(super) fn deny() -> Result<()> {
    let mut deny = Command::new(tools::CARGO_DENY.bin()?.join("cargo-deny"));
    deny.args(["--workspace", "check", "bans", "licenses", "sources"]).current_dir(workspace::root());
    process::run(&mut deny)
}
