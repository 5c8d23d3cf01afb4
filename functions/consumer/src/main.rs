//! The consumer's process. To run your own business logic, edit `handler.rs` or pass another handler here.

use std::process::ExitCode;

use msk_consumer::DefaultHandler;

fn main() -> ExitCode {
    msk_consumer::main(DefaultHandler)
}
