//! Environments from outside: `MSK_ENV_CASES` names a JSON file with a list of environments that the consumer must accept, each an
//! object of variables, or `{"plan": ..., "variables": {...}}`; or an object whose member `consumer` is such a list.
//! Without the variable the test says that it was skipped.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test says what is wrong by panicking"
)]

use msk_consumer::Config;
use msk_shared::env::EnvReader;
use serde_json::Value;

#[test]
fn every_environment_of_the_file_is_accepted() {
    let Some(path) = std::env::var_os("MSK_ENV_CASES") else {
        eprintln!(
            "SKIPPED: MSK_ENV_CASES is not set; it names a JSON file of environments that the consumer must accept"
        );
        return;
    };
    let text =
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("MSK_ENV_CASES {}: {error}", path.display()));
    let file: Value = serde_json::from_str(&text).expect("MSK_ENV_CASES names a JSON file");
    let cases = file.get("consumer").unwrap_or(&file).as_array().expect("a list of environments");
    assert!(!cases.is_empty(), "the list is empty");
    for (index, case) in cases.iter().enumerate() {
        let name = case.get("plan").and_then(Value::as_str).map_or_else(|| index.to_string(), str::to_owned);
        let variables = case.get("variables").unwrap_or(case).as_object().expect("an environment is an object");
        let variables = variables.iter().map(|(name, value)| (name, value.as_str().expect("a variable is a text")));
        if let Err(error) = Config::from_env(EnvReader::new(variables)) {
            panic!("environment {name}: {error}");
        }
    }
    eprintln!("{} environments accepted", cases.len());
}
