//! Stage `e2e`: the packaged functions through `cargo lambda watch`, the embedded brokers and the event source mapping.

use anyhow::{Context, Result};

use super::binaries::{self, Binary};
use super::{ha, laptop, trial_consumer};
use crate::tools::{self, CargoLambda};

/// Packages both functions for this machine, runs the tests in `local/tests/end_to_end` on the contents of the zips, and tries
/// `cargo xtask up`, alone and with a consumer that `cargo xtask new-consumer` makes.
pub(super) fn run() -> Result<()> {
    let [producer, consumer] = ha::packaged()?;
    let cargo_lambda = CargoLambda::for_watch()?;
    let python = tools::SECOND_CLIENT.bin()?.join("python");
    let binaries = binaries::build()?;
    let tests = find(&binaries, "end_to_end")?;
    // A consumer whose handler fails on purpose.
    let failing = find(&binaries, "fails_once")?.program();

    let mut tests = tests.command();
    // One after the other: they measure times, and each has its own brokers and functions.
    tests.args(["--ignored", "--nocapture", "--test-threads", "1"]);
    tests.env("E2E_PRODUCER", producer).env("E2E_CONSUMER", consumer).env("E2E_FAILING_CONSUMER", failing);
    tests.env("E2E_CARGO_LAMBDA", cargo_lambda.program()).env("E2E_PYTHON", python);
    binaries::run_chosen(&mut tests)?;
    laptop::run()?;
    laptop::run_with_chaos()?;
    trial_consumer::run()
}

fn find<'a>(binaries: &'a [Binary], target: &str) -> Result<&'a Binary> {
    binaries.iter().find(|binary| binary.target == target).with_context(|| format!("cargo did not build {target}"))
}
