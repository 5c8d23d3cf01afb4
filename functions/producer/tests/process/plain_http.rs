//! The plain HTTP server.

use std::net::TcpStream;

use serde_json::json;

use crate::support::{Connection, brokers, exchange, post, server};

#[test]
fn a_record_is_written_and_the_log_tells_the_request() {
    let brokers = brokers();
    let (process, address) = server(&brokers, &[]);
    let (status, head, body) = post(&address, r#"{"records":[{"key":"k","value":{"a":1}}]}"#);
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["offsets"][0]["offset"], 0);
    let id = body["request_id"].as_str().unwrap();
    assert!(head.to_lowercase().contains(&format!("x-request-id: {id}")), "{head}");

    let metrics = process.line(|line| line.get("_aws").is_some());
    assert_eq!(metrics["_aws"]["CloudWatchMetrics"][0]["Dimensions"], json!([["service"]]));
    assert_eq!(
        (&metrics["Requests"], &metrics["RecordsPublished"], &metrics["ColdStart"]),
        (&json!(1), &json!(1), &json!(1))
    );
    // Key `"k"` and value `{"a":1}`.
    assert_eq!((&metrics["BytesPublished"], &metrics["request_id"]), (&json!(10), &json!(id)));
    assert!(metrics["PublishLatencyMs"].as_f64().is_some_and(|ms| ms > 0.0) && metrics["InitMs"].is_u64(), "{metrics}");

    let line = process.line(|line| line["message"] == "request");
    assert_eq!(line["span"]["request_id"], id);
    for (name, value) in
        [("status", json!(200)), ("records", json!(1)), ("bytes", json!(10)), ("method", json!("POST"))]
    {
        assert_eq!(line[name], value, "{name} in {line}");
    }
    assert_eq!(line["route"], "/topics/{topic}");
    assert!(line["duration_ms"].is_number(), "{line}");

    // A second request is no cold start.
    post(&address, r#"{"records":[{"value":1}]}"#);
    let metrics = process.line(|line| line.get("_aws").is_some());
    assert_eq!((metrics.get("ColdStart"), metrics.get("InitMs")), (None, None));
}

#[test]
fn a_request_in_flight_is_finished_before_the_process_ends() {
    let brokers = brokers();
    let (mut process, address) = server(&brokers, &[]);
    let body = r#"{"records":[{"value":1}]}"#;
    let head = format!(
        "POST /topics/orders HTTP/1.1\r\nhost: {address}\r\nexpect: 100-continue\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    let mut connection = Connection::open(&address);
    // The server asks for the body: the request is in its hands.
    let (status, ..) = connection.exchange(&head);
    assert_eq!(status, 100);
    process.terminate();
    process.line(|line| line["message"].as_str().is_some_and(|text| text.starts_with("stopping")));
    let (status, _, answer) = connection.exchange(body);
    assert_eq!((status, &answer["offsets"][0]["offset"]), (200, &json!(0)), "{answer}");
    assert_eq!(process.end().code(), Some(0));
    assert!(TcpStream::connect(&address).is_err(), "nobody listens any more");
}

#[test]
fn requests_that_are_not_http_do_not_hurt_it() {
    let brokers = brokers();
    let (_process, address) = server(&brokers, &[]);
    // Empty lines before a request are no mistake: a server skips them (RFC 9112, 2.2).
    let nonsense = ["GET\r\n\r\n", "GET / HTTP/9\r\n\r\n", "POST /topics/orders HTTP/1.1\r\ncontent-length: x\r\n\r\n"];
    for nonsense in nonsense {
        let (status, ..) = exchange(&address, nonsense);
        assert!((400..500).contains(&status), "{nonsense:?}: {status}");
    }
    let chunked = "POST /topics/orders HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n\
                   a\r\n{\"records\"\r\n10\r\n:[{\"value\":1}]} \r\n0\r\n\r\n";
    assert_eq!(exchange(&address, chunked).0, 200);
}
