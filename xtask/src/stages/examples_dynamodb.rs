//! Stage `examples-dynamodb`: the consumer `dynamodb-writer` of `examples/consumers` on DynamoDB Local.

use anyhow::{Context, Result};

use super::binaries;
use crate::{process, tools};

/// Its tests of a real table, which are otherwise ignored.
const TESTS: &str = "dynamodb_local";

pub(super) fn run() -> Result<()> {
    let jars = tools::DYNAMODB_LOCAL.folder()?;
    let binaries = binaries::build()?;
    let tests = binaries.iter().find(|binary| binary.target == TESTS);
    let mut tests = tests.with_context(|| format!("cargo did not build {TESTS}"))?.command();
    process::run(tests.arg("--ignored").env("DYNAMODB_LOCAL", jars))
}
