//! The producer as a process: its command line, its plain HTTP server, and the function under the Lambda Runtime API.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failing test may panic")]

mod api_page;
mod browser;
mod command_line;
mod compression_bombs;
mod containers_page;
mod lambda;
mod logs;
mod peers;
mod plain_http;
mod revision;
mod schemathesis;
mod server_edges;
mod server_limits;
mod server_stop;
mod support;
