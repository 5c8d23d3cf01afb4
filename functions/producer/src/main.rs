//! The producer's program.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    msk_producer::process::run().await
}
