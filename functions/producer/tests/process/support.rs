//! A producer process, the brokers it writes to, a client, and a Runtime API.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use serde_json::Value;

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) type Brokers = MockCluster<'static, DefaultProducerContext>;

/// Three embedded brokers with the topic `orders`.
pub(crate) fn brokers() -> Brokers {
    let brokers = MockCluster::new(3).unwrap();
    brokers.create_topic("orders", 3, 3).unwrap();
    brokers
}

/// The command, with nothing of this process's environment.
pub(crate) fn producer() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_producer"));
    command.env_clear().process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
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

/// A running process and its log.
pub(crate) struct Process {
    child: Child,
    log: Receiver<String>,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::inherit()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (line, log) = channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|text| line.send(text)));
        Self { child, log }
    }

    /// The first log line that `is` accepts.
    pub(crate) fn line(&self, is: impl Fn(&Value) -> bool) -> Value {
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

    /// Every line until the process has ended.
    pub(crate) fn rest(&self) -> Vec<String> {
        let give_up = Instant::now() + PATIENCE;
        let mut lines = Vec::new();
        while let Ok(line) = self.log.recv_timeout(give_up.saturating_duration_since(Instant::now())) {
            lines.push(line);
        }
        lines
    }

    pub(crate) fn terminate(&self) {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    pub(crate) fn ended(&mut self) -> ExitStatus {
        let give_up = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < give_up, "the process does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
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

/// What the function posted to the Runtime API.
#[derive(Debug)]
pub(crate) struct Posted {
    /// `response` or `error`.
    pub(crate) kind: String,
    pub(crate) body: Value,
}

/// A Runtime API, with or without the Extensions API.
pub(crate) struct Host {
    pub(crate) address: String,
    events: Sender<String>,
    posted: Receiver<Posted>,
}

impl Host {
    pub(crate) fn start(has_extensions: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (events, next) = channel();
        let (post, posted) = channel();
        let next = Arc::new(Mutex::new(next));
        std::thread::spawn(move || {
            while let Ok((connection, _)) = listener.accept() {
                let (next, post) = (Arc::clone(&next), post.clone());
                std::thread::spawn(move || converse(connection, &next, &post, has_extensions));
            }
        });
        Self { address, events, posted }
    }

    /// The function, under this host.
    pub(crate) fn function(&self, mut command: Command) -> Process {
        command.envs([
            ("AWS_LAMBDA_RUNTIME_API", self.address.as_str()),
            ("AWS_LAMBDA_FUNCTION_NAME", "producer"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
        ]);
        Process::start(command)
    }

    pub(crate) fn invoke(&self, event: impl Into<String>) -> Posted {
        self.events.send(event.into()).unwrap();
        self.posted.recv_timeout(PATIENCE).expect("an answer within 20 s")
    }
}

/// `None` when the test or the connection is over.
fn converse(
    connection: TcpStream,
    events: &Mutex<Receiver<String>>,
    posted: &Sender<Posted>,
    has_extensions: bool,
) -> Option<()> {
    let mut writer = connection.try_clone().ok()?;
    let mut reader = BufReader::new(connection);
    loop {
        let (path, body) = request(&mut reader)?;
        let is_extension = path.contains("/extension/");
        let answer = match path.rsplit('/').next()? {
            _ if is_extension && !has_extensions => "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned(),
            "register" => {
                "HTTP/1.1 200 OK\r\nlambda-extension-identifier: e-1\r\ncontent-length: 2\r\n\r\n{}".to_owned()
            }
            "next" if is_extension => {
                // An extension that subscribed to nothing waits for ever.
                std::thread::park();
                return None;
            }
            "next" => {
                let event = events.lock().ok()?.recv().ok()?;
                let deadline = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_millis() + 25_000;
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
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((path, body))
}

/// An event of `events/`.
pub(crate) fn sample(name: &str) -> String {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events");
    std::fs::read_to_string(folder.join(format!("apigw-{name}.json"))).unwrap()
}
