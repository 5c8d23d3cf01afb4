//! JSON-Schema-Test-Suite, whose folder `JSON_SCHEMA_TEST_SUITE` names: what a schema is taken to mean is what the draft says.
//!
//! Left out is `format.json`, which tests that formats are not checked.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::validator::Validator;

/// Why a group of tests may be refused: its schema has what a policy's schema must not have.
const REFUSED: [&str; 3] = ["must lead into the same file", "only the root may have one", "is not supported; write"];

#[test]
#[ignore = "needs the suite; stage `contract` runs it"]
#[allow(clippy::print_stdout, reason = "a test prints its figures")]
fn the_required_tests_of_the_draft_pass() {
    let suite = std::env::var_os("JSON_SCHEMA_TEST_SUITE").expect("JSON_SCHEMA_TEST_SUITE names the suite");
    let mut files: Vec<PathBuf> = std::fs::read_dir(Path::new(&suite).join("tests/draft2020-12"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file() && !path.ends_with("format.json"))
        .collect();
    files.sort();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("schema.json");
    let (mut passed, mut refused, mut wrong) = (0, 0, Vec::new());
    for path in files {
        let groups: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        for group in groups.as_array().unwrap() {
            let place = format!("{}: {}", path.file_name().unwrap().display(), group["description"]);
            std::fs::write(&file, group["schema"].to_string()).unwrap();
            let validator = match Validator::read(&file) {
                Ok(validator) => validator,
                Err(error) if REFUSED.iter().any(|reason| error.to_string().contains(reason)) => {
                    refused += 1;
                    continue;
                }
                Err(error) => {
                    wrong.push(format!("{place}: {error}"));
                    continue;
                }
            };
            for test in group["tests"].as_array().unwrap() {
                match validator.violations(&test["data"], 1).is_empty() == test["valid"] {
                    true => passed += 1,
                    false => wrong.push(format!("{place}: {}", test["description"])),
                }
            }
        }
    }
    println!(
        "{passed} tests of JSON-Schema-Test-Suite passed; {refused} groups have references or dialects that are refused"
    );
    assert_eq!(wrong, [""; 0]);
    assert!(passed > 1_000, "{passed}");
}
