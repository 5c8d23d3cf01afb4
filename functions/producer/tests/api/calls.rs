//! Requests, ways to send them, and a publisher that plays a script.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::BodyExt;
use lambda_runtime::Context;
use msk_producer::api::router::router;
use msk_producer::api::state::{AppState, Backend};
use msk_producer::config::Config;
use msk_producer::lambda;
use msk_shared::deadline::Deadline;
use msk_shared::env::EnvReader;
use msk_shared::kafka::{
    Delivery, FailureCause, NotReady, OutboundRecord, Partition, PublishFailure, PublishResult, Publisher,
    PublisherStats, Readiness, Replica,
};
use msk_shared::names::TopicName;
use serde_json::Value;
use tower::ServiceExt;

use crate::contract::check;
use crate::front_doors::FrontDoor;

pub(crate) const JSON_V2: &str = "application/vnd.kafka.json.v2+json";

type Script = Box<dyn FnMut(&OutboundRecord, usize) -> PublishResult + Send>;

/// Plays failures that no embedded cluster can produce, and keeps the records it was given.
#[derive(Clone)]
pub(crate) struct Scripted(Arc<Mutex<State>>);

struct State {
    script: Script,
    /// None: to be asked is a panic.
    partitions: Option<Result<u32, PublishFailure>>,
    /// What the cluster says when it is asked anew; the same unless set.
    partitions_now: Option<Result<u32, PublishFailure>>,
    readiness: Readiness,
    records: Vec<OutboundRecord>,
    stats: PublisherStats,
    delay: Duration,
}

impl Default for Scripted {
    /// Writes every record to partition 0 (or the one it names), at offsets from 0.
    fn default() -> Self {
        Self::new(|record, offset| {
            Ok(Delivery {
                partition: record.partition.unwrap_or(0),
                offset: offset as i64,
                timestamp_ms: Some(record.timestamp_ms.unwrap_or(1_760_000_000_000)),
            })
        })
    }
}

impl Scripted {
    /// Decides over each record by its place in the request.
    pub(crate) fn new(script: impl FnMut(&OutboundRecord, usize) -> PublishResult + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(State {
            script: Box::new(script),
            partitions: Some(Ok(4)),
            partitions_now: None,
            readiness: Readiness { brokers: Ok(()), producer_id: Ok(()), token: Ok(()) },
            records: Vec::new(),
            stats: PublisherStats::default(),
            delay: Duration::ZERO,
        })))
    }

    /// Fails every record the same way.
    pub(crate) fn failing(failure: PublishFailure) -> Self {
        Self::new(move |_, _| Err(failure))
    }

    pub(crate) fn with_partitions(self, partitions: Result<u32, PublishFailure>) -> Self {
        self.state().partitions = Some(partitions);
        self
    }

    pub(crate) fn with_partitions_now(self, partitions: Result<u32, PublishFailure>) -> Self {
        self.state().partitions_now = Some(partitions);
        self
    }

    pub(crate) fn without_partitions(self) -> Self {
        self.state().partitions = None;
        self
    }

    pub(crate) fn without_brokers(self) -> Self {
        self.state().readiness.brokers = Err(NotReady::NoBroker);
        self
    }

    pub(crate) fn with_delay(self, delay: Duration) -> Self {
        self.state().delay = delay;
        self
    }

    /// A script that panics on purpose leaves nothing half done.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The records of all requests so far.
    pub(crate) fn records(&self) -> Vec<OutboundRecord> {
        self.state().records.clone()
    }

    pub(crate) fn clear(&self) {
        self.state().records.clear();
    }
}

impl Publisher for Scripted {
    async fn publish(&self, records: Vec<OutboundRecord>, _: Deadline) -> Vec<PublishResult> {
        let delay = self.state().delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let mut state = self.state();
        let results = records.iter().enumerate().map(|(index, record)| (state.script)(record, index)).collect();
        state.records.extend(records);
        results
    }

