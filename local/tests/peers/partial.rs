//! Powertools' partial batch of all partitions, with records of every form.

use msk_local::brokers::EmbeddedBrokers;
use rdkafka::message::Message;
use serde_json::{Value, json};

use super::runtimes::Language;
use super::support::{Written, committed, drain, finished, invocations, read, send};

const OK: Written<'static> = Written { key: Some(b"customer-42"), value: Some(br#"{"do": "ok"}"#), headers: &[] };
const REFUSED: Written<'static> =
    Written { key: Some(b"customer-7"), value: Some(br#"{"do": "fail"}"#), headers: &[("bytes", &[0, 127, 128, 255])] };

/// Ten records in each of three partitions.
fn records() -> Vec<(i32, Written<'static>)> {
    let mut records: Vec<_> = (0..30).map(|number| (number / 10, OK)).collect();
    records[3].1.value = None;
    records[5].1.value = Some(b"");
    records[6].1.key = None;
    records[14].1 = REFUSED;
    records[27].1.value = Some(br#"{"do": "once"}"#);
    records
}

#[test]
#[ignore = "needs awslambdaric and Powertools; stage `peers` runs it"]
fn only_what_failed_comes_again_and_what_always_fails_goes_to_the_destination() {
    let brokers = EmbeddedBrokers::start(&["orders:3".parse().unwrap(), "dead:1".parse().unwrap()]).unwrap();
    send(&brokers, "orders", &records());
    let function = Language::Python.endpoint_for("partial.handler");
    let flags = ["--maximum-retry-attempts", "2", "--on-failure-destination", "kafka://dead"];
    // The batch is due when it is full.
    let batch = ["--batch-size", "30", "--maximum-batching-window-in-seconds", "300"];
    let flags = [&flags[..], &batch].concat();
    let (lines, code) = finished("msk-local", &mut drain(&brokers, &function.url, "orders", &flags));
    let printed = lines.join("\n");
    let sizes: Vec<_> = invocations(&lines).iter().map(|line| line["records"].as_u64().unwrap()).collect();
    assert_eq!((sizes, code), (vec![30, 2, 1], 4), "{printed}");
    assert_eq!(committed(&brokers, "orders", 3), [10, 10, 10]);

    let [given_up] = read(&brokers, "dead").try_into().unwrap();
    assert_eq!(given_up.key(), REFUSED.key);
    let document: Value = serde_json::from_slice(given_up.payload().unwrap()).unwrap();
    let context = &document["requestContext"];
    assert_eq!(context["condition"], "RetriesExhausted", "{document}");
    assert_eq!(context["approximateInvokeCount"], 3, "{document}");
    let record = &document["payload"]["records"]["orders-1"][0];
    assert_eq!(record["offset"], 4, "{document}");
    assert_eq!(record["headers"], json!([{"bytes": [0, 127, -128, -1]}]), "{document}");
}
