//! `msk-local` with what others have published: runtimes, libraries and, in [`installed`], pip.
//!
//! Tests that need packages of other registries are ignored; stages `peers` and `dist` of `cargo xtask test` fetch them and run
//! these tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

mod clients;
mod installed;
mod outcomes;
mod parsers;
mod runtimes;
