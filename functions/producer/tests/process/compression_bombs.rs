//! What compressed requests cost in memory.

use std::io::Write;

use msk_test_kit::content_coding::{CODINGS, brotli_bomb, coded, noise};

use crate::support::{Connection, brokers, post, server};

/// The default of `MAX_REQUEST_BYTES`.
const LIMIT: usize = 4 << 20;

fn send(address: &str, coding: &str, body: &[u8]) -> (u16, serde_json::Value) {
    let head = format!(
        "POST /topics/orders HTTP/1.1\r\nhost: h\r\ncontent-type: application/octet-stream\r\n\
         content-encoding: {coding}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut connection = Connection::open(address);
    connection.stream().write_all(&[head.as_bytes(), body].concat()).unwrap();
    let (status, _, answer) = connection.answer();
    (status, answer)
}

/// Bombs that are allowed to decode to all of the limit, as their first 60 kB are noise. A server for each, because the
/// allocator keeps freed memory by thread.
#[test]
fn a_bomb_costs_less_than_twice_the_limit() {
    let brokers = brokers();
    for coding in CODINGS {
        let (process, address) = server(&brokers, &[]);
        assert_eq!(post(&address, r#"{"records":[{"value":1}]}"#).0, 200);
        let before = process.peak_memory_kib();
        let bomb = match coding {
            "br" => brotli_bomb(&noise(60_000)),
            _ => coded(coding, &[noise(60_000), vec![0; 64 << 20]].concat()),
        };
        assert!(bomb.len() > LIMIT / 100 && bomb.len() < LIMIT, "{coding}: {} bytes", bomb.len());
        let (status, answer) = send(&address, coding, &bomb);
        assert_eq!((status, &answer["limit_bytes"]), (413, &LIMIT.into()), "{coding}: {answer}");
        assert!(answer["detail"].as_str().unwrap().contains("decodes to more than"), "{coding}: {answer}");
        let grown = process.peak_memory_kib() - before;
        assert!(grown < 2 * LIMIT as u64 / 1024, "{coding}: {grown} KiB");
    }
}
