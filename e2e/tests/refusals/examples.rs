//! Requests with known bad records, and their right answers.

use std::thread;

use serde_json::{Value, json};

use crate::server::{Answered, Server};

const TOO_LARGE: u64 = 413;
const INVALID: u64 = 42206;

fn keyed(key: &str, size: usize) -> Value {
    json!({ "key": key, "value": fill(size) })
}

fn keyless(size: usize) -> Value {
    json!({ "value": fill(size) })
}

/// A value that is known in a log.
fn fill(size: usize) -> String {
    "msk-e2e-fill".repeat(size / 12 + 1)[..size].to_owned()
}

fn replaced(mut records: Vec<Value>, at: &[usize], with: &Value) -> Vec<Value> {
    at.iter().for_each(|index| records[*index] = with.clone());
    records
}

fn with_keys(count: usize) -> Vec<Value> {
    (0..count).map(|n| keyed(&format!("k{n}"), 20)).collect()
}

/// All of a request's records were written but for those with the code.
fn ensure_refused(what: &str, answer: &Answered, code: u64, at: &[usize], reason: &str) {
    let refused = answer.refused();
    assert_eq!(refused.into_iter().collect::<Vec<_>>(), [(code, at.to_vec())], "{what}: {}", answer.body);
    for index in at {
        let result = &answer.results()[*index];
        assert_eq!((&result["retriable"], &result["persisted"]), (&json!(false), &json!("no")), "{what}: {result}");
        assert!(result["message"].as_str().unwrap().contains(reason), "{what}: {result}");
    }
    let written = answer.results().len() - at.len();
    assert_eq!(answer.offsets().len(), written, "{what}: {}", answer.body);
    assert_eq!(
        answer.status,
        if written > 0 {
            207
        } else if code == TOO_LARGE {
            413
        } else {
            422
        },
        "{what}"
    );
}

pub(crate) fn one_request(server: &Server) {
    keys_on_compacted_topics(server);
    sizes(server);
    timestamps(server);
    messages(server);
}

fn keys_on_compacted_topics(server: &Server) {
    let records = replaced(with_keys(20), &[10], &keyless(20));
    for round in 0..3 {
        let answer = server.post("one-keyless", &records);
        ensure_refused(&format!("one without key, round {round}"), &answer, INVALID, &[10], "compacted");
    }
    let records = replaced(with_keys(20), &[3, 17], &keyless(20));
    ensure_refused("two without key", &server.post("two-keyless", &records), INVALID, &[3, 17], "compacted");

    // All at fault: nothing to retry, and each place named.
    let answer = server.post("all-keyless", &vec![keyless(20); 3]);
    ensure_refused("all without key", &answer, INVALID, &[0, 1, 2], "compacted");
    let errors = answer.body["errors"].as_array().unwrap();
    let pointers: Vec<&str> = errors.iter().map(|error| error["pointer"].as_str().unwrap()).collect();
    assert_eq!(pointers, ["/records/0/key", "/records/1/key", "/records/2/key"]);
    assert_eq!((&answer.body["retriable"], &answer.body["persisted"]), (&json!(false), &json!("no")));

    for round in 0..4 {
        let records = replaced(vec![keyed("k", 20); 300], &[100, 200], &keyless(20));
        let answer = server.post("one-key", &records);
        ensure_refused(&format!("300 of one key, round {round}"), &answer, INVALID, &[100, 200], "compacted");
        assert!(answer.offsets().is_sorted(), "the order of the key: {:?}", answer.offsets());
    }
}

