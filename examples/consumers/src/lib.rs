//! Consumers to begin from, each a function of its own.
//!
//! | Module, program | Does |
//! |---|---|
//! | [`http_forwarder`], `http-forwarder` | posts each record to an HTTP endpoint, and slows down when that says so |
//! | [`saga_step`], `saga-step` | decides on a payment and publishes the outcome through the publisher |
//! | [`change_stream`], `change-stream` | mirrors the change stream of a database (Debezium) into documents, deletions included |
//! | [`dynamodb_writer`], `dynamodb-writer` | keeps the newest state of each entity in a DynamoDB table (CQRS); a handler of batches |
//! | [`click_window`], `click-window` | counts clicks by page and minute, each once; a handler of batches |
//!
//! [`http_client`] has what they share, `dynamodb` the calls of that service. `cargo lambda build --release --arm64 --output-format zip --package msk-consumer-examples --bin http-forwarder` makes the zip
//! that the entry `http-forwarder` of the Terraform variable `consumers` deploys. `docs/CONSUMER.md` shows the entries.

pub mod change_stream;
pub mod click_window;
mod dynamodb;
pub mod dynamodb_writer;
pub mod http_client;
pub mod http_forwarder;
pub mod saga_step;
