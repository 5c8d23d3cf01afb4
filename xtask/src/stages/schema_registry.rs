//! Stage `schema-registry`: the emulator's `SchemaRegistryConfig` on Apicurio's registry.

use anyhow::Result;

use super::binaries;
use crate::tools;

/// Its tests of a real registry.
pub(super) fn run() -> Result<()> {
    let registry = tools::APICURIO_REGISTRY.folder()?;
    let mut tests = binaries::ignored_tests("msk-local", "emulator")?;
    binaries::run_chosen(tests.env("APICURIO_REGISTRY", registry).arg("real_registry::"))
}
