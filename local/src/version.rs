//! What `--version` says.

use std::sync::LazyLock;

/// The commit, where `MSK_REVISION` was set at build time, as `cargo xtask dist` does. A build script that asks git would compile
/// this crate again after each commit.
const REVISION: Option<&str> = option_env!("MSK_REVISION");

/// The version, the commit if it is known, and librdkafka's version.
pub(crate) fn text() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let revision = REVISION.map(|revision| format!("revision {revision}, ")).unwrap_or_default();
        let (_, librdkafka) = rdkafka::util::get_rdkafka_version();
        format!("{} ({revision}librdkafka {librdkafka})", env!("CARGO_PKG_VERSION"))
    });
    &TEXT
}
