//! Brokers, `cargo lambda watch`, functions and event source mapping of one test.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use msk_local::brokers::EmbeddedBrokers;
use msk_test_kit::Process;
use serde_json::Value;

/// Bounds every wait for something to come up.
pub(crate) const START_PATIENCE: Duration = Duration::from_secs(30);
/// Bounds every wait for records to arrive.
pub(crate) const DELIVERY_PATIENCE: Duration = Duration::from_secs(60);
/// The topic of most tests.
pub(crate) const TOPIC: &str = "orders";
/// The media type of values that are base64: any bytes pass.
pub(crate) const BINARY: &str = "application/vnd.kafka.binary.v2+json";

/// Names a file that `cargo xtask test e2e` made.
pub(crate) fn given(variable: &str) -> PathBuf {
    let path =
        std::env::var_os(variable).unwrap_or_else(|| panic!("{variable} is not set: run `cargo xtask test e2e`"));
    PathBuf::from(path)
}

/// Where a record is: topic, partition, offset.
pub(crate) type Place = (String, i64, i64);

/// Brokers and the server of the Lambda APIs; functions and mapping are started by the test.
pub(crate) struct TestBed {
    pub(crate) brokers: EmbeddedBrokers,
    agent: ureq::Agent,
    port: u16,
    _watch: Process,
}

impl TestBed {
    /// Starts brokers with these topics (`NAME:PARTITIONS`), and `cargo lambda watch` without functions.
    pub(crate) fn start(topics: &[&str]) -> Self {
        let topics = topics.iter().map(|topic| topic.parse().unwrap()).collect::<Vec<_>>();
        Self::on(EmbeddedBrokers::start(&topics).unwrap())
    }

    /// Starts `cargo lambda watch` without functions beside these brokers.
    pub(crate) fn on(brokers: EmbeddedBrokers) -> Self {
        let port = free_port();
        let mut watch = Command::new(given("E2E_CARGO_LAMBDA"));
        watch.args(["lambda", "watch", "--only-lambda-apis", "--disable-cors"]);
        watch.args(["--invoke-address", "127.0.0.1", "--invoke-port", &port.to_string()]);
        // The routes are in the workspace's manifest.
        watch.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap());
        let watch = start("cargo lambda watch", &mut watch);
        wait_for_listener(port);
        let agent = ureq::Agent::config_builder().timeout_global(Some(DELIVERY_PATIENCE)).http_status_as_error(false);
        let agent = agent.build().into();
        Self { brokers, agent, port, _watch: watch }
    }

    /// Starts the producer with these further variables.
    pub(crate) fn producer(&self, variables: &[(&str, &str)]) -> Process {
        self.function("producer", &given("E2E_PRODUCER"), variables)
    }

    /// Starts the consumer, or another binary in its place.
    pub(crate) fn consumer(&self, binary: &str, variables: &[(&str, &str)]) -> Process {
        self.function("consumer", &given(binary), variables)
    }

    fn function(&self, name: &str, binary: &Path, variables: &[(&str, &str)]) -> Process {
        let mut command = Command::new(binary);
        command.env("AWS_LAMBDA_FUNCTION_NAME", name).env("AWS_LAMBDA_FUNCTION_VERSION", "1");
        command.env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1024").env("AWS_LAMBDA_MAX_CONCURRENCY", "1");
        command.env("AWS_LAMBDA_RUNTIME_API", format!("http://127.0.0.1:{}/.rt/{name}", self.port));
        command.env("KAFKA_BOOTSTRAP_SERVERS", self.brokers.bootstrap_servers()).env("KAFKA_AUTH", "none");
        command.env("TOPICS", TOPIC).env("REPORT_BATCH_ITEM_FAILURES", "true");
        command.envs(variables.iter().copied());
        start(name, &mut command)
    }

    /// Starts the event source mapping of [`TOPIC`] to the consumer, and waits until it polls.
    pub(crate) fn mapping(&self) -> Process {
        let mut command = Command::new(env!("CARGO_BIN_EXE_msk-local"));
        command.args(["--format", "json", "up", "--records", "--report-batch-item-failures", "--topics", TOPIC]);
        command.args(["--function", "consumer", "--bootstrap-servers", self.brokers.bootstrap_servers()]);
        command.args(["--invoke-url", &self.url("/2015-03-31/functions/{FunctionName}/invocations")]);
        command.args(["--retry-backoff", "0.2"]);
        let mapping = start("msk-local", &mut command);
        mapping.wait_for("ready line", START_PATIENCE, |lines| find(lines, |line| line["ready"] == true));
        mapping
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// POSTs a body and returns status and answer.
    pub(crate) fn post(&self, path: &str, media_type: &str, body: String) -> (u16, Value) {
        let mut answer = self.agent.post(self.url(path)).content_type(media_type).send(body).unwrap();
        let (status, text) = (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap());
        (status, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{status}, {error}: {text}")))
    }
}

fn start(name: &str, command: &mut Command) -> Process {
    // What the machine's environment says about logs must not change what the tests read.
    command.env_remove("RUST_LOG").env_remove("AWS_LAMBDA_LOG_LEVEL");
    Process::start(name, command.stderr(Stdio::piped()))
}

/// The first line that is wanted.
pub(crate) fn find(lines: &[Value], wanted: impl Fn(&Value) -> bool) -> Option<Value> {
    lines.iter().find(|line| wanted(line)).cloned()
}

/// What the consumer's default handler says it handled, in order: its effects, once there are so many. What one process has
/// written may be read later than what another one makes of it.
pub(crate) fn effects(consumer: &Process, count: usize) -> Vec<Place> {
    logged(consumer, "record", count).iter().map(place).collect()
}

/// The lines with this message, once there are so many.
pub(crate) fn logged(function: &Process, message: &str, count: usize) -> Vec<Value> {
    function.wait_for(&format!("{count} lines `{message}`"), DELIVERY_PATIENCE, |lines| {
        let found: Vec<_> = lines.iter().filter(|line| line["message"] == message).cloned().collect();
        (found.len() >= count).then_some(found)
    })
}

/// The records that the mapping counts as done.
pub(crate) fn finished(mapping: &[Value]) -> Vec<Place> {
    mapping.iter().filter(|line| line["event"] == "record" && line["outcome"] == "done").map(place).collect()
}

fn place(line: &Value) -> Place {
    let number = |member: &str| line[member].as_i64().unwrap_or_else(|| panic!("no {member} in {line}"));
    (line["topic"].as_str().unwrap().to_owned(), number("partition"), number("offset"))
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

fn wait_for_listener(port: u16) {
    let deadline = Instant::now() + START_PATIENCE;
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        assert!(Instant::now() < deadline, "cargo lambda watch does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
}