    async fn partitions(&self, topic: &TopicName, _: Deadline) -> Result<Arc<[Partition]>, PublishFailure> {
        assert_ne!(topic.as_str(), "", "a name that reached the publisher is valid");
        self.state().partitions.expect("injected").map(partitions)
    }

    async fn partitions_now(&self, _: &TopicName, _: Deadline) -> Result<Arc<[Partition]>, PublishFailure> {
        let state = self.state();
        state.partitions_now.or(state.partitions).expect("injected").map(partitions)
    }

    async fn max_message_bytes(&self, _: &TopicName, _: Deadline) -> Option<usize> {
        Some(MAX_MESSAGE_BYTES)
    }

    async fn readiness(&self, _: Deadline) -> Readiness {
        self.state().readiness
    }
}

impl Backend for Scripted {
    fn stats(&self) -> PublisherStats {
        self.state().stats
    }
}

/// Partitions on three brokers: each leads its share, the last broker's copies are behind, the last partition has no leader.
fn partitions(count: u32) -> Arc<[Partition]> {
    let replica = |broker| Replica { broker, in_sync: broker < 3 };
    let partition = |id: i32| Partition {
        id,
        leader: Some(id % 2 + 1).filter(|_| id.cast_unsigned() + 1 < count),
        replicas: (1..=3).map(replica).collect(),
    };
    (0..count.cast_signed()).map(partition).collect()
}

/// What the scripted cluster says of every topic's limit.
pub(crate) const MAX_MESSAGE_BYTES: usize = 1_048_588;

/// The failure of a cause before anything was sent.
pub(crate) fn not_sent(cause: FailureCause) -> PublishFailure {
    PublishFailure::not_sent(cause)
}

/// Topics `orders` and `audit` without rules, and `strict.topic` with all of them.
pub(crate) const TOPICS: &str =
    r#"{"orders":{},"audit":{},"strict.topic":{"key":"required","max_record_bytes":64,"formats":["json"]}}"#;

/// A configuration of the given variables over the tests' own.
pub(crate) fn config(variables: &[(&str, &str)]) -> Config {
    let base = [("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1"), ("KAFKA_AUTH", "none"), ("TOPICS", TOPICS)];
    Config::from_env(EnvReader::new(base.into_iter().chain(variables.iter().copied()))).unwrap()
}

/// The API over a publisher.
pub(crate) fn app_with<B: Backend>(variables: &[(&str, &str)], backend: B) -> Router {
    router(Arc::new(AppState::new(config(variables), backend, Duration::from_millis(7), None)))
}

