//! The producer as a command, the brokers it writes to, and a client.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Command;

use msk_test_kit::{PATIENCE, clean};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use serde_json::Value;

pub(crate) type Brokers = MockCluster<'static, DefaultProducerContext>;

/// Three embedded brokers with the topic `orders`.
pub(crate) fn brokers() -> Brokers {
    let brokers = MockCluster::new(3).unwrap();
    brokers.create_topic("orders", 3, 3).unwrap();
    brokers
}

/// The command, with nothing of this process's environment.
pub(crate) fn producer() -> Command {
    clean(env!("CARGO_BIN_EXE_producer"))
}

/// The command, configured for brokers.
pub(crate) fn producer_of(brokers: &Brokers) -> Command {
    let mut command = producer();
    command
        .env("KAFKA_BOOTSTRAP_SERVERS", brokers.bootstrap_servers())
        .env("KAFKA_AUTH", "none")
        .env("TOPICS", "orders");
    command
}

/// An event of `events/`.
pub(crate) fn sample(name: &str) -> String {
    msk_test_kit::sample(&format!("apigw-{name}.json"))
}

/// Sends bytes to a server and gives its answer: status, head, body.
pub(crate) fn exchange(address: &str, request: &str) -> (u16, String, Value) {
    let mut connection = TcpStream::connect(address).unwrap();
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    connection.write_all(request.as_bytes()).unwrap();
    answer(connection)
}

/// Reads one answer.
pub(crate) fn answer(connection: TcpStream) -> (u16, String, Value) {
    let mut reader = BufReader::new(connection);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).unwrap() > 0, "the connection ended after: {head}");
    }
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let length = head.lines().find_map(|l| l.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
    let mut body = vec![0; length.map_or(0, |text| text.parse().unwrap())];
    reader.read_exact(&mut body).unwrap();
    (status, head, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

/// A POST of one record to the topic `orders`.
pub(crate) fn post(address: &str, body: &str) -> (u16, String, Value) {
    let length = body.len();
    exchange(
        address,
        &format!(
            "POST /topics/orders HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        ),
    )
}
