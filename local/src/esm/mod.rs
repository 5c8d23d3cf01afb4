//! The event source mapping emulator: what AWS Lambda does between a topic of Amazon MSK and a function.
//!
//! Imports go down this table, never up:
//!
//! | Module | Contains |
//! |---|---|
//! | [`running_mapping`] | a running mapping: its pollers, and the ways it ends |
//! | [`system_log`] | AWS's system log of a mapping |
//! | [`metrics_page`] | the metrics of a process for Prometheus |
//! | `group_offsets` | where the consumer group stands, and so the lag |
//! | `broker_queries` | queries to the brokers from outside the consumer group: partitions, starting offsets |
//! | `poller`, `consumer` | a member of the consumer group: it reads, starts deliveries and commits |
//! | `batcher` | records waiting for their batch, and the rules that close a batch |
//! | `batch_delivery` | one batch from its first invocation until every record is finished or given up |
//! | `chaos`, [`chaos_settings`] | faults on request |
//! | `stalled` | tells of deliveries that do not get on, and what to do |
//! | `commit` | how far a partition may be committed when only some of its records are finished |
//! | `destination` | the on-failure destination |
//! | [`topic_settings`] | what the cluster says of a topic: its largest message, whether it is compacted |
//! | `outcome` | what to do after an invocation: done, retry, split or give up |
//! | [`event_reader`] | the events that a mapping would send, without being a member of its group |
//! | [`replay`] | a saved event, sent once more |
//! | [`redrive`] | dead letters back to their topics |
//! | [`response_check`] | a function's response judged without an invocation |
//! | `invoke`, [`environments`] | the Invoke endpoints with their ways of reporting errors, and how many requests one takes at once |
//! | `msk_event` | the event a function is sent, and its size |
//! | `kafka_client` | librdkafka settings shared by all clients of a mapping |
//! | [`validate`](mod@validate) | AWS's ranges and mode rules |
//! | [`mapping`], [`document`] | the configuration: validated, and as written by the user |
//! | `terraform` | the mappings of a Terraform plan or state |
//! | `members`, [`moment`], [`setting_flags`], `stable_hash` | reading a document member by member; dates; which flag sets which member; numbers that depend on names alone |
//! | [`error`], [`metrics`] | why a mapping cannot run; counts under AWS's names |

mod batch_delivery;
mod batcher;
mod broker_queries;
mod chaos;
pub mod chaos_settings;
mod commit;
mod consumer;
mod destination;
pub mod document;
pub mod environments;
pub mod error;
pub mod event_reader;
mod group_offsets;
mod invoke;
mod kafka_client;
pub mod mapping;
mod members;
pub mod metrics;
pub mod metrics_page;
pub mod moment;
mod msk_event;
mod outcome;
mod poller;
pub mod redrive;
pub mod replay;
pub mod response_check;
pub mod running_mapping;
pub mod setting_flags;
mod stable_hash;
mod stalled;
pub mod system_log;
mod terraform;
pub mod topic_settings;
pub mod validate;

pub use msk_event::MAX_EVENT_BYTES;
