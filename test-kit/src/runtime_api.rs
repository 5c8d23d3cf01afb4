//! The Lambda Runtime API, version 2018-06-01, for one execution environment, and as much of the Extensions API as a runtime
//! needs to register itself for a graceful shutdown.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot, watch};

/// Lambda's limit for a response.
const MAX_RESPONSE_BYTES: usize = 6 << 20;

/// Serves every Runtime API of this process, including those of tests without their own runtime.
pub(crate) static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());

/// Whether there is an Extensions API, through which a runtime registers for the shutdown event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extensions {
    /// As on Lambda.
    Served,
    /// As under some emulators.
    Missing,
}

/// The state of a function as seen by its Runtime API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It has not yet asked for an invocation.
    Init,
    /// It is waiting for its next invocation.
    Idle,
    /// It is handling an invocation.
    Busy,
    /// It reported that it cannot start.
    InitFailed {
        /// The header `Lambda-Runtime-Function-Error-Type`.
        error_type: Option<String>,
        /// The body.
        document: String,
    },
}

/// What the function posted for an invocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuntimeAnswer {
    /// The handler's response.
    Response(Bytes),
    /// The handler's error document.
    Error(Bytes),
}

/// An invocation to be delivered to the function.
struct Sent {
    request_id: String,
    payload: Bytes,
    deadline: SystemTime,
    answer: oneshot::Sender<RuntimeAnswer>,
}

struct Shared {
    sent: tokio::sync::Mutex<mpsc::UnboundedReceiver<Sent>>,
    pending: Mutex<HashMap<String, oneshot::Sender<RuntimeAnswer>>>,
    phase: watch::Sender<Phase>,
}

/// A running Runtime API; dropping it closes the port.
#[derive(Debug)]
pub struct RuntimeApi {
    address: SocketAddr,
    sent: mpsc::UnboundedSender<Sent>,
    phase: watch::Receiver<Phase>,
    server: tokio::task::JoinHandle<()>,
}

impl RuntimeApi {
    /// Serves on a port of 127.0.0.1 chosen by the kernel.
    ///
    /// # Errors
    ///
    /// If no port can be bound.
    pub fn start(extensions: Extensions) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let _runtime = RUNTIME.enter();
        let listener = TcpListener::from_std(listener)?;
        let (sent, receiver) = mpsc::unbounded_channel();
        let (sender, phase) = watch::channel(Phase::Init);
        let shared = Shared { sent: tokio::sync::Mutex::new(receiver), pending: Mutex::default(), phase: sender };
        let routes = router(Arc::new(shared), extensions);
        let server = tokio::spawn(async move {
            // Runs until it is aborted; a broken listener shows up as a function that never receives an invocation.
            let _ = axum::serve(listener, routes).await;
        });
        Ok(Self { address, sent, phase, server })
    }

    /// The address for `AWS_LAMBDA_RUNTIME_API`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The state of the function, kept up to date.
    pub fn phase(&self) -> watch::Receiver<Phase> {
        self.phase.clone()
    }

    /// Sends an invocation: the function receives it when it asks for one. Without an answer, the receiver fails when this is
    /// dropped.
    pub fn send(&self, request_id: &str, payload: Bytes, deadline: SystemTime) -> oneshot::Receiver<RuntimeAnswer> {
        let (answer, receiver) = oneshot::channel();
        // The receiver lives as long as the server.
        let _ = self.sent.send(Sent { request_id: request_id.to_owned(), payload, deadline, answer });
        receiver
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn router(shared: Arc<Shared>, extensions: Extensions) -> Router {
    let routes = Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
        .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
        .route("/2018-06-01/runtime/init/error", post(init_error))
        .layer(DefaultBodyLimit::max(MAX_RESPONSE_BYTES))
        .with_state(shared);
    match extensions {
        Extensions::Missing => routes,
        Extensions::Served => routes
            .route("/2020-01-01/extension/register", post(register_extension))
            .route("/2020-01-01/extension/event/next", get(next_extension_event)),
    }
}

type Headers = [(HeaderName, String); 5];

/// The answer to the function's call for an invocation.
async fn next(State(shared): State<Arc<Shared>>) -> Result<(Headers, Bytes), StatusCode> {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    shared.phase.send_replace(Phase::Idle);
    let sent = shared.sent.lock().await.recv().await.ok_or(StatusCode::GONE)?;
    shared.phase.send_replace(Phase::Busy);
    let deadline_ms = sent.deadline.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_millis();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let headers = [
        // AWS's client for Python gives its handler bytes otherwise.
        (HeaderName::from_static("content-type"), "application/json".to_owned()),
        (HeaderName::from_static("lambda-runtime-aws-request-id"), sent.request_id.clone()),
        (HeaderName::from_static("lambda-runtime-deadline-ms"), deadline_ms.to_string()),
        (
            HeaderName::from_static("lambda-runtime-invoked-function-arn"),
            "arn:aws:lambda:eu-central-1:123456789012:function:msk-e2e".to_owned(),
        ),
        (
            HeaderName::from_static("lambda-runtime-trace-id"),
            // A new one for every invocation, as on Lambda: if a process kept them, its memory would show it.
            format!("Root=1-{:08x}-{count:024x};Parent=53995c3f42cd8ad8;Sampled=0", deadline_ms / 1_000),
        ),
    ];
    shared.pending.lock().unwrap_or_else(PoisonError::into_inner).insert(sent.request_id, sent.answer);
    Ok((headers, sent.payload))
}

async fn response(State(shared): State<Arc<Shared>>, Path(id): Path<String>, body: Bytes) -> StatusCode {
    answer(&shared, &id, RuntimeAnswer::Response(body))
}

async fn error(State(shared): State<Arc<Shared>>, Path(id): Path<String>, body: Bytes) -> StatusCode {
    answer(&shared, &id, RuntimeAnswer::Error(body))
}

fn answer(shared: &Shared, id: &str, answer: RuntimeAnswer) -> StatusCode {
    let waiting = shared.pending.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    match waiting.map(|waiting| waiting.send(answer)) {
        Some(Ok(())) => StatusCode::ACCEPTED,
        // Unknown, answered twice, or abandoned: Lambda answers the same.
        _ => StatusCode::BAD_REQUEST,
    }
}

async fn init_error(State(shared): State<Arc<Shared>>, headers: HeaderMap, document: String) -> StatusCode {
    let error_type = headers.get("lambda-runtime-function-error-type");
    let error_type = error_type.and_then(|value| value.to_str().ok()).map(str::to_owned);
    shared.phase.send_replace(Phase::InitFailed { error_type, document });
    StatusCode::ACCEPTED
}

async fn register_extension() -> ([(HeaderName, &'static str); 1], &'static str) {
    let id = [(HeaderName::from_static("lambda-extension-identifier"), "00000000-0000-0000-0000-000000000001")];
    (id, r#"{"functionName":"msk-e2e","functionVersion":"$LATEST","handler":"bootstrap"}"#)
}

/// An extension that registered for no events waits forever.
async fn next_extension_event() -> StatusCode {
    std::future::pending().await
}
