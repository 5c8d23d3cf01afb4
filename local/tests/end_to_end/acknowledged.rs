//! What is acknowledged is handled, once and in order, and lies in the topic byte by byte.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::thread;
use std::time::{Instant, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::second_client;
use crate::test_bed::{BINARY, DELIVERY_PATIENCE, Place, TOPIC, TestBed, effects, finished};

const CLIENTS: usize = 8;
const KEYS: usize = 50;
/// Each client sends this many rounds of two single messages and a batch.
const ROUNDS: usize = 25;
const BATCH: usize = 8;
const MESSAGES: usize = CLIENTS * ROUNDS * (2 + BATCH);
/// The first timestamp that a client gives itself, in milliseconds since the epoch.
const FIRST_TIMESTAMP: i64 = 1_760_000_000_000;

/// A message as the client meant it.
#[derive(Debug, Clone)]
struct Message {
    key: String,
    /// Counts the messages of one client.
    sequence: usize,
    value: Vec<u8>,
    headers: Vec<(&'static str, Option<Vec<u8>>)>,
    /// The client's own, if it gave one.
    timestamp: Option<i64>,
}

/// The acknowledged messages by their places.
type Acknowledged = BTreeMap<Place, Message>;

#[test]
#[ignore = "drives packaged functions: run `cargo xtask test e2e`"]
fn acknowledged_messages_are_handled_once_in_order_and_read_back_identical() {
    let bed = TestBed::start(&["orders:6"]);
    let _producer = bed.producer(&[]);
    let consumer = bed.consumer("E2E_CONSUMER", &[]);
    let mapping = bed.mapping();

    let (started, began) = (Instant::now(), now());
    let acknowledged: Acknowledged = thread::scope(|scope| {
        let bed = &bed;
        let clients: Vec<_> = (0..CLIENTS).map(|client| scope.spawn(move || send(bed, client))).collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    println!("{MESSAGES} messages acknowledged after {:.1} s", started.elapsed().as_secs_f64());
    assert_eq!(acknowledged.len(), MESSAGES, "places are given once");

    let enough = |lines: &[Value]| (finished(lines).len() >= MESSAGES).then_some(());
    mapping.wait_for("2,000 finished records", DELIVERY_PATIENCE, enough);
    println!("and handled by the consumer after {:.1} s", started.elapsed().as_secs_f64());
    assert_handled_once_in_order(&acknowledged, &effects(&consumer, MESSAGES));
    assert_keys_in_order(&acknowledged);
    assert_read_back(&bed, &acknowledged, &(began..=now()));
}

/// One client: its own keys, one request after the other.
fn send(bed: &TestBed, client: usize) -> Acknowledged {
    let keys = (client..KEYS).step_by(CLIENTS).map(|key| format!("customer-{key}")).collect::<Vec<_>>();
    let mut acknowledged = Acknowledged::new();
    let mut sequence = 0;
    for _ in 0..ROUNDS {
        let mut next = |count: usize| -> Vec<(usize, String)> {
            (0..count)
                .map(|_| {
                    sequence += 1;
                    (sequence, keys[sequence % keys.len()].clone())
                })
                .collect()
        };
        let (simple, single, batch) = (next(1), next(1), next(BATCH));
        acknowledged.extend(send_simple(bed, client, &simple[0]));
        acknowledged.extend(send_json(bed, client, &single[0]));
        acknowledged.extend(send_batch(bed, client, &batch));
    }
    acknowledged
}

/// `POST /messages`: the body is the message.
fn send_simple(bed: &TestBed, client: usize, (sequence, key): &(usize, String)) -> Acknowledged {
    let value = format!(r#"{{"client":{client},"sequence":{sequence},"text":"주문 é"}}"#);
    let path = format!("/messages?key={key}");
    let (status, answer) = bed.post(&path, "application/json", value.clone());
    assert_eq!(status, 200, "{answer}");
    let message =
        Message { key: key.clone(), sequence: *sequence, value: value.into_bytes(), headers: vec![], timestamp: None };
    Acknowledged::from([place(&answer, message)])
}

/// One record in the JSON format; white space between its members does not reach the topic.
fn send_json(bed: &TestBed, client: usize, (sequence, key): &(usize, String)) -> Acknowledged {
    let value = format!(r#"{{"client":{client},"sequence":{sequence},"amount":1.50}}"#);
    let spaced = value.replace(':', " : ").replace(',', " ,\n ");
    let body = format!(r#"{{"records":[{{"key":"{key}","key_format":"string","value":{spaced}}}]}}"#);
    let (status, answer) = bed.post(&format!("/topics/{TOPIC}"), "application/vnd.kafka.json.v2+json", body);
    assert_eq!(status, 200, "{answer}");
    let message =
        Message { key: key.clone(), sequence: *sequence, value: value.into_bytes(), headers: vec![], timestamp: None };
    Acknowledged::from([place(&answer["offsets"][0], message)])
}

/// Several records in the binary format, with headers and timestamps.
fn send_batch(bed: &TestBed, client: usize, batch: &[(usize, String)]) -> Acknowledged {
    let message = |(sequence, key): &(usize, String)| Message {
        key: key.clone(),
        sequence: *sequence,
        // Bytes must arrive as they are, odd white space included.
        value: format!("{{ \"client\":\t{client},\r\n\"sequence\": {sequence}, \"text\": \"\\u00e9 漢\" }} ")
            .into_bytes(),
        headers: vec![
            ("bytes", Some(vec![0, 127, 128, 255, (sequence % 256) as u8])),
            ("empty", Some(vec![])),
            ("null", None),
            ("bytes", Some(b"again".to_vec())),
        ],
        timestamp: Some(FIRST_TIMESTAMP + *sequence as i64),
    };
    let messages = batch.iter().map(message).collect::<Vec<_>>();
    let records = messages.iter().map(|message| {
        let headers =
            message.headers.iter().map(|(name, value)| json!({"key": name, "value": value.as_ref().map(base64)}));
        json!({
            "key": base64(&message.key),
            "value": base64(&message.value),
            "timestamp": message.timestamp,
            "headers": headers.collect::<Vec<_>>(),
        })
    });
    let body = json!({"records": records.collect::<Vec<_>>()}).to_string();
    let (status, answer) = bed.post(&format!("/topics/{TOPIC}"), BINARY, body);
    assert_eq!(status, 200, "{answer}");
    let offsets = answer["offsets"].as_array().unwrap();
    assert_eq!(offsets.len(), messages.len());
    offsets.iter().zip(messages).map(|(offset, message)| place(offset, message)).collect()
}

fn place(answer: &Value, message: Message) -> (Place, Message) {
    let number = |member: &str| answer[member].as_i64().unwrap_or_else(|| panic!("no {member} in {answer}"));
    ((TOPIC.to_owned(), number("partition"), number("offset")), message)
}

/// Milliseconds since the epoch.
fn now() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as i64
}

fn base64(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(bytes)
}

fn assert_handled_once_in_order(acknowledged: &Acknowledged, effects: &[Place]) {
    let wanted: BTreeSet<&Place> = acknowledged.keys().collect();
    let handled: BTreeSet<&Place> = effects.iter().collect();
    assert_eq!(handled, wanted, "handled is what was acknowledged");
    assert_eq!(effects.len(), wanted.len(), "each once");
    let mut last = BTreeMap::new();
    for (_, partition, offset) in effects {
        let before = last.insert(partition, offset);
        assert!(before.is_none_or(|before| before < offset), "partition {partition}: {offset} after {before:?}");
    }
}

/// A key has one partition, and its offsets grow as its messages were sent.
fn assert_keys_in_order(acknowledged: &Acknowledged) {
    let mut keys: BTreeMap<&str, Vec<(usize, i64, i64)>> = BTreeMap::new();
    for ((_, partition, offset), message) in acknowledged {
        keys.entry(&message.key).or_default().push((message.sequence, *partition, *offset));
    }
    assert_eq!(keys.len(), KEYS);
    for (key, mut sent) in keys {
        sent.sort_unstable();
        assert!(sent.windows(2).all(|pair| pair[0].1 == pair[1].1 && pair[0].2 < pair[1].2), "{key}: {sent:?}");
    }
}

/// `sent`: when the messages were sent, in milliseconds since the epoch.
fn assert_read_back(bed: &TestBed, acknowledged: &Acknowledged, sent: &RangeInclusive<i64>) {
    let read = second_client::read_all(bed.brokers.bootstrap_servers(), TOPIC);
    assert_eq!(read.len(), acknowledged.len(), "nothing else is in the topic");
    for record in read {
        let place = (TOPIC.to_owned(), record.partition, record.offset);
        let message = &acknowledged[&place];
        assert_eq!(record.key, Some(base64(&message.key)), "{place:?}");
        assert_eq!(record.value, Some(base64(&message.value)), "{place:?}");
        let headers = message.headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_ref().map(base64)));
        assert_eq!(record.headers, headers.collect::<Vec<_>>(), "{place:?}");
        // (The embedded brokers answer every produce request with the same made-up append time; the log keeps the
        // record's own.)
        match message.timestamp {
            Some(given) => assert_eq!(record.timestamp, given, "{place:?}"),
            None => assert!(sent.contains(&record.timestamp), "{place:?}: {} is not in {sent:?}", record.timestamp),
        }
    }
}
