//! Stage `monitoring`: every Prometheus panel, rule and alert against live brokers.

use anyhow::Result;

use super::binaries;

/// Runs `e2e/tests/monitoring.rs`, whose tests are otherwise ignored: they need Prometheus and take five minutes.
pub(super) fn run() -> Result<()> {
    binaries::run_chosen(&mut binaries::ignored_tests("msk-e2e", "monitoring")?)
}
