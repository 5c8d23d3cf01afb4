//! One record that can never be handled.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::rig::{BINARY, DELIVERY_PATIENCE, Rig, TOPIC, effects, finished};
use crate::second_client;

/// Neither JSON nor UTF-8.
const POISON: &[u8] = b"\xff\x00 no message";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "drives packaged functions: run `cargo xtask test e2e`"]
async fn poison_goes_to_the_dead_letter_with_its_coordinates_and_blocks_nothing() {
    let rig = Rig::start(&["orders:1", "orders.dlq:1"]).await;
    let _producer = rig.producer(&[]);
    let consumer = rig.consumer("E2E_CONSUMER", &[("DEAD_LETTER", "kafka:{topic}.dlq")]);
    let mapping = rig.mapping().await;

    let record = |key: &str, value: &[u8]| {
        json!({
            "key": STANDARD.encode(key), "value": STANDARD.encode(value), "timestamp": 1_760_000_000_000_i64,
            "headers": [{"key": "origin", "value_utf8": "the shop"}],
        })
    };
    let good = br#"{"good":true}"#;
    let records = [record("a", good), record("b", good), record("c", POISON), record("d", good)];
    let body = json!({"records": records}).to_string();
    let (status, answer) = rig.post(&format!("/topics/{TOPIC}"), BINARY, body).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let all_four = |lines: &[Value]| (finished(lines).len() == 4).then_some(());
    mapping.wait_for("four finished records", DELIVERY_PATIENCE, all_four).await;
    let handled = effects(&consumer.json_lines()).iter().map(|(_, _, offset)| *offset).collect::<Vec<_>>();
    assert_eq!(handled, [0, 1, 3], "the good ones, in order");

    // A record sent later passes.
    let (status, answer) = rig.post("/messages", "application/json", r#"{"later":true}"#.to_owned()).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let fifth = |lines: &[Value]| finished(lines).iter().any(|(_, _, offset)| *offset == 4).then_some(());
    mapping.wait_for("finished record at offset 4", DELIVERY_PATIENCE, fifth).await;

    let dead = second_client::read_all(rig.brokers.bootstrap_servers(), "orders.dlq");
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
