//! The API as its callers see it.
//!
//! | Module | Shows |
//! |---|---|
//! | `bad_requests` | the answer to everything that is wrong with a request |
//! | `good_requests` | what records a request becomes |
//! | `answers` | the shapes of answers, statuses for every outcome (snapshots) |
//! | `agreement` | property test: what the producer takes, the consumer reads |
//! | `arbitrary` | property tests: nothing panics, nothing is a 5xx |
//! | `arbitrary_formats` | property tests of the formats other than Kafka REST v2's |
//! | `cloud_events` | what CloudEvents become, and what is wrong with them |
//! | `compatible` | what other gateways' clients send and ask, and `strict` refuses |
//! | `cluster` | real publisher, embedded brokers, a second client that reads back |
//! | `cluster_formats` | the same for the other formats, byte by byte |
//! | `compression` | compressed requests become what the same request does uncompressed |
//! | `v3` | Confluent's REST API v3 |
//! | `peers` | the examples that other gateways document |
//! | `contract` | what `docs/openapi.json` says is what the API does |
//! | `viewer` | the page `GET /docs` |
//! | `docs` | the page that problem documents point to |
//! | `formats` | what NDJSON and raw bodies become, and what is wrong with them |
//! | `principals` | who may write and see which topic |
//! | `schema_policies` | what a topic's JSON Schema refuses |
//! | `schema_files` | what is wrong with a schema, and what a good one costs |
//! | `preferences` | `?validate_only=` and `Prefer` |
//! | `events` | the HTTP events of `events/` |
//! | `front_doors` | one request through each front door; property tests: damaged events |
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "figures are printed")]

mod agreement;
mod answers;
mod arbitrary;
mod arbitrary_formats;
mod bad_requests;
mod calls;
mod cloud_events;
mod cluster;
mod cluster_formats;
mod compatible;
mod compression;
mod contract;
mod docs;
mod events;
mod formats;
mod front_doors;
mod good_requests;
mod peers;
mod preferences;
mod principals;
mod schema_files;
mod schema_policies;
mod v3;
mod viewer;
