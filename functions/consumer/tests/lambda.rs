//! The consumer as a process, driven through the Lambda Runtime API as AWS does.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failing test may panic")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(20);

/// What the function posted for an invocation.
#[derive(Debug)]
struct Posted {
    /// `response` or `error`.
    kind: String,
    body: Value,
}

/// A Runtime API with one function, and the function's log.
struct Host {
    child: Child,
    events: Sender<String>,
    posted: Receiver<Posted>,
    log: Receiver<String>,
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn function(variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_consumer"));
    command
        .env_clear()
        .envs(variables.iter().copied())
        .envs([
            ("AWS_LAMBDA_FUNCTION_NAME", "consumer"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
        ])
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    command
}

impl Host {
    fn start(variables: &[(&str, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (events, next) = channel();
        let (post, posted) = channel();
        std::thread::spawn(move || serve(&listener, next, &post));
        let mut child = function(variables).env("AWS_LAMBDA_RUNTIME_API", address).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (line, log) = channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|text| line.send(text)));
        Self { child, events, posted, log }
    }

    fn invoke(&self, event: impl Into<String>) -> Posted {
        self.events.send(event.into()).unwrap();
        self.posted.recv_timeout(PATIENCE).expect("an answer within 20 s")
    }

    /// The first log line that `is` accepts.
    fn line(&self, is: impl Fn(&Value) -> bool) -> Value {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let left = give_up.saturating_duration_since(Instant::now());
            let text = self.log.recv_timeout(left).expect("a log line within 20 s");
            let line: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("not a JSON line: {text}"));
            if is(&line) {
                return line;
            }
        }
    }
}

/// Serves `/next`, `/response` and `/error`, each connection on a thread of its own, until the test is over.
fn serve(listener: &TcpListener, events: Receiver<String>, posted: &Sender<Posted>) {
    let events = Arc::new(Mutex::new(events));
    while let Ok((connection, _)) = listener.accept() {
        let (events, posted) = (Arc::clone(&events), posted.clone());
        std::thread::spawn(move || converse(connection, &events, &posted));
    }
}

/// `None` when the test or the connection is over.
fn converse(connection: TcpStream, events: &Mutex<Receiver<String>>, posted: &Sender<Posted>) -> Option<()> {
    let mut writer = connection.try_clone().ok()?;
    let mut reader = BufReader::new(connection);
    loop {
        let (path, body) = request(&mut reader)?;
        let answer = match path.rsplit('/').next()? {
            "next" => {
                let event = events.lock().ok()?.recv().ok()?;
                let deadline = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_millis() + 60_000;
                format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nlambda-runtime-aws-request-id: request-7\r\n\
                     lambda-runtime-deadline-ms: {deadline}\r\nlambda-runtime-invoked-function-arn: arn\r\n\
                     content-length: {}\r\n\r\n{event}",
                    event.len()
                )
            }
            kind => {
                let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
                posted.send(Posted { kind: kind.to_owned(), body }).ok()?;
                "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n".to_owned()
            }
        };
        writer.write_all(answer.as_bytes()).ok()?;
    }
}

fn request(reader: &mut BufReader<TcpStream>) -> Option<(String, Vec<u8>)> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let header = header.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        assert!(!header.starts_with("transfer-encoding"), "the function posts bodies of known length");
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((path, body))
}

fn sample(name: &str) -> String {
    std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events").join(name)).unwrap()
}

