//! What all tests share: child processes that never outlive a test, the Lambda Runtime API, and what Terraform renders.
//!
//! | Module | Contains |
//! |---|---|
//! | [`process`] | a child process with its group and its JSON lines |
//! | [`watchdog`] | cleaning up after tests that are killed |
//! | [`runtime_api`] | the Lambda Runtime API that a function polls |
//! | [`content_coding`] | compressed bodies, and bombs |
//! | [`function_host`] | a function on that API, for tests that neither freeze nor kill it (those use `msk-e2e`) |
//! | [`invoke_endpoint`] | a function on that API behind Lambda's Invoke, for what invokes it over HTTP |
//! | [`kept_lines`] | a stream that keeps JSON lines |
//! | [`prometheus`] | pages for Prometheus, read strictly |
//! | [`terraform`] | the environments and routes that the Terraform code gives the functions |

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failing test may panic")]

pub mod content_coding;
pub mod function_host;
pub mod invoke_endpoint;
pub mod kept_lines;
pub mod process;
pub mod prometheus;
pub mod runtime_api;
pub mod terraform;
pub mod watchdog;

use std::time::Duration;

pub use function_host::{FunctionHost, Pending, Posted};
pub use invoke_endpoint::InvokeEndpoint;
pub use kept_lines::KeptLines;
pub use process::{Process, clean};
pub use runtime_api::Extensions;

/// How long a test waits for anything that normally takes milliseconds: long enough for a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The text of a file of `events/`.
pub fn sample(name: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../events").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
