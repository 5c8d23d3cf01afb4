//! What the log holds, and what it must not.

use msk_test_kit::{Extensions, FunctionHost, Process};
use serde_json::{Value, json};

use crate::support::{brokers, exchange, producer_of, sample};

const CANARY: &str = "c4n4ry-7f";

/// Line breaks, escapes, NUL, a change of writing direction: one event is one line whatever a caller sends.
const NASTY: &str = "\\r\\n\\u001b[31m\\u0000\\u202e";

#[test]
fn no_body_key_header_path_or_token_reaches_the_log_however_loud_it_is() {
    let brokers = brokers();
    let mut command = producer_of(&brokers);
    command.args(["--http", "127.0.0.1:0"]).env("LOG_LEVEL", "trace");
    let mut process = Process::start("producer", &mut command);
    let address = process.line(|line| line["message"] == "listening")["address"].as_str().unwrap().to_owned();
    let bodies = [
        format!(
            r#"{{"records":[{{"key":"{CANARY}","value":"{CANARY}{NASTY}","headers":[{{"key":"{CANARY}","value_utf8":"{CANARY}"}}]}}]}}"#
        ),
        format!(r#"{{"records":[{{"{CANARY}{NASTY}":1,"value":1,"partition":"{CANARY}"}}]}}"#),
        format!(r#"{{"{CANARY}":"{CANARY}""#),
        format!(r#"{{"records":[{{"value":"{}"}}]}}"#, CANARY.repeat(120_000)),
    ];
    for target in ["/topics/orders", "/topics/c4n4ry-7f", "/messages?topic=c4n4ry-7f&key=c4n4ry-7f", "/c4n4ry-7f%0a"] {
        for body in &bodies {
            let length = body.len();
            let request = format!(
                "POST {target} HTTP/1.1\r\nhost: {CANARY}\r\nauthorization: Bearer {CANARY}\r\nidempotency-key: {CANARY}\r\n\
                 kafka-key: {CANARY}\r\nbaggage: {CANARY}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
            );
            let (status, ..) = exchange(&address, &request);
            assert!(status < 500, "{target}: {status}");
        }
    }
    process.terminate();
    let lines = process.rest();
    assert_eq!(process.end().code(), Some(0));
    let requests = lines.iter().filter(|line| line.contains("\"message\":\"request\"")).count();
    assert_eq!(requests, 16, "one line per request");
    for line in lines {
        serde_json::from_str::<Value>(&line).unwrap_or_else(|_| panic!("not a JSON line: {line}"));
        assert!(!line.contains("c4n4ry"), "{line}");
        assert!(!line.contains('\u{1b}') && !line.contains('\u{202e}'), "{line}");
    }
}

#[test]
fn no_claim_of_a_callers_token_reaches_the_log() {
    let brokers = brokers();
    let host = FunctionHost::start(Extensions::Served);
    let mut command = producer_of(&brokers);
    let topics = r#"{"orders":{"principals":["sub:writer"],"stamp_principal":true}}"#;
    command.env("TOPICS", topics).env("LOG_LEVEL", "trace");
    let mut process = host.function(command);
    let mut event: Value = serde_json::from_str(&sample("records-text")).unwrap();
    event["headers"]["authorization"] = format!("Bearer {CANARY}").into();
    for (subject, status) in [(CANARY, 403), ("writer", 200)] {
        let claims = json!({"sub": subject, "scope": CANARY, "client_id": CANARY, "email": CANARY, "iss": CANARY});
        event["requestContext"]["authorizer"] = json!({"jwt": {"claims": claims, "scopes": [CANARY]}});
        assert_eq!(host.invoke(event.to_string()).body["statusCode"], status);
    }
    process.terminate();
    let lines = process.rest();
    assert_eq!(process.end().code(), Some(0));
    let refused = lines.iter().filter(|line| line.contains("\"caller\":\"token\"")).count();
    assert_eq!(refused, 1, "the refusal is logged without the caller's name");
    for line in lines {
        assert!(!line.contains(CANARY) && !line.contains("sub:"), "{line}");
    }
}
