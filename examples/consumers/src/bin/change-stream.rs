//! The process of the change stream's mirror.

use std::process::ExitCode;

use msk_consumer_examples::change_stream::ChangeStream;

fn main() -> ExitCode {
    msk_consumer::main_with(ChangeStream::from_env)
}
