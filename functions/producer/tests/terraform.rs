//! What Terraform renders for the producer fits the producer: `infra/tests/data/functions.json` holds the environment of
//! every toggle and the API's routes, and `infra/tests/tools/rendered.py` compares it with the plans.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what is wrong by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use msk_producer::config::Config;
use msk_producer::router::ROUTES;
use msk_shared::env::EnvReader;

/// Wrong for every variable of the contract.
const NONSENSE: &str = "\u{7} not a value";

#[derive(serde::Deserialize)]
struct Rendered {
    producer: Vec<Environment>,
    routes: Vec<String>,
}

/// The environment of one or more plans.
#[derive(serde::Deserialize)]
struct Environment {
    plan: String,
    variables: BTreeMap<String, String>,
}

/// What Lambda itself puts into every function's environment.
const FROM_LAMBDA: [(&str, &str); 4] = [
    ("AWS_REGION", "us-east-1"),
    ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
    ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    ("AWS_SESSION_TOKEN", "token"),
];

fn rendered() -> Rendered {
    serde_json::from_str(include_str!("../../../infra/tests/data/functions.json")).unwrap()
}

fn parse(variables: &BTreeMap<String, String>) -> String {
    let from_lambda = FROM_LAMBDA.map(|(name, value)| (name.to_owned(), value.to_owned()));
    match Config::from_env(EnvReader::new(variables.clone().into_iter().chain(from_lambda))) {
        Ok(config) => format!("{config:?}"),
        Err(error) => format!("refused: {error}"),
    }
}

#[test]
fn every_rendered_environment_is_accepted() {
    assert!(!rendered().producer.is_empty());
    for Environment { plan, variables } in rendered().producer {
        let parsed = parse(&variables);
        assert!(!parsed.starts_with("refused"), "{plan}: {parsed}");
    }
}

#[test]
fn every_rendered_variable_is_read() {
    for Environment { plan, variables } in rendered().producer {
        for name in variables.keys() {
            let mut broken = variables.clone();
            broken.insert(name.clone(), NONSENSE.to_owned());
            assert_ne!(parse(&broken), parse(&variables), "{plan}: the producer does not read {name}");
        }
    }
}

/// The gateway forwards the producer's routes, each of them and no other: one that it lacked could not be called.
#[test]
fn the_gateways_routes_are_the_producers() {
    let own: BTreeSet<String> = ROUTES
        .iter()
        .flat_map(|route| route.methods.iter().map(move |method| format!("{method} {}", route.path)))
        .collect();
    let forwarded: BTreeSet<String> = rendered().routes.into_iter().collect();
    assert_eq!(forwarded, own);
}
