//! A laptop-sized MSK: embedded brokers and the event source mapping emulator.
//!
//! | Module | Contains |
//! |---|---|
//! | [`brokers`] | three embedded brokers (`krafka`'s test brokers) and their faults |
//! | [`esm`] | the event source mapping: polling, batching, invoking, retrying, committing |
//! | [`metrics_server`] | the metrics of the mappings on a port of loopback |
//! | [`output`] | what the commands print |
//! | `stable_hash` | numbers that depend on names alone |

pub mod brokers;
pub mod esm;
pub mod metrics_server;
pub mod output;
mod stable_hash;
