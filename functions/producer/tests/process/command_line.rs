//! Help, version, and every way of starting it wrongly.

use serde_json::Value;

use crate::support::producer;

/// Exit code, standard output, standard error.
fn run(arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let output = producer().args(arguments).envs(variables.iter().copied()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn help_and_version_are_printed() {
    let (code, help, _) = run(&["--help"], &[]);
    assert_eq!(code, Some(0));
    assert!(help.contains("--http <ADDR:PORT>"), "{help}");
    let (code, version, _) = run(&["--version"], &[]);
    assert_eq!(code, Some(0));
    assert!(version.starts_with("msk-producer ") && version.contains("librdkafka 2."), "{version}");
    assert!(version.contains(concat!("(revision ", env!("MSK_REVISION"), ",")), "{version}");
}

#[test]
fn a_wrong_command_line_says_what_to_give() {
    for (arguments, says) in [
        (&[][..], "--http 127.0.0.1:8080"),
        (&["serve"], "--help"),
        (&["--http"], "needs an address"),
        (&["--http", "here"], "needs an address"),
    ] {
        let (code, _, error) = run(arguments, &[]);
        assert_eq!(code, Some(2), "{arguments:?}: {error}");
        assert!(error.contains(says), "{arguments:?}: {error}");
    }
}

#[test]
fn everything_wrong_with_the_environment_is_named_in_one_line() {
    let variables = [("MAX_RECORDS", "0"), ("COMPATIBILITY", "x"), ("LOG_LEVEL", "x"), ("IDEMPOTENCY_TABLE", "canary")];
    let (code, log, _) = run(&["--http", "127.0.0.1:0"], &variables);
    assert_eq!(code, Some(1));
    let line: Value = serde_json::from_str(&log).unwrap();
    let error = line["error"].as_str().unwrap();
    for name in [
        "KAFKA_BOOTSTRAP_SERVERS",
        "TOPICS",
        "MAX_RECORDS",
        "COMPATIBILITY",
        "LOG_LEVEL",
        "IDEMPOTENCY_TABLE",
        "AWS_REGION",
    ] {
        assert!(error.contains(name), "{name} is not in {error}");
    }
    assert!(!log.contains("canary"), "{log}");
}

#[test]
fn a_port_in_use_is_reported() {
    let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = busy.local_addr().unwrap().to_string();
    let variables = [("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1"), ("KAFKA_AUTH", "none"), ("TOPICS", "orders")];
    let (code, log, _) = run(&["--http", &address], &variables);
    assert_eq!(code, Some(1));
    assert!(log.contains("cannot listen on") && log.contains(&address), "{log}");
}
