//! The files of schemas: what is wrong with one is said at the start, and what a good one costs.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use msk_producer::config::Config;
use msk_producer::schema::{MAX_FILE_BYTES, MAX_LEVELS};
use msk_shared::env::EnvReader;
use serde_json::{Value, json};

use crate::calls::{Call, JSON_V2, Scripted};
use crate::schema_policies::{SAMPLES, app_of, example, message, samples};

/// What the configuration says of a file that is no schema.
fn refused(folder: &Path, name: &str, content: &[u8]) -> String {
    std::fs::write(folder.join(format!("{name}.json")), content).unwrap();
    let topics = format!(r#"{{"orders":{{"schema":"{name}"}}}}"#);
    let schemas = folder.display().to_string();
    let variables =
        [("KAFKA_BOOTSTRAP_SERVERS", "b:1"), ("KAFKA_AUTH", "none"), ("TOPICS", &topics), ("SCHEMAS", &schemas)];
    let problems = Config::from_env(EnvReader::new(variables)).unwrap_err().problems;
    assert_eq!(problems.len(), 1, "{problems:#?}");
    problems[0].clone()
}

#[test]
fn a_faulty_schema_is_named_by_file_and_pointer_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let nested = (0..MAX_LEVELS + 1).fold(json!(true), |inner, _| json!({ "not": inner }));
    let deepest = format!("at {:?}: nested deeper than 32 levels", "/not".repeat(MAX_LEVELS));
    let large = format!("{{}}{}", " ".repeat(MAX_FILE_BYTES - 1));
    let cases: Vec<(&str, String, &str)> = vec![
        ("no-json", "{".to_owned(), "not JSON at line 1, column 1"),
        ("large", large, "larger than 65536 bytes"),
        ("nested", nested.to_string(), &deepest),
        ("number", json!(7).to_string(), "at \"\""),
        ("type", json!({"properties": {"a": {"type": "strin"}}}).to_string(), "at \"/properties/a/type\""),
        ("dialect", json!({"$schema": "http://json-schema.org/draft-07/schema#"}).to_string(), "at \"/$schema\""),
        ("remote", json!({"$ref": "https://example.com/a.json"}).to_string(), "into the same file"),
        ("file", json!({"properties": {"a": {"$ref": "file:///etc/passwd"}}}).to_string(), "into the same file"),
        ("other", json!({"items": {"$ref": "orders.v1.json"}}).to_string(), "into the same file"),
        ("nowhere", json!({"items": {"$ref": "#/$defs/none"}}).to_string(), "at \"/items/$ref\": leads nowhere"),
        ("doubles", json!({"allOf": [{"items": {"$ref": "#"}}, {"items": {"$ref": "#"}}]}).to_string(), "very long"),
        ("look", json!({"properties": {"a": {"pattern": "(?=a)b"}}}).to_string(), "at \"/properties/a/pattern\""),
        ("back", json!({"pattern": "(a)\\1"}).to_string(), "at \"/pattern\""),
        ("grows", json!({"pattern": "((a{1000}){1000}){1000}"}).to_string(), "at \"/pattern\""),
    ];
    for (name, content, says) in cases {
        let problem = refused(folder.path(), name, content.as_bytes());
        let file: PathBuf = folder.path().join(format!("{name}.json"));
        assert!(problem.starts_with("TOPICS, policy 1: the schema ") && problem.contains(says), "{name}: {problem}");
        assert!(problem.contains(&file.display().to_string()) && problem.len() < 700, "{name}: {problem}");
    }
}

#[tokio::test]
async fn a_pattern_takes_linear_time_whatever_it_is() {
    let (_folder, router) = app_of(&json!({"pattern": "(a+)+$"}), &Scripted::default());
    let call = |text: String| Call::post("/messages", "application/json", json!(text).to_string());
    for (text, status) in [("a".repeat(900_000), 200), ("a".repeat(900_000) + "b", 422)] {
        let call = call(text);
        let started = Instant::now();
        assert_eq!(call.send(&router).await.status, status);
        println!("(a+)+$ against 900,000 letters, then {status}: {:?}", started.elapsed());
        // Not optimised, on a busy machine; a backtracking engine would need longer than the universe has.
        assert!(started.elapsed() < Duration::from_secs(10));
    }
}

/// Recursive schemas and the deepest values.
#[tokio::test]
async fn the_deepest_value_is_judged_by_a_recursive_schema() {
    let this = json!({"$ref": "#"});
    let tree = json!({"anyOf": [{"type": "array", "items": this}, {"type": "object", "additionalProperties": this},
        {"type": ["number", "null"]}]});
    let (_folder, router) = app_of(&tree, &Scripted::default());
    let deep = |innermost: &str| format!("{}{innermost}{}", "[".repeat(127), "]".repeat(127));
    for (value, status) in
        [(deep("1"), 200), (deep("\"x\""), 422), (deep("{}").replacen('[', "", 1).replacen(']', "", 1), 200)]
    {
        let started = Instant::now();
        assert_eq!(message(&value).send(&router).await.status, status, "{value}");
        println!("127 levels, then {status}: {:?}", started.elapsed());
        assert!(started.elapsed() < Duration::from_secs(10), "{value}");
    }
}

/// An order of about 1 kB.
fn kilobyte() -> Value {
    let mut order = example("orders.v1");
    let item = order["items"][0].clone();
    order["items"] = (0..18).map(|_| item.clone()).collect();
    order
}

#[tokio::test]
async fn five_hundred_records_of_a_kilobyte_are_judged_at_once() {
    let publisher = Scripted::default();
    let router = samples(&publisher);
    let records = vec![json!({"value": kilobyte()}); 500];
    let body = json!({ "records": records }).to_string();
    let mut took = Vec::new();
    for topic in ["free", "orders"] {
        let call = Call::post(format!("/topics/{topic}?validate_only=true"), JSON_V2, body.clone());
        let one = async || {
            let started = Instant::now();
            assert_eq!(call.send(&router).await.status, 200);
            started.elapsed()
        };
        let (first, second, third) = (one().await, one().await, one().await);
        took.push(first.min(second).min(third));
    }
    println!("500 records, {} bytes: {:?} without a schema, {:?} with", body.len(), took[0], took[1]);
    assert!(took[1] < Duration::from_secs(10), "{took:?}");
}

#[test]
fn fifty_schemas_are_ready_within_the_init() {
    let folder = tempfile::tempdir().unwrap();
    let sample = std::fs::read(format!("{SAMPLES}/orders.v1.json")).unwrap();
    let policies: serde_json::Map<String, Value> = (0..50)
        .map(|number| {
            std::fs::write(folder.path().join(format!("s{number}.json")), &sample).unwrap();
            (format!("t{number}"), json!({"schema": format!("s{number}")}))
        })
        .collect();
    let (topics, schemas) = (Value::from(policies).to_string(), folder.path().display().to_string());
    let started = Instant::now();
    crate::calls::config(&[("TOPICS", &topics), ("SCHEMAS", &schemas)]);
    println!("50 schemas: {:?}", started.elapsed());
    // Lambda gives an init 10 s; this build is not optimised.
    assert!(started.elapsed() < Duration::from_secs(5));
}
