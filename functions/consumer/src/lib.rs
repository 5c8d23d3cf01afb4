//! The consumer: MSK event -> record handler -> batch response.
//!
//! Your business logic goes into [`handler`]: implement [`RecordHandler`] (or [`BatchHandler`], for a sink that writes many records
//! at once) and pass it to [`main`], as `main.rs` does.
//! Everything else is the path of a batch, in this order:
//!
//! | Module | Does |
//! |---|---|
//! | [`config`] | reads the environment, reports all problems together |
//! | [`runtime`] | takes an invocation from Lambda and answers it |
//! | [`batch`] | parses the event, runs its lanes, makes the batch response or the invocation error |
//! | [`lanes`] | splits a batch into lanes, by partition, by key, or one per record, and runs them |
//! | `running_batch` | a batch while its lanes run |
//! | `calls` | which records of the lanes the handler gets in one call, and what is settled after it |
//! | `processing` | a record's claim, a call of the handler with panic isolation, dead letter, completion |
//! | `failure_counts` | how often a record has failed |
//! | [`handler`] | what the record means: the one file to edit |
//! | [`batch_handler`] | handlers that take several records in one call |
//! | [`idempotency`] | which records are already done |
//! | [`dead_letters`] | where records that will never succeed go |
//! | `metrics` | one line of CloudWatch metrics per batch |
//!
//! The guarantee: a record is handled at least once, in the order of its lane; a failed record and all later ones of its lane are
//! reported to the event source mapping, so none is lost whichever way AWS retries.

pub mod batch;
pub mod batch_handler;
mod calls;
pub mod config;
pub mod dead_letters;
mod failure_counts;
pub mod handler;
pub mod idempotency;
pub mod lanes;
mod metrics;
mod processing;
mod running_batch;
pub mod runtime;

pub use batch::{BatchProcessor, InvocationContext, InvocationError};
pub use batch_handler::{BatchHandler, MaxRecords, OpenRecord, RecordBatch};
pub use config::{BatchSettings, Config};
pub use handler::{DefaultHandler, Outcome, RecordHandler};
pub use runtime::{main, main_with, run, run_with};

/// The code of the README and of the guide is compiled, and runs, with the other examples.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[doc = include_str!("../../../docs/CONSUMER.md")]
struct Pages;
