//! The HTTP events of `events/`: each is used here, and does what the README there says.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use msk_shared::kafka::OutboundRecord;

use crate::calls::{HttpAnswer, Scripted, app_with, try_invoke};

/// What comes of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// Status 200, and so many records.
    Records(usize),
    /// A status and an `error_code`; nothing is written.
    Problem(u16, u64),
    /// The invocation fails.
    NoHttpEvent,
}

use Effect::{NoHttpEvent, Problem, Records};

/// Every HTTP event `events/<name>.json`.
const EVENTS: [(&str, Effect); 53] = [
    ("apigw-records-text", Records(2)),
    ("apigw-records-base64", Records(2)),
    ("apigw-message-text", Records(1)),
    ("apigw-message-base64", Records(1)),
    ("apigw-binary-text", Records(3)),
    ("apigw-binary-base64", Records(3)),
    ("apigw-strings-text", Records(1)),
    ("apigw-strings-base64", Records(1)),
    ("apigw-cloud-event-structured", Records(1)),
    ("apigw-cloud-event-binary", Records(1)),
    ("apigw-ndjson", Records(2)),
    ("apigw-gzip", Records(1)),
    ("apigw-path-decoded", Records(1)),
    ("apigw-path-encoded", Records(1)),
    ("apigw-iam", Records(1)),
    ("apigw-jwt", Records(1)),
    ("apigw-stage", Records(0)),
    ("apigw-topics", Records(0)),
    ("apigw-topic", Records(0)),
    ("apigw-healthz", Records(0)),
    ("apigw-error-unknown-topic", Problem(404, 40401)),
    ("apigw-error-principal", Problem(403, 40301)),
    ("apigw-error-path-decoded", Problem(404, 40401)),
    ("apigw-error-path-encoded", Problem(404, 40401)),
    ("apigw-error-truncated", Problem(400, 400)),
    ("apigw-error-shape", Problem(422, 42206)),
    ("apigw-error-duplicate-header", Problem(415, 415)),
    ("apigw-error-coding", Problem(415, 415)),
    ("apigw-error-base64", Problem(400, 400)),
    ("apigw-error-query", Problem(400, 400)),
    ("apigw-error-header", Problem(400, 400)),
    ("apigw-error-host", Problem(400, 400)),
    ("apigw-error-method", Problem(405, 405)),
    ("apigw-format-1", Records(2)),
    ("url-records-text", Records(2)),
    ("url-records-base64", Records(2)),
    ("url-error-host", Problem(400, 400)),
    ("rest-records-text", Records(2)),
    ("rest-records-base64", Records(2)),
    ("rest-custom-domain", Records(1)),
    ("rest-iam", Records(2)),
    ("rest-cognito", Records(1)),
    ("rest-error-header", Problem(400, 400)),
    ("alb-records-text", Records(2)),
    ("alb-records-base64", Records(2)),
    ("alb-message", Records(1)),
    ("alb-health-check", Records(0)),
    ("alb-error-query", Problem(400, 400)),
    ("alb-multi-records-text", Records(2)),
    ("alb-multi-records-base64", Records(2)),
    ("alb-multi-message", Records(1)),
    ("alb-multi-error-base64", Problem(400, 400)),
    ("apigw-not-an-http-event", NoHttpEvent),
];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../events")
}

async fn play(name: &str) -> (Option<HttpAnswer>, Vec<OutboundRecord>) {
    let payload = std::fs::read_to_string(folder().join(format!("{name}.json"))).unwrap();
    let publisher = Scripted::default();
    let topics = r#"{"orders":{},"payments":{},"audit":{},
        "payroll":{"principals":["arn:aws:iam::123456789012:role/finance","scope:payroll/write"]}}"#;
    let router = app_with(&[("TOPICS", topics)], publisher.clone());
    let answer = try_invoke(&router, payload.trim(), Duration::from_secs(30)).await;
    (answer, publisher.records())
}

#[tokio::test]
async fn each_event_does_what_its_table_says() {
    for (name, outcome) in EVENTS {
        let (answer, records) = play(name).await;
        let seen = match &answer {
            None => NoHttpEvent,
            Some(answer) if answer.status == 200 => Records(records.len()),
            Some(answer) => {
                assert_eq!(records, [], "{name}");
                let (status, error_code) = answer.problem();
                Problem(status, error_code)
            }
        };
        assert_eq!(seen, outcome, "{name}: {answer:?}");
    }
}

#[tokio::test]
async fn all_forms_of_a_request_give_identical_records_and_answers() {
    let same: [&[&str]; 7] = [
        &[
            "apigw-records-text",
            "apigw-records-base64",
            "apigw-format-1",
            "url-records-text",
            "url-records-base64",
            "rest-records-text",
            "rest-records-base64",
            "rest-iam",
            "alb-records-text",
            "alb-records-base64",
            "alb-multi-records-text",
            "alb-multi-records-base64",
        ],
        &["rest-custom-domain", "alb-message", "alb-multi-message"],
        &["apigw-message-text", "apigw-message-base64"],
        &["apigw-binary-text", "apigw-binary-base64"],
        &["apigw-strings-text", "apigw-strings-base64"],
        &["apigw-path-decoded", "apigw-path-encoded"],
        &["apigw-error-path-decoded", "apigw-error-path-encoded"],
    ];
    for names in same {
        let first = play(names[0]).await;
        for name in names {
            assert_eq!(play(name).await, first, "{name}");
        }
    }
    let (_, records) = play("alb-message").await;
    assert_eq!(records[0].key.as_deref(), Some("café +1&".as_bytes()));
}

#[tokio::test]
async fn what_the_gateway_adds_reaches_no_record_but_the_trace_does() {
    let (_, records) = play("apigw-records-text").await;
    let names: Vec<&str> = records[0].headers.iter().map(|h| h.name.as_str()).collect();
    assert_eq!(names, ["source", "signature", "traceparent", "tracestate", "idempotency-key"]);
    for name in ["apigw-iam", "apigw-jwt"] {
        let (_, records) = play(name).await;
        assert_eq!(records[0].headers, [], "{name}");
    }
}

#[test]
fn every_event_file_is_in_the_table_and_in_the_readme() {
    let listed: BTreeSet<String> = EVENTS.iter().map(|(name, _)| format!("{name}.json")).collect();
    let files: BTreeSet<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".json") && !name.starts_with("msk-"))
        .collect();
    assert_eq!(files, listed);
    let readme = std::fs::read_to_string(folder().join("README.md")).unwrap();
    for name in listed {
        assert!(readme.contains(&format!("`{name}`")), "events/README.md does not say what {name} shows");
    }
}
