//! The emulator against embedded brokers and a scripted Invoke endpoint.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod apicurio;
mod function;
mod guide;
mod harness;

mod batching;
mod broker_chaos;
mod chaos;
mod concurrency;
mod configuration;
mod connection;
mod delivery;
mod destinations;
mod embedded_brokers;
mod embedded_frames;
mod embedded_groups;
mod event_sources;
mod events;
mod failures;
mod filtering;
mod invoke_tls;
mod mapping_files;
mod metrics;
mod program;
mod real_registry;
mod rebalance;
mod redrive;
mod registry;
mod registry_configuration;
mod registry_tls;
mod schema_registries;
mod shell;
mod system_log;
