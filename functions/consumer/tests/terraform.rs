//! What Terraform renders for the consumer fits the consumer: the environment of every setting.

#![cfg(feature = "dead-letter-kafka")]

use msk_consumer::Config;
use msk_shared::env::EnvReader;
use msk_test_kit::terraform;

#[test]
fn every_rendered_environment_is_accepted_and_every_variable_read() {
    terraform::assert_fits_the_consumer(|variables| Config::from_env(EnvReader::new(variables)));
}
