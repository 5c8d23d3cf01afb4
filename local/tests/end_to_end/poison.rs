//! One record that can never be handled.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::second_client;
use crate::test_bed::{BINARY, DELIVERY_PATIENCE, TOPIC, TestBed, effects, finished};

/// Neither JSON nor UTF-8.
const POISON: &[u8] = b"\xff\x00 no message";

#[test]
#[ignore = "drives packaged functions: run `cargo xtask test e2e`"]
fn poison_goes_to_the_dead_letter_with_its_coordinates_and_blocks_nothing() {
    let bed = TestBed::start(&["orders:1", "orders.dlq:1"]);
    let _producer = bed.producer(&[]);
    let consumer = bed.consumer("E2E_CONSUMER", &[("DEAD_LETTER", "kafka:{topic}.dlq")]);
    let mapping = bed.mapping();

    let record = |key: &str, value: &[u8]| {
        json!({
            "key": STANDARD.encode(key), "value": STANDARD.encode(value), "timestamp": 1_760_000_000_000_i64,
            "headers": [{"key": "origin", "value_utf8": "the shop"}],
        })
    };
    let good = br#"{"good":true}"#;
    let records = [record("a", good), record("b", good), record("c", POISON), record("d", good)];
    let body = json!({"records": records}).to_string();
    let (status, answer) = bed.post(&format!("/topics/{TOPIC}"), BINARY, body);
    assert_eq!(status, 200, "{answer}");
    let all_four = |lines: &[Value]| (finished(lines).len() == 4).then_some(());
    mapping.wait_for("four finished records", DELIVERY_PATIENCE, all_four);
    let handled = effects(&consumer, 3).iter().map(|(_, _, offset)| *offset).collect::<Vec<_>>();
    assert_eq!(handled, [0, 1, 3], "the good ones, in order");

    // A record sent later passes.
    let (status, answer) = bed.post("/messages", "application/json", r#"{"later":true}"#.to_owned());
    assert_eq!(status, 200, "{answer}");
    let fifth = |lines: &[Value]| finished(lines).iter().any(|(_, _, offset)| *offset == 4).then_some(());
    mapping.wait_for("finished record at offset 4", DELIVERY_PATIENCE, fifth);

    let dead = second_client::read_all(bed.brokers.bootstrap_servers(), "orders.dlq");
    assert_eq!(dead.len(), 1, "{dead:?}");
    assert_eq!(dead[0].key, Some(STANDARD.encode("c")));
    assert_eq!(dead[0].value, Some(STANDARD.encode(POISON)), "the original bytes");
    let header = |name: &str| {
        let value = dead[0].headers.iter().find(|(found, _)| found == name).and_then(|(_, value)| value.clone());
        String::from_utf8(STANDARD.decode(value.unwrap_or_else(|| panic!("no {name} in {dead:?}"))).unwrap()).unwrap()
    };
    assert_eq!(header("origin"), "the shop", "the original headers");
    assert_eq!((header("x-dlq-topic").as_str(), header("x-dlq-partition").as_str()), (TOPIC, "0"));
    assert_eq!((header("x-dlq-offset").as_str(), header("x-dlq-timestamp").as_str()), ("2", "1760000000000"));
    for name in ["x-dlq-reason", "x-dlq-error", "x-dlq-attempts"] {
        assert!(!header(name).is_empty(), "{name}");
    }
}
