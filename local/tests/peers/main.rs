//! `msk-local` with what others have published: runtimes, libraries and, in [`installed`], pip.
//!
//! Every test here needs packages of other registries and is ignored; stages `peers` and `dist` of `cargo xtask test` fetch them
//! and run it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

mod installed;
mod outcomes;
mod parsers;
mod runtimes;
