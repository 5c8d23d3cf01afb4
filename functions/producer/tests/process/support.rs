//! The producer as a command, the brokers it writes to, and a client.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Command;

use msk_test_kit::{PATIENCE, Process, clean};
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

/// The plain HTTP server on a port of its own with these flags, and its address.
pub(crate) fn server(brokers: &Brokers, flags: &[&str]) -> (Process, String) {
    listening(producer_of(brokers).args(flags))
}

/// A producer that is started as a plain HTTP server, and its address.
pub(crate) fn listening(command: &mut Command) -> (Process, String) {
    let process = Process::start("producer", command.args(["--http", "127.0.0.1:0"]));
    let address = process.line(|line| line["message"] == "listening")["address"].as_str().unwrap().to_owned();
    (process, address)
}

/// A connection to a server that is kept.
pub(crate) struct Connection(BufReader<TcpStream>);

impl Connection {
    pub(crate) fn open(address: &str) -> Self {
        let connection = TcpStream::connect(address).unwrap();
        connection.set_read_timeout(Some(PATIENCE)).unwrap();
        connection.set_nodelay(true).unwrap();
        Self(BufReader::new(connection))
    }

    pub(crate) fn stream(&mut self) -> &mut TcpStream {
        self.0.get_mut()
    }

    /// Sends bytes.
    pub(crate) fn send(&mut self, request: &str) {
        self.stream().write_all(request.as_bytes()).unwrap();
    }

    /// Reads one answer: status, head, body.
    pub(crate) fn answer(&mut self) -> (u16, String, Value) {
        let (status, head, body) = self.answer_text();
        (status, head, serde_json::from_str(&body).unwrap_or(Value::Null))
    }

    fn answer_text(&mut self) -> (u16, String, String) {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(self.0.read_line(&mut head).unwrap() > 0, "the connection ended after: {head}");
        }
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length =
            head.lines().find_map(|l| l.to_lowercase().strip_prefix("content-length:").map(|it| it.trim().to_owned()));
        let mut body = vec![0; length.map_or(0, |text| text.parse().unwrap())];
        self.0.read_exact(&mut body).unwrap();
        (status, head, String::from_utf8(body).unwrap())
    }

    /// Sends bytes and reads one answer.
    pub(crate) fn exchange(&mut self, request: &str) -> (u16, String, Value) {
        self.send(request);
        self.answer()
    }

    /// The same; the body as text.
    pub(crate) fn exchange_text(&mut self, request: &str) -> (u16, String, String) {
        self.send(request);
        self.answer_text()
    }

    /// POSTs records to the topic `orders`.
    pub(crate) fn post(&mut self, body: &str) -> (u16, String, Value) {
        let length = body.len();
        self.exchange(&format!(
            "POST /topics/orders HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        ))
    }
}

/// Sends bytes to a server on a connection of their own and gives its answer: status, head, body.
pub(crate) fn exchange(address: &str, request: &str) -> (u16, String, Value) {
    Connection::open(address).exchange(request)
}

/// A POST to the topic `orders` on a connection of its own.
pub(crate) fn post(address: &str, body: &str) -> (u16, String, Value) {
    Connection::open(address).post(body)
}
