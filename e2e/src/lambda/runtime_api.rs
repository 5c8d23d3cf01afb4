//! The Lambda Runtime API, 2018-06-01, for one execution environment, and as much of the Extensions API as a runtime
//! needs to register itself for a graceful shutdown.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    http::{HeaderMap, HeaderName, StatusCode},
    routing::{get, post},
};
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot, watch},
};

use crate::error::{Result, os_error};

/// Lambda's limit for a response.
const MAX_RESPONSE_BYTES: usize = 6 << 20;

/// What a function does as seen from its Runtime API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It has not asked for an invocation yet.
    Init,
    /// It waits for its next invocation.
    Idle,
    /// It has one.
    Busy,
    /// It reported that it cannot start.
    InitFailed(String),
}

/// What came back for an invocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The handler's answer.
    Response(Bytes),
    /// The handler's error document.
    Error(String),
}

/// An invocation on its way to the function.
pub(super) struct Work {
    pub(super) request_id: String,
    pub(super) payload: Bytes,
    pub(super) deadline: SystemTime,
    pub(super) answer: oneshot::Sender<Answer>,
}

struct Shared {
    work: tokio::sync::Mutex<mpsc::Receiver<Work>>,
    pending: Mutex<HashMap<String, oneshot::Sender<Answer>>>,
    phase: watch::Sender<Phase>,
}

/// A running Runtime API; dropping it closes the port.
pub(super) struct RuntimeApi {
    address: SocketAddr,
    work: mpsc::Sender<Work>,
    phase: watch::Receiver<Phase>,
    server: tokio::task::JoinHandle<()>,
}

impl RuntimeApi {
    pub(super) async fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(os_error("the Runtime API's port"))?;
        let address = listener.local_addr().map_err(os_error("the Runtime API's port"))?;
        let (work, receiver) = mpsc::channel(1);
        let (sender, phase) = watch::channel(Phase::Init);
        let shared =
            Arc::new(Shared { work: tokio::sync::Mutex::new(receiver), pending: Mutex::default(), phase: sender });
        let routes = router(shared);
        let server = tokio::spawn(async move {
            // Runs until it is aborted; a broken listener shows as a function that never gets an invocation.
            let _ = axum::serve(listener, routes).await;
        });
        Ok(Self { address, work, phase, server })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn phase(&self) -> watch::Receiver<Phase> {
        self.phase.clone()
    }

    /// Hands over an invocation; the function gets it when it asks for one.
    pub(super) async fn send(&self, work: Work) {
        // The receiver lives as long as the server.
        let _ = self.work.send(work).await;
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
        .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
        .route("/2018-06-01/runtime/init/error", post(init_error))
        .route("/2020-01-01/extension/register", post(register_extension))
        .route("/2020-01-01/extension/event/next", get(next_extension_event))
        .layer(DefaultBodyLimit::max(MAX_RESPONSE_BYTES))
        .with_state(shared)
}

type Headers = [(HeaderName, String); 4];

async fn next(State(shared): State<Arc<Shared>>) -> Result<(Headers, Bytes), StatusCode> {
    shared.phase.send_replace(Phase::Idle);
    let work = shared.work.lock().await.recv().await.ok_or(StatusCode::GONE)?;
    shared.phase.send_replace(Phase::Busy);
    let deadline_ms = work.deadline.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_millis();
    let headers = [
        (HeaderName::from_static("lambda-runtime-aws-request-id"), work.request_id.clone()),
        (HeaderName::from_static("lambda-runtime-deadline-ms"), deadline_ms.to_string()),
        (
            HeaderName::from_static("lambda-runtime-invoked-function-arn"),
            "arn:aws:lambda:eu-central-1:123456789012:function:msk-e2e".to_owned(),
        ),
        (
            HeaderName::from_static("lambda-runtime-trace-id"),
            // Another for every invocation, as on Lambda: what a process keeps of it would show in its memory.
            format!(
                "Root=1-{:08x}-{:024x};Parent=0000000000000001;Sampled=0",
                deadline_ms / 1_000,
                rand::random::<u64>()
            ),
        ),
    ];
    shared.pending.lock().unwrap_or_else(PoisonError::into_inner).insert(work.request_id, work.answer);
    Ok((headers, work.payload))
}

async fn response(State(shared): State<Arc<Shared>>, Path(id): Path<String>, body: Bytes) -> StatusCode {
    answer(&shared, &id, Answer::Response(body))
}

async fn error(State(shared): State<Arc<Shared>>, Path(id): Path<String>, body: String) -> StatusCode {
    answer(&shared, &id, Answer::Error(body))
}

fn answer(shared: &Shared, id: &str, answer: Answer) -> StatusCode {
    let waiting = shared.pending.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    match waiting.map(|waiting| waiting.send(answer)) {
        Some(Ok(())) => StatusCode::ACCEPTED,
        // Unknown, answered twice, or given up: Lambda says the same.
        _ => StatusCode::BAD_REQUEST,
    }
}

async fn init_error(State(shared): State<Arc<Shared>>, body: String) -> StatusCode {
    shared.phase.send_replace(Phase::InitFailed(body));
    StatusCode::ACCEPTED
}

async fn register_extension(_headers: HeaderMap) -> ([(HeaderName, &'static str); 1], &'static str) {
    let id = [(HeaderName::from_static("lambda-extension-identifier"), "00000000-0000-0000-0000-000000000001")];
    (id, r#"{"functionName":"msk-e2e","functionVersion":"$LATEST","handler":"bootstrap"}"#)
}

/// An extension that registered for no event waits for ever.
async fn next_extension_event() -> StatusCode {
    std::future::pending().await
}