#[test]
fn a_batch_is_answered_with_a_line_per_record_and_one_of_metrics() {
    let host = Host::start(&[("ESM_PARTIAL_BATCH", "true")]);
    let posted = host.invoke(sample("msk-headers.json"));
    assert_eq!((posted.kind.as_str(), posted.body), ("response", json!({"batchItemFailures": []})));

    let record = host.line(|line| line["message"] == "record");
    for (name, value) in
        [("topic", json!("orders")), ("partition", json!(0)), ("offset", json!(100)), ("type", json!("json"))]
    {
        assert_eq!(record[name], value, "{name} in {record}");
    }
    assert!(record["bytes"].as_u64().is_some_and(|bytes| bytes > 100), "{record}");
    let span = &record["span"];
    assert_eq!(span["request_id"], "request-7");
    assert_eq!(span["record"], "orders-0@100");
    assert_eq!(span["traceparent"], "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    let second = host.line(|line| line["message"] == "record");
    assert_eq!((&second["offset"], second["span"].get("traceparent")), (&json!(101), None));

    let metrics = host.line(|line| line.get("_aws").is_some());
    assert_eq!(metrics["service"], "consumer");
    assert_eq!(metrics["_aws"]["CloudWatchMetrics"][0]["Namespace"], "msk-ha-cluster");
    assert_eq!(metrics["_aws"]["CloudWatchMetrics"][0]["Dimensions"], json!([["service"]]));
    assert_eq!((&metrics["RecordsReceived"], &metrics["RecordsDone"]), (&json!(5), &json!(5)));
}

#[test]
fn failures_are_reported_or_fail_the_invocation_as_the_mapping_wants() {
    let partial = Host::start(&[("ESM_PARTIAL_BATCH", "true"), ("ORDERING", "partition")]);
    let posted = partial.invoke(sample("msk-poison.json"));
    let item = |offset: i64| json!({"itemIdentifier": {"partition": "orders-0", "offset": offset}});
    assert_eq!(posted.body, json!({"batchItemFailures": [item(501), item(502), item(503)]}));

    let whole = Host::start(&[]);
    let posted = whole.invoke(sample("msk-poison.json"));
    assert_eq!((posted.kind.as_str(), &posted.body["errorType"]), ("error", &json!("RecordsFailed")));
    let message = posted.body["errorMessage"].as_str().unwrap();
    assert!(message.contains("3 of 4 records failed, the first is orders-0@501"), "{message}");
    let line = whole.line(|line| line["level"] == "ERROR" && line["message"] == "the invocation fails");
    assert_eq!(line["span"]["request_id"], "request-7");
}

#[test]
fn an_event_of_another_kind_fails_and_the_next_one_is_handled() {
    let host = Host::start(&[]);
    for event in [&sample("msk-not-an-msk-event.json"), "{}", "7"] {
        let posted = host.invoke(event);
        assert_eq!((posted.kind.as_str(), &posted.body["errorType"]), ("error", &json!("NotAnMskEvent")), "{event}");
        assert!(posted.body["errorMessage"].as_str().unwrap().contains("event source mapping"), "{:?}", posted.body);
    }
    assert_eq!(host.invoke(sample("msk-empty.json")).body, json!({"batchItemFailures": []}));
    assert_eq!(host.invoke(sample("msk-cloudevents.json")).kind, "response");
}

#[test]
fn no_content_reaches_the_log() {
    let canary = "c4n4ry-9f2";
    let encoded = |text: &str| json!(text.bytes().collect::<Vec<u8>>());
    let records: Vec<Value> = ["aGVsbG8gYzRuNHJ5LTlmMg==", "c4n4ry-9f2 not base64", "eyJjNG40cnktOWYyIjoxfQ==", "AAECc4n4ry"]
        .iter()
        .enumerate()
        .map(|(offset, value)| {
            json!({"topic": "t", "partition": offset, "offset": offset, "key": "YzRuNHJ5LTlmMg==", "value": value,
                   "headers": [{"traceparent": encoded(canary)}, {(canary): encoded(canary)}, {"n": encoded("\r\n\u{1b}\0\u{202e}")}]})
        })
        .collect();
    let host = Host::start(&[("LOG_LEVEL", "trace"), ("ESM_PARTIAL_BATCH", "true")]);
    host.invoke(json!({"eventSource": "aws:kafka", "records": {"t-0": records}}).to_string());
    host.invoke(format!(r#"{{"Records":"{canary}"}}"#));
    host.invoke(format!(r#"{{"records": "{canary}" "#));
    let mut metrics = 0;
    // The last line is the third invocation's.
    let mut failures = 0;
    while failures < 2 {
        let line = host.line(|_| true);
        assert!(!line.to_string().contains("c4n4ry"), "{line}");
        metrics += usize::from(line.get("_aws").is_some());
        failures += usize::from(line["message"] == "the invocation fails");
    }
    assert_eq!(metrics, 1, "one line of metrics per batch");
}

#[test]
fn every_problem_of_the_environment_is_named_before_it_ends() {
    let output =
        function(&[("ORDERING", "x"), ("CONCURRENCY", "0"), ("IDEMPOTENCY_TABLE", "t"), ("DEAD_LETTER", "sqs:u")])
            .env("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9")
            .output()
            .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let line: Value = serde_json::from_slice(&output.stdout).unwrap();
    let error = line["error"].as_str().unwrap();
    for name in ["ORDERING", "CONCURRENCY", "IDEMPOTENCY_TABLE", "DEAD_LETTER"] {
        assert!(error.contains(name), "{name}: {error}");
    }
}

#[test]
fn outside_of_lambda_it_says_how_to_start_it() {
    let output = function(&[]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("cargo xtask up"), "{text}");
}
