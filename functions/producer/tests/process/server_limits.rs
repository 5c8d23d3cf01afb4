//! What the plain HTTP server grants each client, and what one client cannot take from the others.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use msk_test_kit::PATIENCE;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::json;

use crate::support::{Connection, brokers, exchange, server};

const HEALTHZ: &str = "GET /healthz HTTP/1.1\r\nhost: h\r\n\r\n";

/// Half of a request's headers.
const HALF: &str = "POST /topics/orders HTTP/1.1\r\nhost: h\r\ncontent-";

/// Blocks until the server closes the connection, which must be without an answer.
fn assert_closed_unanswered(connection: &mut TcpStream) {
    let mut rest = Vec::new();
    // A socket that is closed with unread bytes is reset.
    let _ = connection.read_to_end(&mut rest);
    assert_eq!(rest, b"", "{}", String::from_utf8_lossy(&rest));
}

#[test]
fn two_thousand_connections_without_complete_headers_hurt_nobody_and_are_closed() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    assert!(hard > 2_500, "this test needs 2500 open files, and may have {hard}");
    let brokers = brokers();
    let flags = ["--max-connections", "2500", "--header-timeout", "4s", "--idle-timeout", "60s"];
    let (_process, address) = server(&brokers, &flags);
    let address: SocketAddr = address.parse().unwrap();
    // Half of them send nothing at all.
    let mut half_open: Vec<TcpStream> = (0..2_000)
        .map(|index| {
            let mut connection = TcpStream::connect(address).unwrap();
            connection.set_read_timeout(Some(PATIENCE)).unwrap();
            if index % 2 == 0 {
                connection.write_all(HALF.as_bytes()).unwrap();
            }
            connection
        })
        .collect();
    let opened = Instant::now();
    // All the while the others are served, on a connection that is kept.
    let mut other = Connection::open(&address.to_string());
    while opened.elapsed() < Duration::from_secs(3) {
        let (status, ..) = other.post(r#"{"records":[{"value":1}]}"#);
        assert_eq!(status, 200);
    }
    let last = half_open.last_mut().unwrap();
    last.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    assert!(last.read(&mut [0]).is_err(), "it is still open");
    last.set_read_timeout(Some(PATIENCE)).unwrap();
    half_open.iter_mut().for_each(assert_closed_unanswered);
    let took = opened.elapsed();
    assert!(took < Duration::from_secs(20), "closed after {took:?}");
    assert_eq!(other.post(r#"{"records":[{"value":1}]}"#).0, 200, "the kept connection is still good");
}

#[test]
fn headers_that_trickle_in_are_cut_off_by_their_beginning() {
    let brokers = brokers();
    let (_process, address) = server(&brokers, &["--header-timeout", "600ms"]);
    for is_first in [true, false] {
        let mut connection = Connection::open(&address);
        if !is_first {
            assert_eq!(connection.exchange(HEALTHZ).0, 200);
        }
        let started = Instant::now();
        // One byte every 50 ms would keep a timer alive that each byte sets anew.
        let mut writer = connection.stream().try_clone().unwrap();
        let trickle = thread::spawn(move || {
            HALF.bytes().cycle().take(1_000).any(|byte| {
                thread::sleep(Duration::from_millis(50));
                writer.write_all(&[byte]).is_err()
            })
        });
        assert_closed_unanswered(connection.stream());
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
        assert!(trickle.join().unwrap(), "the server has closed the connection");
    }
}

#[test]
fn a_body_that_stalls_is_a_408_and_writes_nothing() {
    let brokers = brokers();
    let (process, address) = server(&brokers, &["--header-timeout", "300ms"]);
    let beginnings = [
        "POST /topics/orders HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ncontent-length: 30\r\n\r\n{\"rec",
        "POST /topics/orders HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"rec\r\n",
        "POST /messages HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ncontent-length: 30\r\n\r\n",
    ];
    for beginning in beginnings {
        let mut connection = Connection::open(&address);
        let started = Instant::now();
        let (status, head, problem) = connection.exchange(beginning);
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
        assert_eq!((status, &problem["error_code"]), (408, &json!(408)), "{problem}");
        assert_eq!((&problem["persisted"], &problem["retriable"]), (&json!("no"), &json!(true)), "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains("--header-timeout"), "{problem}");
        assert!(head.to_lowercase().contains("connection: close"), "{head}");
        assert_closed_unanswered(connection.stream());
        assert_eq!(process.line(|line| line["message"] == "request")["status"], 408);
    }
}

#[test]
fn a_body_with_short_pauses_is_taken() {
    let brokers = brokers();
    let (_process, address) = server(&brokers, &["--header-timeout", "2s"]);
    let body = r#"{"records":[{"value":1}]}"#;
    let mut connection = Connection::open(&address);
    let head = "POST /topics/orders HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ncontent-length: ";
    connection.send(&format!("{head}{}\r\n\r\n", body.len()));
    for byte in body.bytes() {
        // Together longer than the bound, each far below it.
        thread::sleep(Duration::from_millis(100));
        connection.stream().write_all(&[byte]).unwrap();
    }
    assert_eq!(connection.answer().0, 200);
}

#[test]
fn a_kept_connection_is_closed_when_it_is_idle_and_not_before() {
    let brokers = brokers();
    let (_process, address) = server(&brokers, &["--header-timeout", "100ms", "--idle-timeout", "1s"]);
    let mut connection = Connection::open(&address);
    for _ in 0..3 {
        let (status, ..) = connection.exchange(HEALTHZ);
        assert_eq!(status, 200);
        // Longer than headers may take: an idle connection has none.
        thread::sleep(Duration::from_millis(300));
    }
    let mut rest = Vec::new();
    connection.stream().read_to_end(&mut rest).expect("it is closed, not reset");
    assert_eq!(rest, b"");
}

#[test]
fn a_client_that_does_not_read_its_answers_is_cut_off() {
    let brokers = brokers();
    let (_process, address) = server(&brokers, &["--idle-timeout", "500ms"]);
    let mut connection = Connection::open(&address);
    let stream = connection.stream();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    let started = Instant::now();
    // Until all buffers on the way are full, which long answers do with few requests, and then until the server closes the connection.
    let long = "GET /openapi.json HTTP/1.1\r\nhost: h\r\n\r\n";
    while stream.write_all(long.repeat(100).as_bytes()).is_ok() {}
    assert!(started.elapsed() < PATIENCE, "the server has ended it, not the bound of this test");
    assert_eq!(exchange(&address, HEALTHZ).0, 200);
}

#[test]
fn clients_beyond_the_limit_wait_and_are_served_when_a_place_is_free() {
    let brokers = brokers();
    let (process, address) = server(&brokers, &["--max-connections", "2"]);
    let mut first = Connection::open(&address);
    let mut second = Connection::open(&address);
    assert_eq!((first.exchange(HEALTHZ).0, second.exchange(HEALTHZ).0), (200, 200));
    let mut third = Connection::open(&address);
    third.send(HEALTHZ);
    let warning = process.line(|line| line["message"].as_str().is_some_and(|text| text.contains("--max-connections")));
    assert_eq!(warning["limit"], 2);
    third.stream().set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(third.stream().peek(&mut [0]).is_err(), "it is not served yet");
    third.stream().set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(second.exchange(HEALTHZ).0, 200, "those that are in are");
    drop(first);
    assert_eq!(third.answer().0, 200);
}

#[test]
fn fewer_connections_are_taken_than_the_limit_of_open_files_allows() {
    let brokers = brokers();
    let mut command = std::process::Command::new("sh");
    let producer = crate::support::producer_of(&brokers);
    command.env_clear().envs(producer.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let script = r#"ulimit -n 100 && exec "$0" --http 127.0.0.1:0"#;
    command.args(["-c", script]).arg(producer.get_program());
    let process = msk_test_kit::Process::start("producer", &mut command);
    let warning = process.line(|line| line["message"].as_str().is_some_and(|text| text.contains("open files")));
    assert_eq!((&warning["wanted"], &warning["possible"]), (&json!(1024), &json!(36)));
    let address = process.json_lines().iter().find(|line| line["message"] == "listening").unwrap()["address"].clone();
    let mut idle: Vec<Connection> = (0..36).map(|_| Connection::open(address.as_str().unwrap())).collect();
    for connection in &mut idle {
        assert_eq!(connection.exchange(HEALTHZ).0, 200);
    }
    assert_eq!(idle[0].post(r#"{"records":[{"value":1}]}"#).0, 200, "the Kafka client has descriptors left");
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let brokers = brokers();
    let (_process, address) = server(&brokers, &[]);
    let mut connection = Connection::open(&address);
    let missing = "GET /nothing HTTP/1.1\r\nhost: h\r\n\r\n";
    connection.send(&format!("{HEALTHZ}{missing}{HEALTHZ}"));
    assert_eq!([connection.answer().0, connection.answer().0, connection.answer().0], [200, 404, 200]);
}

#[test]
fn http2_with_prior_knowledge_is_spoken_and_kept_open() {
    let brokers = brokers();
    let (mut process, address) = server(&brokers, &["--header-timeout", "300ms"]);
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
    // GET /healthz as HPACK (RFC 7541): method and scheme from the static table, the path and authority as literals.
    let get = |stream: &mut TcpStream, id: u8| {
        let block = b"\x82\x86\x04\x08/healthz\x01\x01h";
        let head = [0, 0, block.len() as u8, 1, 5, 0, 0, 0, id];
        stream.write_all(&[&head[..], block].concat()).unwrap();
    };
    get(&mut stream, 1);
    assert_eq!(frames_until_data(&mut stream), b"{\"status\":\"ok\"}");
    // A ping is no beginning of a request.
    stream.write_all(b"\0\0\x08\x06\0\0\0\0\0pingpong").unwrap();
    thread::sleep(Duration::from_millis(900));
    get(&mut stream, 3);
    assert_eq!(frames_until_data(&mut stream), b"{\"status\":\"ok\"}");
    process.terminate();
    assert_eq!(process.end().code(), Some(0));
}

/// The payload of the next DATA frame.
fn frames_until_data(stream: &mut TcpStream) -> Vec<u8> {
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).unwrap();
        let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
        stream.read_exact(&mut payload).unwrap();
        if head[3] == 0 {
            return payload;
        }
    }
}
