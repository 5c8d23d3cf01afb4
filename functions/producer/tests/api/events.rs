//! The API Gateway events of `events/`: each is used here, and does what the README there says.

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

/// Every file `events/apigw-<name>.json`.
const EVENTS: [(&str, Effect); 29] = [
    ("records-text", Records(2)),
    ("records-base64", Records(2)),
    ("message-text", Records(1)),
    ("message-base64", Records(1)),
    ("binary-text", Records(3)),
    ("binary-base64", Records(3)),
    ("strings-text", Records(1)),
    ("strings-base64", Records(1)),
    ("path-decoded", Records(1)),
    ("path-encoded", Records(1)),
    ("iam", Records(1)),
    ("jwt", Records(1)),
    ("stage", Records(0)),
    ("topics", Records(0)),
    ("topic", Records(0)),
    ("healthz", Records(0)),
    ("error-unknown-topic", Problem(404, 40401)),
    ("error-path-decoded", Problem(404, 40401)),
    ("error-path-encoded", Problem(404, 40401)),
    ("error-truncated", Problem(400, 400)),
    ("error-shape", Problem(422, 42206)),
    ("error-duplicate-header", Problem(415, 415)),
    ("error-gzip", Problem(415, 415)),
    ("error-base64", Problem(400, 400)),
    ("error-query", Problem(400, 400)),
    ("error-header", Problem(400, 400)),
    ("error-host", Problem(400, 400)),
    ("error-method", Problem(405, 405)),
    ("not-an-http-api-event", NoHttpEvent),
];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../events")
}

async fn play(name: &str) -> (Option<HttpAnswer>, Vec<OutboundRecord>) {
    let payload = std::fs::read_to_string(folder().join(format!("apigw-{name}.json"))).unwrap();
    let publisher = Scripted::default();
    let router = app_with(&[("TOPICS", "orders,payments,audit")], publisher.clone());
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
async fn both_forms_of_an_event_give_identical_records_and_answers() {
    let pairs = [
        ("records-text", "records-base64"),
        ("message-text", "message-base64"),
        ("binary-text", "binary-base64"),
        ("strings-text", "strings-base64"),
        ("path-decoded", "path-encoded"),
        ("error-path-decoded", "error-path-encoded"),
    ];
    for (one, other) in pairs {
        let (one_played, other_played) = (play(one).await, play(other).await);
        assert_eq!(one_played, other_played, "{one}, {other}");
    }
}

#[tokio::test]
async fn what_the_gateway_adds_reaches_no_record_but_the_trace_does() {
    let (_, records) = play("records-text").await;
    let names: Vec<&str> = records[0].headers.iter().map(|h| h.name.as_str()).collect();
    assert_eq!(names, ["source", "signature", "traceparent", "tracestate", "idempotency-key"]);
    for name in ["iam", "jwt"] {
        let (_, records) = play(name).await;
        assert_eq!(records[0].headers, [], "{name}");
    }
}

#[test]
fn every_event_file_is_in_the_table_and_in_the_readme() {
    let listed: BTreeSet<String> = EVENTS.iter().map(|(name, _)| format!("apigw-{name}.json")).collect();
    let files: BTreeSet<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("apigw-"))
        .collect();
    assert_eq!(files, listed);
    let readme = std::fs::read_to_string(folder().join("README.md")).unwrap();
    for name in listed {
        assert!(readme.contains(&format!("`{name}`")), "events/README.md does not say what {name} shows");
    }
}
