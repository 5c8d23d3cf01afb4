//! One record whose handler fails the first time.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::test_bed::{DELIVERY_PATIENCE, TOPIC, TestBed, finished, logged};

const PARTITIONS: i64 = 3;
const RECORDS_OF_A_PARTITION: i64 = 5;
/// The record that fails once: partition and offset.
const FAILING: (i64, i64) = (1, 2);

#[test]
#[ignore = "drives packaged functions: run `cargo xtask test e2e`"]
fn a_failed_record_comes_again_with_the_later_ones_of_its_partition_and_no_other() {
    let bed = TestBed::start(&["orders:3"]);
    let _producer = bed.producer(&[]);
    let consumer = bed.consumer("E2E_FAILING_CONSUMER", &[]);
    let mapping = bed.mapping();

    // One request, so that all of it is in the topic at once.
    let places =
        (0..RECORDS_OF_A_PARTITION).flat_map(|offset| (0..PARTITIONS).map(move |partition| (partition, offset)));
    let records = places.map(|place| json!({"partition": place.0, "value": {"fail_once": place == FAILING}}));
    let body = json!({"records": records.collect::<Vec<_>>()}).to_string();
    let (status, answer) = bed.post(&format!("/topics/{TOPIC}"), "application/vnd.kafka.json.v2+json", body);
    assert_eq!(status, 200, "{answer}");
    let all = (PARTITIONS * RECORDS_OF_A_PARTITION) as usize;
    mapping.wait_for("all records finished", DELIVERY_PATIENCE, |lines| (finished(lines).len() == all).then_some(()));

    let delivered = deliveries(&mapping.json_lines());
    for partition in 0..PARTITIONS {
        for offset in 0..RECORDS_OF_A_PARTITION {
            let again = partition == FAILING.0 && offset >= FAILING.1;
            let times = if again { 2 } else { 1 };
            assert_eq!(delivered.get(&(partition, offset)), Some(&times), "orders-{partition}@{offset}: {delivered:?}");
        }
    }
    // The handler saw the failing record twice, and each other once: the later ones were not handled before it.
    // The failing record is an attempt again, the later ones were none before.
    let seen = attempts(&logged(&consumer, "attempt", all + 1));
    for partition in 0..PARTITIONS {
        let expected = match partition == FAILING.0 {
            true => vec![0, 1, 2, 2, 3, 4],
            false => vec![0, 1, 2, 3, 4],
        };
        assert_eq!(seen.get(&partition), Some(&expected), "partition {partition}");
    }
    assert_eq!(finished(&mapping.json_lines()).len(), all, "each finished once");
}

/// How often each record was sent to the function, from the mapping's `orders-0@5..9,orders-1@3`.
fn deliveries(mapping: &[Value]) -> BTreeMap<(i64, i64), usize> {
    let mut delivered = BTreeMap::new();
    for line in mapping.iter().filter(|line| line["event"] == "invocation") {
        for range in line["offsets"].as_str().unwrap().split(',') {
            let (partition, offsets) = range.trim().strip_prefix("orders-").unwrap().split_once('@').unwrap();
            let (first, last) = offsets.split_once("..").unwrap_or((offsets, offsets));
            for offset in first.parse::<i64>().unwrap()..=last.parse().unwrap() {
                *delivered.entry((partition.parse().unwrap(), offset)).or_default() += 1;
            }
        }
    }
    delivered
}

/// What the handler was given, partition by partition, in order.
fn attempts(lines: &[Value]) -> BTreeMap<i64, Vec<i64>> {
    let mut seen: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for line in lines {
        let number = |member: &str| line[member].as_i64().unwrap();
        seen.entry(number("partition")).or_default().push(number("offset"));
    }
    seen
}
