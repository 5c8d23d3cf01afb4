//! The consumer: MSK event -> record handler -> batch response.
//!
//! Your business logic goes into [`handler`]: implement [`RecordHandler`] and give it to [`run`], as `main.rs` does.
//! Everything else is the way of a batch, in this order:
//!
//! | Module | Does |
//! |---|---|
//! | [`config`] | reads the environment, reports every problem together |
//! | [`runtime`] | takes an invocation from Lambda and answers it |
//! | [`batch`] | parses the event, runs its lanes, makes the batch response or the invocation error |
//! | [`lanes`] | splits a batch into lanes: by partition, by key, or one per record |
//! | `attempt` | one record: claim, handler, panic isolation, dead letter, completion |
//! | [`handler`] | what the record means: the one file to edit |
//! | [`idempotency`] | which records are done already |
//! | [`dead_letter`] | where records go that will never succeed |
//! | `metrics` | one line of CloudWatch metrics per batch |
//!
//! What is promised: a record is handled at least once, in its lane's order; a failed record and every later one of its lane are
//! reported to the event source mapping, so none is lost whichever way AWS retries.

mod attempt;
pub mod batch;
pub mod config;
pub mod dead_letter;
pub mod handler;
pub mod idempotency;
pub mod lanes;
mod metrics;
pub mod runtime;

pub use batch::{BatchProcessor, Invocation, InvocationError};
pub use config::{BatchSettings, Config};
pub use handler::{DefaultHandler, Outcome, RecordHandler};
pub use runtime::{run, run_with};
