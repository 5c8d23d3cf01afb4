//! The event source mapping emulator: what AWS Lambda does between a topic of Amazon MSK and a function.
//!
//! The way of a record: [`session::Session`] starts pollers; a poller reads the consumer group into [`batch::Waiting`],
//! a batch goes to the function through [`invoke::Invoker`], [`outcome::decide`] says what follows, and
//! [`commit::CommitTracker`] how far the partition may be committed.
//!
//! | Module | Holds |
//! |---|---|
//! | [`document`], [`mapping`], `check` | the configuration: as written, as checked, AWS's rules |
//! | [`session`] | a running mapping and its ends |
//! | `lookup` | what is asked of the brokers outside the group |
//! | `poller`, `kafka` | a member of the consumer group |
//! | [`batch`] | what waits, and when a batch is closed |
//! | `delivery` | one batch from its first invocation to its end |
//! | `destination` | where given-up records go |
//! | [`invoke`] | the Invoke endpoints and their ways of reporting errors |
//! | [`outcome`] | the failure algorithm, as a pure function |
//! | [`commit`] | the highest contiguous finished offset |
//! | [`metrics`] | counts under AWS's names |

pub mod batch;
mod check;
pub mod commit;
mod delivery;
mod destination;
pub mod document;
pub mod invoke;
mod kafka;
mod lookup;
pub mod mapping;
pub mod metrics;
pub mod outcome;
mod poller;
pub mod session;
