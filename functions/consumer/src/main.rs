//! The consumer's process. To run your own business logic, edit `handler.rs` or pass another handler here.

use std::process::ExitCode;

use msk_consumer::DefaultHandler;

#[tokio::main]
async fn main() -> ExitCode {
    match msk_consumer::run(DefaultHandler).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = error.to_string(), "the consumer cannot run");
            ExitCode::FAILURE
        }
    }
}
