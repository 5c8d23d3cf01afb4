//! `msk-local` with what others have published: runtimes, libraries and, in [`installed`], pip.
//!
//! Tests that need packages of other registries are ignored; stages `peers` and `dist` of `cargo xtask test` fetch them and run
//! these tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../emulator/apicurio.rs"]
#[allow(dead_code, reason = "`signal` is for stage `schema-registry`")]
mod apicurio;
mod interface_emulator;
mod support;

mod clients;
mod emulated;
mod installed;
mod killed;
mod missing;
mod outcomes;
mod parsers;
mod partial;
mod runtimes;
mod schemas;
