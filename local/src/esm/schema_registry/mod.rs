//! `SchemaRegistryConfig`: keys and values are validated with the schemas of a registry before the filters see them, and the
//! function gets JSON or the bytes without the registry's frame
//! (<https://docs.aws.amazon.com/lambda/latest/dg/services-consume-kafka-events.html>).
//!
//! | Module | Contains |
//! |---|---|
//! | [`registry_block`], [`registry_settings`] | the configuration: as it is written, and after validation, with its secrets |
//! | `conversion` | one record: its frames, its schemas, and what becomes of it |
//! | `schema_store`, `blocking` | the schemas that are known, and how one more is asked for |
//! | `registry_client`, `registry_tls` | requests to a registry with Confluent's API |
//! | `schema`, `json_schema` | a schema that values can be judged with |
//! | `avro_schema`, `avro_reader` | Avro: schemas, and binary data as JSON |
//!
//! Where AWS's documentation is silent:
//! - A tombstone, or a record without a key, has nothing to validate and passes.
//! - Avro becomes JSON as its specification's JSON encoding has it (bytes as text of the code points 0 to 255, logical types as what
//!   they are made of), but a union is its value alone: the API's reference speaks of a
//!   standard JSON object.
//! - A value must end where its schema says; readers in Java would overlook what follows.
//! - While the registry does not answer, records wait.

mod avro_reader;
mod avro_schema;
pub(super) mod blocking;
pub(super) mod conversion;
mod json_schema;
pub mod registry_block;
pub mod registry_client;
pub mod registry_settings;
pub mod registry_tls;
mod schema;
pub(super) mod schema_store;