/// The API over a publisher, configured as by default.
pub(crate) fn app<B: Backend>(backend: B) -> Router {
    app_with(&[], backend)
}

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: &'static str,
    /// As a browser would send it, encoded.
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Call {
    pub(crate) fn new(method: &'static str, target: impl Into<String>) -> Self {
        Self { method, target: target.into(), headers: Vec::new(), body: Vec::new() }
    }

    pub(crate) fn get(target: impl Into<String>) -> Self {
        Self::new("GET", target)
    }

    /// A POST of a body in a format.
    pub(crate) fn post(target: impl Into<String>, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::new("POST", target).header("content-type", content_type).body(body)
    }

    /// A POST of records in JSON format to the topic `orders`.
    pub(crate) fn records(body: impl Into<Vec<u8>>) -> Self {
        Self::post("/topics/orders", JSON_V2, body)
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends it as a plain HTTP server would.
    pub(crate) async fn send(&self, router: &Router) -> HttpAnswer {
        let mut request = http::Request::builder().method(self.method).uri(&self.target);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let response = router.clone().oneshot(request.body(Body::from(self.body.clone())).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            (name.to_string(), value.to_str().unwrap().to_owned())
        };
        let headers = parts.headers.iter().map(header).collect();
        let answer = HttpAnswer { status: parts.status.as_u16(), headers, body };
        check(self, &answer);
        answer
    }

    /// Sends it as an HTTP API would; the body as base64 or as text.
    pub(crate) async fn invoke(&self, router: &Router, base64: bool) -> HttpAnswer {
        let answer = invoke(router, self.event(base64).to_string()).await;
        check(self, &answer);
        answer
    }

    /// The event that an HTTP API makes of it.
    pub(crate) fn event(&self, base64: bool) -> Value {
        FrontDoor::HttpApi.event(self, base64)
    }
}

/// Invokes the function with a payload. Its invocation has the id `req-1`.
pub(crate) async fn invoke(router: &Router, payload: impl AsRef<[u8]>) -> HttpAnswer {
    try_invoke(router, payload, Duration::from_secs(30)).await.expect("an HTTP event has an HTTP answer")
}

/// Invokes the function with `left` to its deadline; `None` when the invocation fails.
pub(crate) async fn try_invoke(router: &Router, payload: impl AsRef<[u8]>, left: Duration) -> Option<HttpAnswer> {
    respond(router, payload, left).await.map(|response| HttpAnswer::from_function(&response))
}

/// What the function responds, in the shape of the front door.
pub(crate) async fn respond(router: &Router, payload: impl AsRef<[u8]>, left: Duration) -> Option<Value> {
    let mut context = Context::default();
    context.request_id = "req-1".to_owned();
    let deadline = SystemTime::now() + left;
    context.deadline = deadline.duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    let payload = Bytes::copy_from_slice(payload.as_ref());
    let answer = lambda::handle(router.clone(), payload, context).await.ok()?;
    Some(serde_json::to_value(answer).unwrap())
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HttpAnswer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Bytes,
}

impl HttpAnswer {
    /// What a front door makes of the function's response.
    pub(crate) fn from_function(response: &Value) -> Self {
        let single = response["headers"].as_object().into_iter().flatten().map(|(name, value)| (name, value.as_str()));
        let listed = response["multiValueHeaders"].as_object().into_iter().flatten();
        let listed = listed.map(|(name, values)| (name, values.as_array().and_then(|all| all.first()?.as_str())));
        Self {
            status: response["statusCode"].as_u64().unwrap() as u16,
            headers: single.chain(listed).map(|(name, value)| (name.clone(), value.unwrap().to_owned())).collect(),
            body: match response["isBase64Encoded"].as_bool().unwrap() {
                true => STANDARD.decode(response["body"].as_str().unwrap()).unwrap().into(),
                false => response["body"].as_str().unwrap().to_owned().into(),
            },
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("the body is not JSON ({error}): {:?}", self.body))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The answer as text to compare: the status, the headers that matter, the body.
    pub(crate) fn shown(&self) -> String {
        let mut text = format!("{}\n", self.status);
        for (name, value) in self.headers.iter().filter(|(name, _)| *name != "content-length") {
            text.push_str(&format!("{name}: {value}\n"));
        }
        if !self.body.is_empty() {
            text.push_str(&format!("\n{}\n", serde_json::to_string_pretty(&self.json()).unwrap()));
        }
        text
    }

    /// Checks the parts that every problem document has, and gives status and `error_code`.
    pub(crate) fn problem(&self) -> (u16, u64) {
        let body = self.json();
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{body}");
        assert_eq!(body["status"], self.status, "{body}");
        assert_eq!(body["detail"], body["message"], "{body}");
        assert_eq!(body["instance"], body["request_id"], "{body}");
        assert_eq!(self.header("x-request-id"), body["request_id"].as_str(), "{body}");
        assert!(body["type"].as_str().unwrap().starts_with("https://"), "{body}");
        for text in ["title", "detail"] {
            assert!(!body[text].as_str().unwrap().is_empty(), "{body}");
        }
        assert!(body["errors"].is_array() && body["validation_errors"].is_array(), "{body}");
        assert!(body["retriable"].is_boolean() && body["persisted"].is_string(), "{body}");
        (self.status, body["error_code"].as_u64().unwrap())
    }
}
