//! The stages that are one cargo command.

use std::process::Command;

use anyhow::Result;

use crate::{process, tools, workspace};

pub(super) fn fmt() -> Result<()> {
    process::run(&mut process::cargo(&["fmt", "--all", "--check"]))
}

/// Selects the whole workspace, as every dev build here does: another selection would unify features differently and
/// compile librdkafka again.
pub(super) fn lint() -> Result<()> {
    let mut clippy = process::cargo(&["clippy", "--workspace", "--all-targets", "--locked"]);
    if workspace::in_ci() {
        clippy.args(["--", "--deny", "warnings"]);
    }
    process::run(&mut clippy)
}

/// Builds the tests of the whole workspace, then runs those that need no rig.
pub(super) fn unit() -> Result<()> {
    process::run(&mut process::cargo(&["test", "--workspace", "--locked", "--no-run"]))?;
    process::run(&mut process::cargo(&["test", "--workspace", "--locked", "--exclude", "msk-e2e"]))
}

pub(super) fn ha() -> Result<()> {
    process::run(&mut process::cargo(&["test", "--locked", "--package", "msk-e2e"]))
}

/// Advisories need the internet; the GitHub workflow checks them.
pub(super) fn deny() -> Result<()> {
    let mut deny = Command::new(tools::CARGO_DENY.bin()?.join("cargo-deny"));
    deny.args(["--workspace", "check", "bans", "licenses", "sources"]).current_dir(workspace::root());
    process::run(&mut deny)
}
