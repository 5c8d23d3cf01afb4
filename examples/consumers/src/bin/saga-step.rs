//! The process of the saga's step.

use std::process::ExitCode;

use msk_consumer_examples::saga_step::SagaStep;

fn main() -> ExitCode {
    msk_consumer::main_with(SagaStep::from_env)
}
