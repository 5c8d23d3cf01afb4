//! A scripted function behind an Invoke endpoint on a free port.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::post;
use msk_shared::event::MskEvent;
use serde_json::json;

/// What the function answers, and when.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) function_error: bool,
    pub(crate) body: String,
    pub(crate) after: Duration,
}

impl Reply {
    pub(crate) fn ok() -> Self {
        Self::body("null")
    }

    pub(crate) fn body(body: impl Into<String>) -> Self {
        Self { status: 200, function_error: false, body: body.into(), after: Duration::ZERO }
    }

    pub(crate) fn status(status: u16) -> Self {
        Self { status, ..Self::body("") }
    }

    /// A function error as `cargo lambda watch` reports it.
    pub(crate) fn error() -> Self {
        Self { status: 500, ..Self::body(json!({"errorType": "Handler", "errorMessage": "broken"}).to_string()) }
    }

    /// These records failed.
    pub(crate) fn failed(topic: &str, records: &[(i32, i64)]) -> Self {
        let items: Vec<_> = records
            .iter()
            .map(|(partition, offset)| {
                json!({"itemIdentifier": {"partition": format!("{topic}-{partition}"), "offset": offset}})
            })
            .collect();
        Self::body(json!({"batchItemFailures": items}).to_string())
    }

    pub(crate) fn after(self, after: Duration) -> Self {
        Self { after, ..self }
    }
}

/// One invocation as the function received it.
#[derive(Debug, Clone)]
pub(crate) struct ReceivedEvent {
    /// Partition and offset of each record, in the event's order.
    pub(crate) records: Vec<(i32, i64)>,
    pub(crate) event: MskEvent,
    pub(crate) body: Bytes,
    pub(crate) at: Instant,
}

type Script = dyn Fn(usize, &ReceivedEvent) -> Reply + Send + Sync;

/// How many invocations run, and the most that ran at once.
#[derive(Debug, Default)]
struct Running {
    now: AtomicUsize,
    most: AtomicUsize,
}

/// The endpoint; it ends when this is dropped.
pub(crate) struct Function {
    pub(crate) url: String,
    invocations: Arc<Mutex<Vec<ReceivedEvent>>>,
    running: Arc<Running>,
    server: tokio::task::JoinHandle<()>,
}

impl Function {
    /// `script` gets the number of the invocation, counted from 0, and the event.
    pub(crate) async fn start(script: impl Fn(usize, &ReceivedEvent) -> Reply + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url =
            format!("http://{}/2015-03-31/functions/{{FunctionName}}/invocations", listener.local_addr().unwrap());
        let invocations = Arc::new(Mutex::new(Vec::new()));
        let script: Arc<Script> = Arc::new(script);
        let running = Arc::new(Running::default());
        let (seen, counted) = (Arc::clone(&invocations), Arc::clone(&running));
        let handler = move |body: Bytes| answer(Arc::clone(&seen), Arc::clone(&counted), Arc::clone(&script), body);
        let app = Router::new()
            .route("/2015-03-31/functions/consumer/invocations", post(handler.clone()))
            .route("/2015-03-31/functions/payments/invocations", post(handler));
        let app = app.layer(axum::extract::DefaultBodyLimit::disable());
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, invocations, running, server }
    }

    /// Fails until the switch it returns is set.
    pub(crate) async fn broken() -> (Self, Arc<AtomicBool>) {
        let repaired = Arc::new(AtomicBool::new(false));
        let switch = Arc::clone(&repaired);
        (Self::start(move |_, _| if repaired.load(SeqCst) { Reply::ok() } else { Reply::error() }).await, switch)
    }

    /// Fails whenever this record is in the event.
    pub(crate) async fn failing_on(record: (i32, i64)) -> Self {
        Self::start(move |_, event| if event.records.contains(&record) { Reply::error() } else { Reply::ok() }).await
    }

    /// Answers the first invocation in one way, and all others in another.
    pub(crate) async fn first_then(first: Reply, then: Reply) -> Self {
        Self::start(move |number, _| if number == 0 { first.clone() } else { then.clone() }).await
    }

    pub(crate) fn invocations(&self) -> Vec<ReceivedEvent> {
        self.invocations.lock().unwrap().clone()
    }

    /// How long it takes to send the first event so many times, one request at a time on one connection.
    pub(crate) async fn invoke_directly(&self, requests: usize) -> Duration {
        let url = self.url.replace("{FunctionName}", "consumer");
        let event = self.invocations()[0].body.clone();
        let send = move || {
            let (client, started) = (ureq::Agent::new_with_defaults(), Instant::now());
            for _ in 0..requests {
                client.post(&url).send(&event[..]).unwrap().body_mut().read_to_vec().unwrap();
            }
            started.elapsed()
        };
        tokio::task::spawn_blocking(send).await.unwrap()
    }

    /// The records of each invocation.
    pub(crate) fn batches(&self) -> Vec<Vec<(i32, i64)>> {
        self.invocations().into_iter().map(|invocation| invocation.records).collect()
    }

    /// The number of records of each invocation.
    pub(crate) fn sizes(&self) -> Vec<usize> {
        self.batches().iter().map(Vec::len).collect()
    }

    /// The most invocations that ran at once; one that nobody waits for any more still runs.
    pub(crate) fn most_at_once(&self) -> usize {
        self.running.most.load(SeqCst)
    }

    /// How often each record was delivered.
    pub(crate) fn deliveries_of(&self, record: (i32, i64)) -> usize {
        self.batches().iter().flatten().filter(|seen| **seen == record).count()
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(
    seen: Arc<Mutex<Vec<ReceivedEvent>>>,
    running: Arc<Running>,
    script: Arc<Script>,
    body: Bytes,
) -> (StatusCode, [(&'static str, &'static str); 1], String) {
    let event = MskEvent::parse(body.clone()).unwrap();
    let records = event.records().map(|record| (record.partition(), record.offset())).collect();
    let invocation = ReceivedEvent { records, event, body, at: Instant::now() };
    let reply = {
        let mut seen = seen.lock().unwrap();
        seen.push(invocation);
        let number = seen.len() - 1;
        script(number, &seen[number])
    };
    running.most.fetch_max(running.now.fetch_add(1, SeqCst) + 1, SeqCst);
    // A function goes on after its caller has closed the connection.
    let work = tokio::spawn(async move {
        tokio::time::sleep(reply.after).await;
        running.now.fetch_sub(1, SeqCst);
    });
    work.await.unwrap();
    let header = if reply.function_error { ("x-amz-function-error", "Unhandled") } else { ("x-test", "") };
    (StatusCode::from_u16(reply.status).unwrap(), [header], reply.body)
}
