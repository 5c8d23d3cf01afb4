//! SIGTERM under load: what was answered is in the log, and what was accepted is answered.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use msk_test_kit::PATIENCE;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use crate::support::{Brokers, Connection, brokers, server};

const CLIENTS: usize = 16;

/// What a client has seen until its connection ended.
struct Seen {
    /// The values of records whose answer was 2xx.
    written: Vec<String>,
    /// Whether the last answer announced the end of the connection.
    was_told: bool,
}

/// Sends one record after the other on a kept connection until the server ends it.
fn send_until_told(address: &str, client: usize, answered: &AtomicUsize) -> Seen {
    let mut connection = Connection::open(address);
    let mut written = Vec::new();
    for index in 0.. {
        let value = format!("{client}-{index}");
        let (status, head, body) = connection.post(&format!(r#"{{"records":[{{"value":"{value}"}}]}}"#));
        assert_eq!(status, 200, "{body}");
        written.push(format!("\"{value}\""));
        answered.fetch_add(1, Ordering::Relaxed);
        if head.to_lowercase().contains("connection: close") {
            return Seen { written, was_told: true };
        }
    }
    Seen { written, was_told: false }
}

/// Every value in the topic `orders`.
fn values(brokers: &Brokers, at_least: usize) -> Vec<String> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers.bootstrap_servers())
        .set("group.id", "reader")
        .create()
        .unwrap();
    let mut partitions = TopicPartitionList::new();
    for partition in 0..3 {
        partitions.add_partition_offset("orders", partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&partitions).unwrap();
    let ends = (0..3).map(|p| consumer.fetch_watermarks("orders", p, PATIENCE).unwrap().1 as usize);
    let all: usize = ends.sum();
    assert!(all >= at_least, "{all} records in the log, {at_least} were answered with 200");
    let started = Instant::now();
    let mut values = Vec::new();
    while values.len() < all && started.elapsed() < PATIENCE {
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            values.push(String::from_utf8(message.unwrap().payload().unwrap().to_vec()).unwrap());
        }
    }
    values
}

#[test]
fn nothing_is_lost_and_no_accepted_request_is_cut_off() {
    let brokers = brokers();
    let (mut process, address) = server(&brokers, &[]);
    let answered = AtomicUsize::new(0);
    // An idle connection, and one that has not sent anything, must not keep the server from stopping.
    let mut idle = Connection::open(&address);
    assert_eq!(idle.exchange("GET /healthz HTTP/1.1\r\nhost: h\r\n\r\n").0, 200);
    let silent = Connection::open(&address);
    let seen: Vec<Seen> = std::thread::scope(|scope| {
        let clients = (0..CLIENTS).map(|client| {
            scope.spawn({
                let (address, answered) = (&address, &answered);
                move || send_until_told(address, client, answered)
            })
        });
        let clients: Vec<_> = clients.collect();
        let started = Instant::now();
        while answered.load(Ordering::Relaxed) < 50 * CLIENTS {
            assert!(started.elapsed() < PATIENCE, "only {} answers", answered.load(Ordering::Relaxed));
            std::thread::yield_now();
        }
        process.terminate();
        clients.into_iter().map(|client| client.join().expect("every request is answered")).collect()
    });
    assert_eq!(process.end().code(), Some(0));
    drop((idle, silent));
    assert!(seen.iter().all(|seen| seen.was_told), "each client is told which answer is the last");
    let acknowledged: BTreeSet<&str> = seen.iter().flat_map(|seen| &seen.written).map(String::as_str).collect();
    assert!(acknowledged.len() >= 50 * CLIENTS);
    let log = values(&brokers, acknowledged.len());
    let distinct: BTreeSet<&str> = log.iter().map(String::as_str).collect();
    let lost: Vec<&&str> = acknowledged.difference(&distinct).collect();
    assert!(lost.is_empty(), "answered with 200 and not in the log: {lost:?}");
    assert_eq!(distinct.len(), log.len(), "nothing is written twice");
}

#[test]
fn connections_that_wait_in_the_queue_at_the_signal_are_served() {
    let brokers = brokers();
    let (mut process, address) = server(&brokers, &["--max-connections", "1"]);
    let mut first = Connection::open(&address);
    let get = "GET /healthz HTTP/1.1\r\nhost: h\r\n\r\n";
    assert_eq!(first.exchange(get).0, 200);
    let mut waiting: Vec<Connection> = (0..20).map(|_| Connection::open(&address)).collect();
    waiting.iter_mut().for_each(|connection| connection.send(get));
    process.terminate();
    process.line(|line| line["message"].as_str().is_some_and(|text| text.starts_with("stopping")));
    let (status, head, _) = first.exchange(get);
    assert_eq!(status, 200);
    assert!(head.to_lowercase().contains("connection: close"), "{head}");
    for connection in &mut waiting {
        assert_eq!(connection.answer().0, 200);
    }
    assert_eq!(process.end().code(), Some(0));
}

#[test]
fn a_server_without_connections_stops_at_once() {
    let brokers = brokers();
    let (mut process, _address) = server(&brokers, &["--metrics", "127.0.0.1:0"]);
    let started = Instant::now();
    process.terminate();
    assert_eq!(process.end().code(), Some(0));
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}
