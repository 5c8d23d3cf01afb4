//! The default handler with an idempotency store in the file `STORE_FILE`. The scenarios on real brokers make the store fail, and
//! kill this process in the middle of a batch.

use std::process::ExitCode;

use msk_consumer::DefaultHandler;

mod store;

use store::FileStore;

#[tokio::main]
async fn main() -> ExitCode {
    store::report(run()).await
}

async fn run() -> Result<(), String> {
    msk_consumer::run_with(DefaultHandler, FileStore::from_env()?).await.map_err(|error| error.to_string())
}
