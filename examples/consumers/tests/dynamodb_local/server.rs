//! DynamoDB Local, AWS's own stand-in, on a port of this machine.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use msk_consumer_examples::dynamodb_writer::DynamoDbWriter;
use msk_shared::env::EnvReader;
use msk_test_kit::{PATIENCE, Process};
use serde_json::{Value, json};

/// The folder with its jars and its native library, which stage `examples-dynamodb` fetches.
const JARS: &str = "DYNAMODB_LOCAL";
/// How often a server that starts is asked.
const LOOK: Duration = Duration::from_millis(50);
/// It checks no signature, but wants one of the right form.
const AUTHORIZATION: &str =
    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/eu-west-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0";

/// One for all tests: a JVM takes seconds to start. It ends with this process.
pub(crate) static SERVER: LazyLock<Server> = LazyLock::new(Server::start);

pub(crate) struct Server {
    port: u16,
    _process: Process,
}

impl Server {
    fn start() -> Self {
        let jars = PathBuf::from(std::env::var_os(JARS).expect("run `cargo xtask test examples-dynamodb`"));
        // Chosen by the kernel, and free again for the server, which can choose none itself.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut java = Command::new("java");
        java.arg("-Xmx400m").arg(format!("-Djava.library.path={}", jars.display()));
        java.arg("-cp").arg(jars.join("*")).arg("com.amazonaws.services.dynamodbv2.local.main.ServerRunner");
        java.args(["-inMemory", "-disableTelemetry", "-port", &port.to_string()]).env("DDB_LOCAL_TELEMETRY", "0");
        let server = Self { port, _process: Process::start("DynamoDB Local", &mut java) };
        let started = Instant::now();
        while server.try_call("ListTables", &json!({})).is_err() {
            assert!(started.elapsed() < PATIENCE, "DynamoDB Local does not answer");
            std::thread::sleep(LOOK);
        }
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn try_call(&self, operation: &str, input: &Value) -> Result<Value, ureq::Error> {
        let request = ureq::post(self.url())
            .header("Content-Type", "application/x-amz-json-1.0")
            .header("X-Amz-Target", format!("DynamoDB_20120810.{operation}"))
            .header("Authorization", AUTHORIZATION);
        let answer = request.send(input.to_string())?.body_mut().read_to_string()?;
        Ok(serde_json::from_str(&answer).unwrap())
    }

    fn call(&self, operation: &str, input: &Value) -> Value {
        self.try_call(operation, input).unwrap_or_else(|error| panic!("{operation}: {error}"))
    }

    /// A new table with this key.
    pub(crate) fn table(&'static self, name: &'static str, key: &str) -> Table {
        self.call(
            "CreateTable",
            &json!({
                "TableName": name, "BillingMode": "PAY_PER_REQUEST",
                "AttributeDefinitions": [{"AttributeName": key, "AttributeType": "S"}],
                "KeySchema": [{"AttributeName": key, "KeyType": "HASH"}],
            }),
        );
        Table { server: self, name }
    }
}

pub(crate) struct Table {
    server: &'static Server,
    name: &'static str,
}

impl Table {
    /// What Lambda and Terraform would set.
    pub(crate) fn variables(&self, endpoint: &str) -> [(&'static str, String); 5] {
        [
            ("AWS_REGION", "eu-west-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
            ("APP_TABLE", self.name.to_owned()),
            ("APP_DYNAMODB_ENDPOINT", endpoint.to_owned()),
        ]
    }

    pub(crate) fn writer(&self, more: &[(&'static str, &str)]) -> DynamoDbWriter {
        let more = more.iter().map(|(name, value)| (*name, (*value).to_owned()));
        let mut env = EnvReader::new(self.variables(&self.server.url()).into_iter().chain(more));
        let writer = DynamoDbWriter::from_env(&mut env);
        env.finish(writer).unwrap()
    }

    /// Every item, sorted.
    pub(crate) fn items(&self) -> Vec<Value> {
        let mut input = json!({"TableName": self.name, "ConsistentRead": true});
        let mut items = Vec::new();
        loop {
            let mut page = self.server.call("Scan", &input);
            items.append(page["Items"].as_array_mut().unwrap());
            match page["LastEvaluatedKey"].take() {
                Value::Null => break,
                key => input["ExclusiveStartKey"] = key,
            }
        }
        items.sort_by_key(|item| item["id"]["S"].as_str().unwrap_or_default().to_owned());
        items
    }
}
