//! The process of the HTTP forwarder.

use std::process::ExitCode;

use msk_consumer_examples::http_forwarder::HttpForwarder;

fn main() -> ExitCode {
    msk_consumer::main_with(HttpForwarder::from_env)
}
