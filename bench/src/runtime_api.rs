//! The Lambda Runtime API for one function, without a thread between its socket and the clock: an invocation's time runs from
//! writing the event to having read the response.
//!
//! Written by hand instead of using `msk-test-kit`, which passes events and answers between tasks: that costs more than the
//! function's own overhead.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};

use crate::http1::Connection;

/// Lambda limits the init phase to 10 s.
const INIT_LIMIT: Duration = Duration::from_secs(10);
/// The function timeout that the infrastructure sets, after which Lambda kills.
const TIME_LIMIT: Duration = Duration::from_secs(28);
/// The response to whatever is accepted.
const ACCEPTED: &[u8] = b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n";
/// The response to a runtime that registers as an extension, to be told of the shutdown.
const REGISTERED: &[u8] = b"HTTP/1.1 200 OK\r\nlambda-extension-identifier: 00000000-0000-0000-0000-000000000001\r\n\
    content-length: 70\r\n\r\n{\"functionName\":\"bench\",\"functionVersion\":\"$LATEST\",\"handler\":\"bench\"}";
const NOT_FOUND: &[u8] = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";

/// What the function did.
#[derive(Debug)]
enum Posted {
    /// It asks for an invocation.
    Next,
    Response(Vec<u8>, Duration),
    /// It failed, in its start or in an invocation.
    Error(Vec<u8>),
}

/// What the threads of the connections share.
struct Shared {
    /// Responses to `next`, each a whole message.
    events: Mutex<Receiver<Vec<u8>>>,
    /// When the last event was sent.
    sent: Mutex<Instant>,
    posted: Sender<Posted>,
}

/// A running Runtime API.
#[derive(Debug)]
pub(crate) struct RuntimeApi {
    address: SocketAddr,
    events: Sender<Vec<u8>>,
    posted: Receiver<Posted>,
    count: u64,
}

impl RuntimeApi {
    /// Serves on a port that the kernel chooses, until this process ends.
    pub(crate) fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot listen on loopback")?;
        let address = listener.local_addr()?;
        let (events, to_send) = channel();
        let (posted, received) = channel();
        let shared = Arc::new(Shared { events: Mutex::new(to_send), sent: Mutex::new(Instant::now()), posted });
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                // A broken connection shows up as an invocation without a response.
                std::thread::spawn(move || Connection::new(stream).and_then(|connection| shared.serve(connection)));
            }
        });
        Ok(Self { address, events, posted: received, count: 0 })
    }

    /// The value of `AWS_LAMBDA_RUNTIME_API`.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until the function asks for its first invocation.
    pub(crate) fn wait_for_init(&self) -> Result<()> {
        match self.posted.recv_timeout(INIT_LIMIT) {
            Ok(Posted::Next) => Ok(()),
            Ok(Posted::Error(document) | Posted::Response(document, _)) => {
                bail!("it cannot start: {}", String::from_utf8_lossy(&document))
            }
            Err(_) => bail!("it asked for no invocation within {INIT_LIMIT:?}"),
        }
    }

    /// Invokes the function; returns its response and how long it took.
    pub(crate) fn invoke(&mut self, event: &[u8]) -> Result<(Vec<u8>, Duration)> {
        self.count += 1;
        let deadline = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + TIME_LIMIT;
        let mut message = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nlambda-runtime-aws-request-id: {count:08x}-0000-4000-8000-000000000000\r\n\
             lambda-runtime-deadline-ms: {}\r\nlambda-runtime-invoked-function-arn: arn:aws:lambda:eu-west-1:123456789012:function:bench\r\n\
             lambda-runtime-trace-id: Root=1-{:08x}-{count:024x};Parent=53995c3f42cd8ad8;Sampled=0\r\ncontent-length: {}\r\n\r\n",
            deadline.as_millis(),
            deadline.as_secs(),
            event.len(),
            count = self.count
        )
        .into_bytes();
        message.extend_from_slice(event);
        self.events.send(message).context("the Runtime API has ended")?;
        loop {
            match self.posted.recv_timeout(TIME_LIMIT) {
                Ok(Posted::Next) => {}
                Ok(Posted::Response(body, took)) => return Ok((body, took)),
                Ok(Posted::Error(document)) => bail!("the invocation failed: {}", String::from_utf8_lossy(&document)),
                Err(_) => bail!("no response within {TIME_LIMIT:?}"),
            }
        }
    }
}

impl Shared {
    /// Answers the requests of one connection until it closes.
    fn serve(&self, mut connection: Connection) -> std::io::Result<()> {
        while let Some(request) = connection.read()? {
            let path = request.start.split(' ').nth(1).unwrap_or_default();
            let posted = if path.ends_with("/invocation/next") {
                self.report(Posted::Next);
                let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
                let Ok(event) = events.recv() else { return Ok(()) };
                *self.sent.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
                connection.write(&event)?;
                continue;
            } else if path.ends_with("/response") {
                let took = self.sent.lock().unwrap_or_else(PoisonError::into_inner).elapsed();
                Posted::Response(request.body, took)
            } else if path.ends_with("/error") {
                Posted::Error(request.body)
            } else if path.ends_with("/extension/event/next") {
                // Never answered: there is no event for which it registered.
                continue;
            } else {
                connection.write(if path.ends_with("/extension/register") { REGISTERED } else { NOT_FOUND })?;
                continue;
            };
            connection.write(ACCEPTED)?;
            self.report(posted);
        }
        Ok(())
    }

    fn report(&self, posted: Posted) {
        // Nobody listens when the subject has been dropped.
        let _ = self.posted.send(posted);
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    fn post(connection: &mut Connection, path: &str, body: &str) {
        let length = body.len();
        connection.write(format!("POST {path} HTTP/1.1\r\ncontent-length: {length}\r\n\r\n{body}").as_bytes()).unwrap();
        assert_eq!(connection.read().unwrap().unwrap().start, "HTTP/1.1 202 Accepted");
    }

    #[test]
    fn an_invocation_reaches_the_function_and_its_response_comes_back() {
        let mut api = RuntimeApi::start().unwrap();
        let mut connection = Connection::new(TcpStream::connect(api.address()).unwrap()).unwrap();
        let function = std::thread::spawn(move || {
            for path in ["response", "error"] {
                connection.write(b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\n\r\n").unwrap();
                assert_eq!(connection.read().unwrap().unwrap().body, b"{}");
                post(&mut connection, &format!("/2018-06-01/runtime/invocation/1/{path}"), "posted");
            }
        });
        api.wait_for_init().unwrap();
        assert_eq!(api.invoke(b"{}").unwrap().0, b"posted");
        assert!(api.invoke(b"{}").unwrap_err().to_string().contains("posted"));
        function.join().unwrap();
    }

    #[test]
    fn a_start_that_failed_is_an_error_with_its_document() {
        let api = RuntimeApi::start().unwrap();
        let mut connection = Connection::new(TcpStream::connect(api.address()).unwrap()).unwrap();
        for (path, status, is_json) in [("extension/register", "200 OK", true), ("other", "404 Not Found", false)] {
            connection.write(format!("POST /2020-01-01/{path} HTTP/1.1\r\n\r\n").as_bytes()).unwrap();
            let response = connection.read().unwrap().unwrap();
            assert_eq!(response.start, format!("HTTP/1.1 {status}"));
            assert_eq!(serde_json::from_slice::<serde_json::Value>(&response.body).is_ok(), is_json);
        }
        post(&mut connection, "/2018-06-01/runtime/init/error", "TOPICS is missing");
        assert!(api.wait_for_init().unwrap_err().to_string().contains("TOPICS is missing"));
    }
}
