//! The producer as a process: its command line, its plain HTTP server, and the function under the Lambda Runtime API.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failing test may panic")]

mod command_line;
mod lambda;
mod logs;
mod plain_http;
mod revision;
mod support;
