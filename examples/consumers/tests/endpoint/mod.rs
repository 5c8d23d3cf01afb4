//! An HTTP endpoint on a port of its own, which notes what it is sent.

#![allow(dead_code, reason = "each test looks at its own parts of a request")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) method: String,
    pub(crate) path: String,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// Answers until it is dropped.
pub(crate) struct Endpoint {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    stopped: Arc<AtomicBool>,
    server: Option<thread::JoinHandle<()>>,
}

impl Endpoint {
    /// `answer` makes the status and the header lines of an answer from the request's body.
    pub(crate) fn start(answer: impl Fn(&[u8]) -> String + Send + 'static) -> Self {
        Self::serve(move |request| (answer(&request.body), Vec::new()))
    }

    /// `answer` makes the status and the header lines, and the body, of an answer from the request.
    pub(crate) fn serve(answer: impl Fn(&Received) -> (String, Vec<u8>) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (received, stopped) = (Arc::<Mutex<Vec<Received>>>::default(), Arc::<AtomicBool>::default());
        let (noted, is_stopped) = (Arc::clone(&received), Arc::clone(&stopped));
        let server = thread::spawn(move || {
            for connection in listener.incoming() {
                if is_stopped.load(SeqCst) {
                    return;
                }
                let mut connection = connection.unwrap();
                // A client that was killed has sent none.
                let Some(request) = read(&connection) else { continue };
                let (head, body) = answer(&request);
                noted.lock().unwrap().push(request);
                // A client that has gone away is none of this endpoint's business.
                let length = body.len();
                let _ = write!(connection, "HTTP/1.1 {head}Content-Length: {length}\r\nConnection: close\r\n\r\n");
                let _ = connection.write_all(&body);
            }
        });
        Self { address, received, stopped, server: Some(server) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/intake", self.address)
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// Refuses connections from now on.
    pub(crate) fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stopped.store(true, SeqCst);
        // Wakes the server, which then ends.
        let _ = TcpStream::connect(self.address);
        if let Some(server) = self.server.take() {
            let _ = server.join();
        }
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.end();
    }
}

fn read(connection: &TcpStream) -> Option<Received> {
    let mut reader = BufReader::new(connection);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let (first, headers) = lines.split_first()?;
    let header = |line: &String| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
    let headers: Vec<(String, String)> = headers.iter().map(|line| header(line).unwrap()).collect();
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let mut request = Received { method, path, headers, body: Vec::new() };
    let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
    request.body.resize(length, 0);
    reader.read_exact(&mut request.body).ok()?;
    Some(request)
}
