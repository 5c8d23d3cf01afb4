//! The event source mapping emulator: what AWS Lambda does between a topic of Amazon MSK and a function.
//!
//! From what runs to what is read; no file imports itself by a circle:
//!
//! | Module | Contains |
//! |---|---|
//! | [`running_mapping`] | a running mapping: its pollers, and the ways it ends |
//! | [`system_log`] | AWS's system log of a mapping |
//! | [`metrics_page`] | the metrics of a process for Prometheus |
//! | `group_offsets` | where the consumer group stands, and so the lag |
//! | `broker_queries` | queries to the brokers from outside the consumer group: partitions, starting offsets |
//! | `poller`, `consumer`, `silence` | a member of the consumer group: it reads, starts deliveries and commits, and begins again when no broker answers |
//! | `conversion_queue` | records waiting for their conversion |
//! | `batcher` | records waiting for their batch, and the rules that close a batch |
//! | `batch_delivery` | one batch from its first invocation until every record is finished or given up |
//! | `chaos`, [`chaos_settings`] | faults on request |
//! | `stalled` | tells of deliveries that do not get on, and what to do |
//! | [`filter`] | `FilterCriteria`: which records the function gets |
//! | `commit` | how far a partition may be committed when only some of its records are finished |
//! | `destination` | the on-failure destination |
//! | [`topic_settings`] | what the cluster says of a topic: its largest message, whether it is compacted |
//! | `outcome` | what to do after an invocation: done, retry, split or give up |
//! | [`event_reader`] | the events that a mapping would send, without being a member of its group |
//! | [`replay`] | a saved event, sent once more |
//! | [`redrive`] | dead letters back to their topics |
//! | [`response_check`] | a function's response judged without an invocation |
//! | `invoke`, `invoke_client`, `http_failure`, [`environments`] | the Invoke endpoints with their ways of reporting errors, and how many requests one takes at once |
//! | `msk_event` | the event a function is sent, and its size |
//! | [`schema_registry`] | keys and values validated with the schemas of a registry, and what the function gets of them |
//! | [`source_access`], [`iam`] | how a mapping signs in at its brokers: from its secrets, or with MSK IAM |
//! | `kafka_client` | librdkafka settings shared by all clients of a mapping |
//! | [`validate`](mod@validate) | AWS's ranges and mode rules |
//! | [`mapping`], [`config_file`], [`document`] | the configuration: validated, as a file of some format, and as its members |
//! | `terraform`, `cloudformation`, `serverless_framework`, `listed` | the mappings of a Terraform plan or state, of a template |
//! | `template_functions`, `serverless_variables`, `yaml` | what templates write in place of values |
//! | `members`, [`moment`], [`setting_flags`] | reading a document member by member; dates; which flag sets which member |
//! | [`error`], [`metrics`] | why a mapping cannot run; counts under AWS's names |

mod batch_delivery;
mod batcher;
mod broker_queries;
mod chaos;
pub mod chaos_settings;
mod cloudformation;
mod commit;
pub mod config_file;
mod consumer;
mod conversion_queue;
mod destination;
pub mod document;
mod endpoint_url;
pub mod environments;
pub mod error;
pub mod event_reader;
pub mod filter;
mod group_offsets;
mod http_failure;
pub mod iam;
mod invoke;
mod invoke_client;
mod kafka_client;
mod listed;
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
pub mod schema_registry;
mod serverless_framework;
mod serverless_variables;
pub mod setting_flags;
mod silence;
pub mod source_access;
mod stalled;
pub mod system_log;
mod template_functions;
mod terraform;
pub mod topic_settings;
mod trusted_roots;
pub mod validate;
mod yaml;

pub use msk_event::MAX_EVENT_BYTES;
