//! The process of the projection into a DynamoDB table.

use std::process::ExitCode;

use msk_consumer_examples::dynamodb_writer::DynamoDbWriter;

fn main() -> ExitCode {
    msk_consumer::main_with(DynamoDbWriter::from_env)
}
