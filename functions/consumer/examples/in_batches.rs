//! What the default handler does, by a handler of batches of `MAX_RECORDS`: every effect of a call first, then every outcome, as with
//! a sink that takes many records at once. With `STORE_FILE` its idempotency store is in that file. The scenarios on real brokers
//! run it beside the consumer.

use std::process::ExitCode;

use msk_consumer::{BatchHandler, DefaultHandler, MaxRecords, RecordBatch, RecordHandler};

#[path = "file_store/store.rs"]
mod store;

use store::FileStore;

struct InBatches {
    max_records: MaxRecords,
}

impl BatchHandler for InBatches {
    fn max_records(&self) -> MaxRecords {
        self.max_records
    }

    async fn handle_batch(&self, batch: &mut RecordBatch<'_>) {
        let mut effects = Vec::new();
        for open in batch.open() {
            let outcome = DefaultHandler.handle(open.record()).await;
            effects.push((open, outcome));
        }
        for (open, outcome) in effects {
            open.settle(outcome);
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    store::report(run()).await
}

async fn run() -> Result<(), String> {
    let max_records = std::env::var("MAX_RECORDS").ok().and_then(|text| text.parse().ok());
    let handler = InBatches { max_records: max_records.ok_or("MAX_RECORDS must be a number from 1 to 10000")? };
    let ran = match std::env::var_os("STORE_FILE") {
        Some(_) => msk_consumer::run_with(handler, FileStore::from_env()?).await,
        None => msk_consumer::run(handler).await,
    };
    ran.map_err(|error| error.to_string())
}