fn sizes(server: &Server) {
    for round in 0..3 {
        let answer = server.post("fits-alone", &(0..40).map(|n| keyed(&format!("k{n}"), 100)).collect::<Vec<_>>());
        assert_eq!((answer.status, answer.offsets().len()), (200, 40), "too large only together: {}", answer.body);
        let records = [keyed("a", 100), keyed("b", 3000), keyed("c", 100), keyed("d", 100)];
        let answer = server.post("one-large", &records);
        ensure_refused(&format!("one too large, round {round}"), &answer, TOO_LARGE, &[1], "max.message.bytes");
        // The key and the value with their quotes; the topic's own limit.
        let sizes = ["actual_bytes", "limit_bytes"].map(|name| answer.results()[1][name].as_u64());
        assert_eq!(sizes, [Some(3 + 3002), Some(2000)], "{}", answer.body);
    }
    let answer = server.post("one-large", &[keyed("b", 2500), keyed("c", 3000)]);
    ensure_refused("all too large", &answer, TOO_LARGE, &[0, 1], "max.message.bytes");
    assert_eq!((&answer.body["index"], &answer.body["actual_bytes"]), (&json!(0), &json!(2505)), "{}", answer.body);
    assert_eq!(
        (&answer.body["limit_bytes"], &answer.body["errors"][1]["pointer"]),
        (&json!(2000), &json!("/records/1"))
    );
}

fn timestamps(server: &Server) {
    let old = json!({ "key": "k", "value": fill(20), "timestamp": 1_000_000 });
    // A producer remembers what a topic has refused: only the first request to each meets a refused batch.
    for topic in ["old", "old-2", "old-3", "old-4"] {
        let answer = server.post(topic, &replaced(with_keys(20), &[4, 5], &old));
        ensure_refused("too old", &answer, INVALID, &[4, 5], "timestamp");
    }
    let answer = server.post("old", std::slice::from_ref(&old));
    ensure_refused("alone too old", &answer, INVALID, &[0], "timestamp");
    assert_eq!(answer.body["errors"][0]["pointer"], "/records/0/timestamp");

    // Kafka calls several kinds in one batch by one code: each record still has its own reason.
    let records = replaced(replaced(with_keys(12), &[4], &old), &[7], &keyless(20));
    let answer = server.post("two-kinds", &records);
    let refused = answer.refused();
    assert_eq!(refused.into_iter().collect::<Vec<_>>(), [(INVALID, vec![4, 7])], "{}", answer.body);
    let reason = |index: usize| answer.results()[index]["message"].as_str().unwrap();
    assert!(reason(4).contains("timestamp") && reason(7).contains("compacted"), "{}", answer.body);
}

fn messages(server: &Server) {
    let message = json!({ "a": fill(20) });
    let answer = server.post_message("messages", &[("kafka-key", "k")], &message);
    assert_eq!(answer.status, 200, "{}", answer.body);
    let cases = [
        (vec![], message.clone(), 422, "Kafka-Key"),
        (vec![("kafka-key", "k"), ("kafka-timestamp", "1000000")], message, 422, "Kafka-Timestamp"),
        (vec![("kafka-key", "k")], json!({ "a": fill(3000) }), 413, ""),
    ];
    for (headers, message, status, place) in cases {
        let Answered { status: answered, body } = server.post_message("messages", &headers, &message);
        assert_eq!((answered, &body["retriable"]), (status, &json!(false)), "{body}");
        assert_eq!(body["errors"][0]["pointer"], place, "{body}");
    }
}

/// 32 clients with single records of which one in ten is bad: several share a batch.
pub(crate) fn many_requests_at_once(server: &Server) {
    for (topic, bad, expected) in [("shared-compacted", keyless(100), 422), ("shared-small", keyed("k", 3000), 413)] {
        let statuses = thread::scope(|scope| {
            let client = |client: usize| {
                let bad = &bad;
                scope.spawn(move || -> Vec<(bool, u16)> {
                    let requests = (0..400).filter(|n| n % 32 == client);
                    let send = |n: usize| {
                        let is_bad = n % 10 == 3;
                        let record = if is_bad { bad.clone() } else { keyed(&format!("k{n}"), 100) };
                        (is_bad, server.post(topic, &[record]).status)
                    };
                    requests.map(send).collect()
                })
            };
            let clients: Vec<_> = (0..32).map(client).collect();
            clients.into_iter().flat_map(|client| client.join().unwrap()).collect::<Vec<_>>()
        });
        let count = |is_bad, status| statuses.iter().filter(|it| **it == (is_bad, status)).count();
        assert_eq!((count(false, 200), count(true, expected)), (360, 40), "{topic}: {statuses:?}");
    }
}
