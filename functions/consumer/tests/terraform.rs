//! What Terraform renders for the consumer fits the consumer: `infra/tests/data/functions.json` holds the environment of
//! every toggle, and `infra/tests/tools/rendered.py` compares it with the plans.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what is wrong by panicking")]
#![cfg(feature = "dead-letter-kafka")]

use std::collections::BTreeMap;

use msk_consumer::Config;
use msk_shared::env::EnvReader;

/// Wrong for every variable of the contract.
const NONSENSE: &str = "\u{7} not a value";

#[derive(serde::Deserialize)]
struct Rendered {
    consumer: Vec<Environment>,
}

/// What Lambda itself puts into every function's environment.
const FROM_LAMBDA: [(&str, &str); 4] = [
    ("AWS_REGION", "us-east-1"),
    ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
    ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    ("AWS_SESSION_TOKEN", "token"),
];

/// The environment of one or more plans.
#[derive(serde::Deserialize)]
struct Environment {
    plan: String,
    variables: BTreeMap<String, String>,
}

fn rendered() -> Vec<Environment> {
    serde_json::from_str::<Rendered>(include_str!("../../../infra/tests/data/functions.json")).unwrap().consumer
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
    assert!(!rendered().is_empty());
    for Environment { plan, variables } in rendered() {
        let parsed = parse(&variables);
        assert!(!parsed.starts_with("refused"), "{plan}: {parsed}");
    }
}

#[test]
fn every_rendered_variable_is_read() {
    for Environment { plan, variables } in rendered() {
        for name in variables.keys() {
            let mut broken = variables.clone();
            broken.insert(name.clone(), NONSENSE.to_owned());
            assert_ne!(parse(&broken), parse(&variables), "{plan}: the consumer does not read {name}");
        }
    }
}
