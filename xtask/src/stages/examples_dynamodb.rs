//! Stage `examples-dynamodb`: the consumer `dynamodb-writer` of `examples/consumers` on DynamoDB Local.

use anyhow::Result;

use super::binaries;
use crate::tools;

/// Its tests of a real table.
pub(super) fn run() -> Result<()> {
    let jars = tools::DYNAMODB_LOCAL.folder()?;
    let mut tests = binaries::ignored_tests("msk-consumer-examples", "dynamodb_local")?;
    binaries::run_chosen(tests.env("DYNAMODB_LOCAL", jars))
}
