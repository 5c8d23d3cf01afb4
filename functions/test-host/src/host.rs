//! A Lambda Runtime API, 2018-06-01, over plain sockets.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::{PATIENCE, Process};

/// The deadline of an invocation, from when the function takes it.
const TIME_LIMIT_MS: u128 = 25_000;

/// Whether the host has an Extensions API, through which a runtime asks to be told of the shutdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extensions {
    /// As on Lambda.
    Served,
    /// As under some emulators.
    Missing,
}

/// What the function posted for an invocation.
#[derive(Debug)]
pub struct Posted {
    /// `response` or `error`.
    pub kind: String,
    /// Its JSON.
    pub body: Value,
}

/// A Runtime API for one function. It serves until the tests' process ends. Every invocation is `request-7`.
#[derive(Debug)]
pub struct Host {
    address: String,
    events: Sender<String>,
    posted: Receiver<Posted>,
}

impl Host {
    /// Serves on a port that the kernel chooses.
    pub fn start(extensions: Extensions) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (events, next) = channel();
        let (post, posted) = channel();
        let next = Arc::new(Mutex::new(next));
        std::thread::spawn(move || {
            while let Ok((connection, _)) = listener.accept() {
                let (next, post) = (Arc::clone(&next), post.clone());
                std::thread::spawn(move || converse(connection, &next, &post, extensions));
            }
        });
        Self { address, events, posted }
    }

    /// The function, under this host.
    pub fn function(&self, mut command: Command) -> Process {
        let name = Path::new(command.get_program()).file_name().unwrap_or_default().to_owned();
        command.env("AWS_LAMBDA_FUNCTION_NAME", name).envs([
            ("AWS_LAMBDA_RUNTIME_API", self.address.as_str()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
        ]);
        Process::start(command)
    }

    /// Hands over an event.
    pub fn send(&self, event: impl Into<String>) {
        self.events.send(event.into()).unwrap();
    }

    /// What the function has posted by now and nobody has seen.
    pub fn posted(&self) -> Option<Posted> {
        self.posted.try_recv().ok()
    }

    /// Hands over an event and waits for what the function posts.
    pub fn invoke(&self, event: impl Into<String>) -> Posted {
        self.send(event);
        self.posted.recv_timeout(PATIENCE).expect("an answer in time")
    }
}

/// `None` when the test or the connection is over.
fn converse(
    connection: TcpStream,
    events: &Mutex<Receiver<String>>,
    posted: &Sender<Posted>,
    extensions: Extensions,
) -> Option<()> {
    let mut writer = connection.try_clone().ok()?;
    let mut reader = BufReader::new(connection);
    loop {
        let (path, body) = request(&mut reader)?;
        let is_extension = path.contains("/extension/");
        let answer = match path.rsplit('/').next()? {
            _ if is_extension && extensions == Extensions::Missing => {
                "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned()
            }
            "register" => {
                "HTTP/1.1 200 OK\r\nlambda-extension-identifier: e-1\r\ncontent-length: 2\r\n\r\n{}".to_owned()
            }
            "next" if is_extension => {
                // An extension that subscribed to nothing waits for ever.
                std::thread::park();
                return None;
            }
            "next" => invocation(&events.lock().ok()?.recv().ok()?)?,
            kind => {
                let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
                posted.send(Posted { kind: kind.to_owned(), body }).ok()?;
                "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n".to_owned()
            }
        };
        writer.write_all(answer.as_bytes()).ok()?;
    }
}

/// The answer to `/next`. Each invocation has a trace id of its own, as on Lambda.
fn invocation(event: &str) -> Option<String> {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let deadline = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_millis() + TIME_LIMIT_MS;
    Some(format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nlambda-runtime-aws-request-id: request-7\r\n\
         lambda-runtime-deadline-ms: {deadline}\r\nlambda-runtime-invoked-function-arn: arn\r\n\
         lambda-runtime-trace-id: Root=1-5759e988-{count:024x};Parent=53995c3f42cd8ad8;Sampled=0\r\n\
         content-length: {}\r\n\r\n{event}",
        event.len()
    ))
}

/// Path and body of the next request.
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
        assert!(!header.starts_with("transfer-encoding"), "functions post bodies of known length");
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((path, body))
}
