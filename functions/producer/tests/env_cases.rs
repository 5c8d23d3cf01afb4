//! Environments from outside: `MSK_ENV_CASES` names a JSON file with a list of environments that the producer must accept,
//! each an object of variables, or `{"plan": ..., "variables": {...}}`; or an object whose member `producer` is such a list.
//! Without the variable the test says that it was skipped.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test says what is wrong by panicking"
)]

use msk_producer::config::Config;
use msk_shared::env::EnvReader;
use serde_json::Value;

/// What Lambda itself puts into every function's environment; a case may say otherwise.
const FROM_LAMBDA: [(&str, &str); 4] = [
    ("AWS_REGION", "us-east-1"),
    ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
    ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    ("AWS_SESSION_TOKEN", "token"),
];

#[test]
fn every_environment_of_the_file_is_accepted() {
    let Some(path) = std::env::var_os("MSK_ENV_CASES") else {
        eprintln!(
            "SKIPPED: MSK_ENV_CASES is not set; it names a JSON file of environments that the producer must accept"
        );
        return;
    };
    let text =
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("MSK_ENV_CASES {}: {error}", path.display()));
    let file: Value = serde_json::from_str(&text).expect("MSK_ENV_CASES names a JSON file");
    let cases = file.get("producer").unwrap_or(&file).as_array().expect("a list of environments");
    assert!(!cases.is_empty(), "the list is empty");
    for (index, case) in cases.iter().enumerate() {
        let name = case.get("plan").and_then(Value::as_str).map_or_else(|| index.to_string(), str::to_owned);
        let variables = case.get("variables").unwrap_or(case).as_object().expect("an environment is an object");
        let variables = variables.iter().map(|(name, value)| (name.as_str(), value.as_str().expect("a text")));
        if let Err(error) = Config::from_env(EnvReader::new(FROM_LAMBDA.into_iter().chain(variables))) {
            panic!("environment {name}: {error}");
        }
    }
    eprintln!("{} environments accepted", cases.len());
}
