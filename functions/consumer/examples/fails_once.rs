//! A handler that fails on purpose: a record with `{"fail_once": true}` fails the first time it arrives. The end-to-end
//! tests run it in place of the consumer to see what is redelivered.

use std::collections::HashSet;
use std::process::ExitCode;
use std::sync::Mutex;

use msk_consumer::{Outcome, RecordHandler};
use msk_shared::event::Record;

#[derive(Debug, serde::Deserialize)]
struct Instruction {
    fail_once: bool,
}

/// Remembers which records have already failed, by topic, partition and offset.
#[derive(Debug, Default)]
struct FailsOnce {
    failed: Mutex<HashSet<(String, i64, i64)>>,
}

impl RecordHandler for FailsOnce {
    async fn handle(&self, record: &Record) -> Outcome {
        let (topic, partition, offset) = (record.topic(), record.partition(), record.offset());
        tracing::info!(topic, partition, offset, "attempt");
        let instruction: Instruction = match record.json() {
            Ok(instruction) => instruction,
            Err(error) => return Outcome::Poison(error.into()),
        };
        let place = (topic.to_owned(), i64::from(partition), offset);
        let first_time = self.failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(place);
        if instruction.fail_once && first_time { Outcome::Retry("told to fail once".into()) } else { Outcome::Done }
    }
}

fn main() -> ExitCode {
    msk_consumer::main(FailsOnce::default())
}
