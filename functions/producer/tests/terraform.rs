//! What Terraform renders for the producer fits the producer: the environment of every setting, and the API's routes.

use std::collections::BTreeSet;

use msk_producer::api::router::paths;
use msk_producer::config::Config;
use msk_shared::env::EnvReader;
use msk_test_kit::terraform;

#[test]
fn every_rendered_environment_is_accepted_and_every_variable_read() {
    terraform::assert_fits_the_producer(|variables| Config::from_env(EnvReader::new(variables)));
}

/// The gateway forwards the producer's routes, each of them and no other: one that it lacked could not be called.
#[test]
fn the_gateways_routes_are_the_producers() {
    let own: BTreeSet<String> =
        paths().flat_map(|(path, methods)| methods.iter().map(move |method| format!("{method} {path}"))).collect();
    assert_eq!(terraform::routes().into_iter().collect::<BTreeSet<_>>(), own);
}
