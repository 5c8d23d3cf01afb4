//! What the HTTP API answers while brokers crash, leaders move, and answers are lost and late.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use msk_local::brokers::{BrokerChaos, EmbeddedBrokers};
use msk_local::output::{Format, Reporter};
use msk_test_kit::KeptLines;

use crate::second_client;
use crate::test_bed::{DELIVERY_PATIENCE, TOPIC, TestBed};

const SEED: u64 = 20;
/// At least so many, and then until there were so many kinds of faults.
const MESSAGES: usize = 200;
const KINDS: usize = 4;
/// Far more than it takes.
const MOST_MESSAGES: usize = 2_000;

/// How often each kind of fault was made.
fn faults(told: &KeptLines) -> BTreeMap<String, usize> {
    let mut faults = BTreeMap::new();
    for line in told.lines() {
        *faults.entry(line["fault"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    faults
}

#[test]
#[ignore = "drives packaged functions: run `cargo xtask test e2e`"]
fn nothing_that_is_answered_as_written_is_lost_and_no_answer_is_untrue() {
    let told = KeptLines::default();
    let reporter = Arc::new(Reporter::new(Format::Json, false, false, Box::new(told.clone())));
    let topics = [format!("{TOPIC}:6").parse().unwrap()];
    let brokers = EmbeddedBrokers::start_with_chaos(&topics, BrokerChaos { seed: SEED, reporter }).unwrap();
    let bed = TestBed::on(brokers);
    let _producer = bed.producer(&[]);
    let (mut written, mut not_written, mut unknown, mut sent) = (BTreeMap::new(), BTreeSet::new(), 0, 0);
    while sent < MESSAGES || faults(&told).len() < KINDS {
        assert!(sent < MOST_MESSAGES, "only {:?}", faults(&told));
        let message = format!("message-{sent}");
        sent += 1;
        let (status, answer) = bed.post("/messages", "application/json", format!("\"{message}\""));
        match (status, answer["persisted"].as_str()) {
            (200, None) => {
                let place = (answer["partition"].as_i64().unwrap(), answer["offset"].as_i64().unwrap());
                written.insert(message, place);
            }
            (_, Some("no")) => _ = not_written.insert(message),
            (_, Some("unknown")) => unknown += 1,
            _ => panic!("{status}: {answer}"),
        }
    }
    bed.brokers.end_chaos();
    let patience = Instant::now() + DELIVERY_PATIENCE;
    let count = |fault: &str| faults(&told).get(fault).copied().unwrap_or_default();
    while count("crash") != count("restart") {
        assert!(Instant::now() < patience, "a broker does not come back");
        std::thread::sleep(Duration::from_millis(50));
    }
    let made = faults(&told);
    println!("{sent} sent: {} written, {} not, {unknown} unknown; faults {made:?}", written.len(), not_written.len());
    let mut places = BTreeMap::<String, Vec<(i64, i64)>>::new();
    for record in second_client::read_all(bed.brokers.bootstrap_servers(), TOPIC) {
        let bytes = STANDARD.decode(record.value.unwrap_or_default()).unwrap();
        places.entry(serde_json::from_slice(&bytes).unwrap()).or_default().push((record.partition, record.offset));
    }
    for (message, place) in &written {
        assert_eq!(places.get(message), Some(&vec![*place]), "{message} was answered as written");
    }
    assert!(not_written.iter().all(|message| !places.contains_key(message)), "answered `no`, and written");
    assert!(written.len() * 10 >= sent * 9, "{} of {sent} were written", written.len());
}
