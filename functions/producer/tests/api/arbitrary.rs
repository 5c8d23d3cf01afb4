//! Arbitrary and damaged requests: nothing panics, nothing is a 5xx, and what is accepted is what was sent.
//! Each test prints how much was accepted and refused, and neither may be nothing.

use std::cell::Cell;

use axum::Router;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::string::{RegexGeneratorStrategy, string_regex};
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};

use crate::calls::{Call, HttpAnswer, JSON_V2, Scripted, app, app_with};

/// What became of the cases of one test.
#[derive(Default)]
pub(crate) struct Shares {
    accepted: Cell<u32>,
    refused: Cell<u32>,
    failed: Cell<u32>,
}

impl Shares {
    pub(crate) fn note(&self, answer: Option<&HttpAnswer>) {
        let slot = match answer.map(|answer| answer.status) {
            Some(200..=299) => &self.accepted,
            Some(_) => &self.refused,
            None => &self.failed,
        };
        slot.set(slot.get() + 1);
    }

    fn print(&self, name: &str) {
        let (accepted, refused, failed) = (self.accepted.get(), self.refused.get(), self.failed.get());
        let all = accepted + refused + failed;
        let percent = |part: u32| f64::from(part) * 100.0 / f64::from(all);
        println!(
            "{name}: {all} cases, {:.1} % accepted, {:.1} % refused with 4xx, {:.1} % failed as no HTTP event",
            percent(accepted),
            percent(refused),
            percent(failed)
        );
        assert!(accepted > all / 100, "{name}: too few accepted to mean anything");
        assert!(refused > all / 100, "{name}: too few refused to mean anything");
    }
}

/// Runs `check` on `cases` values of a strategy, in one async runtime.
pub(crate) fn run<T: std::fmt::Debug>(
    name: &str,
    cases: u32,
    strategy: impl Strategy<Value = T>,
    check: impl Fn(&tokio::runtime::Runtime, T, &Shares) -> Result<(), TestCaseError>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let shares = Shares::default();
    let persistence = Some(Box::new(FileFailurePersistence::Off) as Box<_>);
    let config = Config { cases, failure_persistence: persistence, max_global_rejects: 0, ..Config::default() };
    TestRunner::new(config)
        .run(&strategy, |value| check(&runtime, value, &shares))
        .unwrap_or_else(|e| panic!("{name}: {e}"));
    shares.print(name);
}

/// The answer is a 2xx or a well-formed 4xx.
pub(crate) fn judge(answer: &HttpAnswer) -> Result<(), TestCaseError> {
    match answer.status {
        200 | 204 => Ok(()),
        400..=499 => {
            answer.problem();
            prop_assert_eq!(&answer.json()["persisted"], "no");
            Ok(())
        }
        other => Err(TestCaseError::fail(format!("status {other}: {:?}", answer.body))),
    }
}

/// Texts of a pattern, which is read once: a text that stands for its strategy itself is parsed anew for each value.
pub(crate) fn like(pattern: &str) -> RegexGeneratorStrategy<String> {
    string_regex(pattern).unwrap()
}

/// A JSON text that may stand anywhere.
pub(crate) fn json_text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        select(vec![
            "null",
            "true",
            "false",
            "0",
            "-0",
            "1e5",
            "1.50",
            "\"\"",
            "\"null\"",
            "\"k\"",
            "\"YQ==\"",
            "\"\\u00e9\""
        ])
        .prop_map(str::to_owned),
        any::<i64>().prop_map(|n| n.to_string()),
        like("\\PC{0,12}").prop_map(|text| serde_json::to_string(&text).unwrap()),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let member = (like("[a-z]{1,6}"), inner.clone()).prop_map(|(name, value)| format!("\"{name}\":{value}"));
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec(member, 0..4).prop_map(|members| format!("{{{}}}", members.join(", "))),
        ]
    })
}

