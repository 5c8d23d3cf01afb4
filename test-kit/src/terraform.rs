//! What Terraform renders for the functions: `infra/tests/data/functions.json`, which `infra/tests/tools/rendered.py` compares
//! with the plans of all settings that change it.

use std::collections::BTreeMap;
use std::fmt::Debug;

use serde::Deserialize;

/// The variables of a function, by name.
pub type Environment = BTreeMap<String, String>;

/// Invalid for every variable of the contract.
const NONSENSE: &str = "\u{7} not a value";

/// What Lambda itself adds to every function's environment.
const FROM_LAMBDA: [(&str, &str); 4] = [
    ("AWS_REGION", "us-east-1"),
    ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
    ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    ("AWS_SESSION_TOKEN", "token"),
];

#[derive(Deserialize)]
struct Rendered {
    consumer: Vec<Plan>,
    producer: Vec<Plan>,
    routes: Vec<String>,
}

#[derive(Deserialize)]
struct Plan {
    plan: String,
    variables: Environment,
}

fn rendered() -> Rendered {
    serde_json::from_str(include_str!("../../infra/tests/data/functions.json")).unwrap()
}

/// The routes that the gateway forwards, as `POST /topics/{topic}`.
pub fn routes() -> Vec<String> {
    rendered().routes
}

/// Fails when the producer's configuration rejects a rendered environment, or ignores one of its variables.
pub fn assert_fits_the_producer<C: Debug, E: ToString>(parse: impl Fn(Environment) -> Result<C, E>) {
    assert_fits(rendered().producer, parse);
}

/// Fails when the consumer's configuration rejects a rendered environment, or ignores one of its variables.
pub fn assert_fits_the_consumer<C: Debug, E: ToString>(parse: impl Fn(Environment) -> Result<C, E>) {
    assert_fits(rendered().consumer, parse);
}

fn assert_fits<C: Debug, E: ToString>(plans: Vec<Plan>, parse: impl Fn(Environment) -> Result<C, E>) {
    assert!(!plans.is_empty());
    let from_lambda = FROM_LAMBDA.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let parse = |variables: &Environment| {
        let config = parse(from_lambda.iter().cloned().chain(variables.clone()).collect());
        config.map(|config| format!("{config:?}")).map_err(|error| error.to_string())
    };
    for Plan { plan, variables } in plans {
        let config = parse(&variables);
        assert!(config.is_ok(), "{plan} is refused: {config:?}");
        for name in variables.keys() {
            let mut broken = variables.clone();
            broken.insert(name.clone(), NONSENSE.to_owned());
            assert_ne!(parse(&broken), config, "{plan}: the function does not read {name}");
        }
    }
}
