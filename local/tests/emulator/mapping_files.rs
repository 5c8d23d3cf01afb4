//! Files of every format, as `esm validate` reads them.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

/// `esm validate` of a sample file: the code, what it prints, and what it logs.
fn validate(file: &str, flags: &[&str]) -> (i32, Value, String) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mappings");
    let mut command = Command::new(env!("CARGO_BIN_EXE_msk-local"));
    command.args(["--format", "json", "esm", "validate", file]).args(flags).current_dir(folder).env_remove("RUST_LOG");
    let output = command.output().unwrap();
    let line = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code().unwrap(), line, String::from_utf8(output.stderr).unwrap())
}

#[test]
fn every_format_is_read() {
    let cases: &[(&str, &[&str], &str, &str)] = &[
        ("mapping.json", &[], "orders", "orders"),
        ("mapping.yaml", &[], "orders", "orders"),
        ("mapping.toml", &[], "orders", "orders"),
        ("self-managed.toml", &[], "orders", "orders"),
        ("terraform.json", &[], "orders", "orders"),
        ("cloudformation.json", &[], "orders", "orders"),
        ("sam.yaml", &["--function-name", "orders-dev"], "orders-dev", "orders-dev"),
        (
            "sam.yaml",
            &["--function-name", "Audit", "--topics", "audit", "--starting-position", "LATEST"],
            "Audit",
            "audit",
        ),
        ("serverless.yml", &["--function-name", "orders"], "orders", "orders"),
        ("serverless.yml", &["--function-name", "audit", "--topics", "audit"], "audit", "audit"),
    ];
    for (file, flags, function, topic) in cases {
        let (code, line, error) = validate(file, flags);
        assert_eq!(
            (code, line["function"].as_str(), line["topic"].as_str()),
            (0, Some(*function), Some(*topic)),
            "{file} {flags:?}: {line} {error}"
        );
    }
}

#[test]
fn what_a_file_does_not_say_is_named_with_its_flag() {
    let cases: &[(&str, &[&str], &[&str])] = &[
        (
            "sam.yaml",
            &["--function-name", "Audit"],
            &[
                "Topics (--topics): parameter `AuditTopic` has no default; set it with the flag",
                "StartingPosition (--starting-position): `!ImportValue Position` is known only after a deployment",
            ],
        ),
        (
            "serverless.yml",
            &["--function-name", "audit"],
            &["Topics (--topics): the variable `${env:AUDIT_TOPIC}` has no value in the file"],
        ),
    ];
    for (file, flags, told) in cases {
        let (code, line, _) = validate(file, flags);
        let problems: Vec<_> = line["problems"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert_eq!((code, problems.len()), (1, told.len()), "{problems:?}");
        assert!(told.iter().all(|told| problems.iter().any(|problem| problem.starts_with(told))), "{problems:?}");
    }
    let (_, line, _) = validate("sam.yaml", &["--function-name", "orders-dev"]);
    let warning = line["warnings"][0].as_str().unwrap();
    assert_eq!(
        warning,
        "EventSourceArn (--event-source-arn): parameter `ClusterArn` has no default; it is left out here"
    );
}

#[test]
fn up_asks_for_a_topic_that_the_file_does_not_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mappings");
    let mut command = Command::new(env!("CARGO_BIN_EXE_msk-local"));
    command.args(["up", "serverless.yml", "--function-name", "audit"]).current_dir(folder).env_remove("RUST_LOG");
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("Topics (--topics): the variable"), "{output:?}");
}

#[test]
fn the_flags_choose_one_of_several_mappings() {
    for (file, listed) in [
        ("sam.yaml", "(Audit <- no topic, orders-dev <- orders-dev)"),
        ("serverless.yml", "(audit <- no topic, orders <- orders)"),
    ] {
        let (code, _, error) = validate(file, &[]);
        assert!(code == 1 && error.contains(listed) && error.contains("--function-name"), "{file}: {error}");
    }
}

#[test]
fn the_only_mapping_is_taken_for_a_function_of_another_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("list.json");
    let mapping = json!({"Topics": ["orders"], "FunctionName": "orders-dev", "StartingPosition": "LATEST"});
    std::fs::write(&file, json!({"EventSourceMappings": [mapping]}).to_string()).unwrap();
    let (code, line, error) = validate(file.to_str().unwrap(), &["--function-name", "consumer"]);
    assert_eq!((code, &line["function"]), (0, &json!("consumer")), "{error}");
}

#[test]
fn what_is_reserved_for_a_function_is_left_out_where_a_laptop_cannot_have_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("template.yaml");
    for (reserved, left_out) in [("!If [IsProd, 50, !Ref AWS::NoValue]", true), ("0", false), ("2", false)] {
        let template = format!(
            "
Transform: AWS::Serverless-2016-10-31
Resources:
  Orders:
    Type: AWS::Serverless::Function
    Properties:
      ReservedConcurrentExecutions: {reserved}
      Events: {{Stream: {{Type: MSK, Properties: {{Topics: [orders], StartingPosition: LATEST}}}}}}
"
        );
        std::fs::write(&file, template).unwrap();
        let (code, line, error) = validate(file.to_str().unwrap(), &[]);
        assert_eq!((code, &line["function"]), (0, &json!("Orders")), "{reserved}: {error}");
        let told = line.to_string();
        assert_eq!(told.contains("Local.reservedConcurrentExecutions"), left_out, "{reserved}: {told}");
    }
}

#[test]
fn a_way_to_sign_in_that_a_flag_takes_away_takes_its_secrets_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mapping.json");
    let secret = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:AmazonMSK_x-abcdef";
    let mapping = json!({
        "Topics": ["orders"], "FunctionName": "consumer", "StartingPosition": "LATEST",
        "SourceAccessConfigurations": [{"Type": "SASL_SCRAM_512_AUTH", "URI": secret}],
        "Local": {"secrets": {secret: "secret.json"}},
    });
    for (mapping, taken) in [(mapping.clone(), true), (without_access(mapping), false)] {
        std::fs::write(&file, mapping.to_string()).unwrap();
        let (code, line, _) = validate(file.to_str().unwrap(), &["--source-access-configurations", "[]"]);
        // A secret that nothing ever asked for is still a mistake.
        assert!((code == 0) == taken && line.to_string().contains("is neither Type nor URI") != taken, "{line}");
    }
}

fn without_access(mut mapping: Value) -> Value {
    mapping["SourceAccessConfigurations"] = json!([]);
    mapping
}

#[test]
fn a_file_that_is_none_is_told_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        ("m.toml", "Topics = [", "at line 1"),
        ("m.toml", "Local.kafkaOptions = {\"sasl.password\" = \"hidden\" x}", "at line 1"),
        ("m.yaml", "a: [", "at line 2"),
        ("m.json", "{", "line 1"),
        ("m.yaml", "- a", "not an object"),
        ("m.yaml", "Resources: {Queue: {Type: 'AWS::SQS::Queue'}}", "holds 0 event source mappings"),
        (
            "m.yaml",
            "provider: {}\nfunctions: {a: {events: [{msk: {topic: t, destinations: x}}]}}",
            "destinations: is not",
        ),
    ];
    for (name, text, told) in cases {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let (code, line, error) = validate(path.to_str().unwrap(), &[]);
        let said = format!("{line}{error}");
        assert!(code == 1 && said.contains(told) && !said.contains("hidden"), "{text}: {said}");
    }
}