/// A record: mostly of the right members with values that may or may not fit.
fn record() -> impl Strategy<Value = String> {
    let member = prop_oneof![
        4 => json_text().prop_map(|v| format!("\"value\":{v}")),
        2 => json_text().prop_map(|v| format!("\"key\":{v}")),
        1 => select(vec!["0", "3", "4", "-1", "1.5", "3.0", "1e0", "null", "\"0\"", "\"-1\""]).prop_map(|v| format!("\"partition\":{v}")),
        1 => select(vec!["1", "0", "-1", "2.0", "1760000000000", "\"7\"", "\"2025-01-01T00:00:00Z\"", "\"now\"", "null"])
            .prop_map(|v| format!("\"timestamp\":{v}")),
        1 => select(vec!["\"json\"", "\"string\"", "\"binary\"", "null", "1"]).prop_map(|v| format!("\"value_format\":{v}")),
        1 => select(vec!["[]", "null", "{}", r#"[{"key":"h","value":"YQ=="}]"#, r#"[{"name":"x-dlq-a","value":null}]"#])
            .prop_map(|v| format!("\"headers\":{v}")),
        1 => (like("[a-z_]{1,8}"), json_text()).prop_map(|(n, v)| format!("\"{n}\":{v}")),
    ];
    prop_oneof![
        3 => json_text().prop_map(|v| format!("{{\"value\":{v}}}")),
        1 => prop::collection::vec(member, 0..5).prop_map(|members| format!("{{{}}}", members.join(" , "))),
    ]
}

pub(crate) fn envelope() -> impl Strategy<Value = String> {
    prop::collection::vec(record(), 1..5).prop_map(|records| format!("{{\"records\": [{}] }}", records.join(",\n")))
}

pub(crate) fn content_type() -> impl Strategy<Value = &'static str> {
    select(vec![
        JSON_V2,
        JSON_V2,
        "application/json",
        "application/vnd.kafka.binary.v2+json",
        "application/vnd.kafka.text.v2+json",
        "application/x-www-form-urlencoded",
    ])
}

/// Changes, removes or inserts single bytes.
pub(crate) fn damaged(body: Vec<u8>, damage: &[(Index, u8, u8)]) -> Vec<u8> {
    let mut body = body;
    for (at, what, byte) in damage {
        let at = at.index(body.len() + 1);
        match what % 3 {
            0 if at < body.len() => body[at] = *byte,
            1 if at < body.len() => drop(body.remove(at)),
            _ => body.insert(at, *byte),
        }
    }
    body
}

pub(crate) fn damage() -> impl Strategy<Value = Vec<(Index, u8, u8)>> {
    prop::collection::vec((any::<Index>(), any::<u8>(), any::<u8>()), 0..3)
}

/// The API in both modes.
fn routers() -> [Router; 2] {
    ["strict", "confluent"].map(|mode| app_with(&[("COMPATIBILITY", mode)], Scripted::default()))
}

pub(crate) fn router() -> (Scripted, Router) {
    let publisher = Scripted::default();
    (publisher.clone(), app(publisher))
}

#[test]
fn arbitrary_bodies() {
    let routers = routers();
    let body = prop_oneof![
        2 => prop::collection::vec(any::<u8>(), 0..200),
        2 => like("\\PC{0,100}").prop_map(String::into_bytes),
        3 => json_text().prop_map(String::into_bytes),
        3 => envelope().prop_map(String::into_bytes),
    ];
    let target = select(vec!["/topics/orders", "/topics/orders/partitions/1", "/messages", "/topics/strict.topic"]);
    run("arbitrary bodies", 12_000, (target, content_type(), body), |runtime, (target, media, body), shares| {
        let call = Call::post(target, media, body);
        let [strict, confluent] = routers.each_ref().map(|router| runtime.block_on(call.send(router)));
        for answer in [&strict, &confluent] {
            shares.note(Some(answer));
            judge(answer)?;
        }
        prop_assert!(
            strict.status != 200 || confluent.status == 200,
            "lenient is never stricter: {:?}",
            confluent.body
        );
        Ok(())
    });
}

/// A body as another JSON reader sees it.
#[derive(serde::Deserialize)]
struct Sent {
    records: Vec<serde::de::IgnoredAny>,
}

#[test]
fn damaged_valid_bodies() {
    let (publisher, router) = router();
    run(
        "damaged valid bodies",
        14_000,
        (content_type(), envelope(), damage()),
        |runtime, (media, body, damage), shares| {
            publisher.clear();
            let body = damaged(body.into_bytes(), &damage);
            let answer = runtime.block_on(Call::post("/topics/orders", media, body.clone()).send(&router));
            shares.note(Some(&answer));
            judge(&answer)?;
            // What is accepted is what another JSON reader sees: as many records, each answered.
            let records = publisher.records();
            if answer.status == 200 {
                let sent: Sent = serde_json::from_slice(&body).map_err(|e| TestCaseError::fail(e.to_string()))?;
                prop_assert_eq!(sent.records.len(), records.len());
                prop_assert_eq!(answer.json()["offsets"].as_array().map(Vec::len), Some(records.len()));
            } else {
                prop_assert!(records.is_empty(), "a 4xx means that nothing was written");
            }
            Ok(())
        },
    );
}

#[test]
fn arbitrary_paths_queries_and_headers() {
    let (_, router) = router();
    let segment = prop_oneof![
        select(vec!["topics", "orders", "partitions", "1", "messages", "healthz", "%2F", "%00", "%FF", "..", ""])
            .prop_map(str::to_owned),
        like("[a-zA-Z0-9._~%-]{0,12}"),
    ];
    let path = prop_oneof![
        2 => prop::collection::vec(segment, 0..5).prop_map(|parts| format!("/{}", parts.join("/"))),
        1 => select(vec!["/topics/orders", "/topics/orders/partitions/0", "/messages"]).prop_map(str::to_owned),
    ];
    let query = prop_oneof![Just(String::new()), like("\\?(key|topic|x)=[a-z%0-9+]{0,8}"), like("\\?[!$-;=?-~]{0,20}")];
    let name = select(vec![
        "accept",
        "content-type",
        "content-encoding",
        "idempotency-key",
        "traceparent",
        "tracestate",
        "baggage",
        "kafka-key",
        "kafka-partition",
        "kafka-timestamp",
        "kafka-header-x",
        "kafka-header-x-principal",
        "ce-id",
        "x-amzn-trace-id",
    ]);
    let headers = prop::collection::vec((name, like("[ -~]{0,30}")), 0..3);
    let method = select(vec!["GET", "POST", "POST", "HEAD", "OPTIONS", "PUT", "X"]);
    let body = prop_oneof![Just("1".to_owned()), envelope()];
    run(
        "arbitrary paths, queries and headers",
        8_000,
        (method, path, query, headers, body),
        |runtime, case, shares| {
            let (method, path, query, headers, body) = case;
            let mut call = Call::new(method, path + &query).body(body);
            if call.target.parse::<http::Uri>().is_err() {
                // A server refuses such a request line before the router; the tests of `lambda/event.rs` have it as an event.
                return Ok(());
            }
            for (name, value) in headers {
                call = call.header(name, value.trim());
            }
            let answer = runtime.block_on(call.send(&router));
            shares.note(Some(&answer));
            if method == "HEAD" { Ok(()) } else { judge(&answer) }
        },
    );
}
