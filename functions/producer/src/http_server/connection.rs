//! One connection: its requests go to the router, and it ends when its client does, waits too long, or the server stops.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tower::Service;

use super::activity::{Activity, Awaited, ResponseBody, WatchedStream};
use super::request_body::RequestBody;
use super::settings::ConnectionLimits;

/// How far the server has come in stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Serving,
    /// Each response says that it is the last one of its connection.
    LastRequests,
    /// Connections without a request are closed.
    Closing,
}

/// How long the last bytes of a connection may take: HTTP/2 says goodbye and waits for the client's answer.
const GOODBYE: Duration = Duration::from_secs(1);

/// Requests at a time on an HTTP/2 connection: the least that RFC 9113, 6.5.2 recommends, as each may hold a body in memory.
const MAX_STREAMS: u32 = 100;
/// How long a connection that is accepted while the server stops may take until its request comes: it is on its way.
const FIRST_REQUEST: Duration = Duration::from_secs(1);

/// Why a connection is ended from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The client has closed it, or spoken no HTTP.
    ByClient,
    /// No request is lost by closing it.
    Idle,
    /// The client is too slow: what it has sent is dropped.
    Slow,
}

/// Serves a connection until it ends.
pub(super) async fn serve(
    stream: TcpStream,
    router: Router,
    limits: ConnectionLimits,
    mut stage: watch::Receiver<Stage>,
) {
    let activity = Activity::new();
    let io = WatchedStream { stream, activity: Arc::clone(&activity) };
    let answering = (Arc::clone(&activity), stage.clone());
    let service = service_fn(move |request| answer(&router, request, &answering, limits));
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http2().max_concurrent_streams(MAX_STREAMS);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(io), service));
    let mut closing = pin!(stage.wait_for(|stage| *stage == Stage::Closing));
    let mut is_closing = false;
    let mut timer = pin!(tokio::time::sleep(limits.header_timeout));
    let end = poll_fn(|cx| {
        if connection.as_mut().poll(cx).is_ready() {
            return Poll::Ready(End::ByClient);
        }
        // A sender that is gone means that the server is gone, too.
        if !is_closing && closing.as_mut().poll(cx).is_ready() {
            is_closing = true;
            if activity.awaited(limits) == Awaited::Response {
                // The last request; HTTP/2 tells the client to begin no other.
                connection.as_mut().graceful_shutdown();
                cx.waker().wake_by_ref();
            }
        }
        loop {
            let (until, end) = match activity.awaited(limits) {
                // A request has a deadline of its own; its end is seen here.
                Awaited::Response => (Instant::now() + limits.idle_timeout, End::Idle),
                Awaited::Headers { until } | Awaited::Write { until } => (until, End::Slow),
                Awaited::FirstRequest { until, opened } if is_closing => (until.min(opened + FIRST_REQUEST), End::Idle),
                Awaited::NextRequest { .. } if is_closing => return Poll::Ready(End::Idle),
                Awaited::FirstRequest { until, .. } | Awaited::NextRequest { until } => (until, End::Idle),
            };
            if until <= Instant::now() {
                return Poll::Ready(end);
            }
            // The timer may ring too early, never too late: so it is not set anew for each request.
            if timer.deadline().into_std() > until || timer.is_elapsed() {
                timer.as_mut().reset(until.into());
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    })
    .await;
    if end == End::Idle {
        connection.as_mut().graceful_shutdown();
        // Whatever comes of it, the socket is closed after that.
        let _ = tokio::time::timeout(GOODBYE, connection).await;
    }
}

/// One request's way to the router, and its response's back.
fn answer(
    router: &Router,
    request: Request<Incoming>,
    (activity, stage): &(Arc<Activity>, watch::Receiver<Stage>),
    limits: ConnectionLimits,
) -> impl Future<Output = Result<Response<ResponseBody>, Infallible>> + Send + use<> {
    let guard = activity.begin_request();
    let stage = stage.clone();
    let version = request.version();
    let request = request.map(|body| Body::new(RequestBody::new(body, limits.header_timeout)));
    let response = router.clone().call(request);
    async move {
        let mut response = response.await?;
        // HTTP/2 has no such header (RFC 9113, 8.2.2): it is told by a frame when the connection is closed.
        if version < Version::HTTP_2 && *stage.borrow() > Stage::Serving {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response.map(|body| ResponseBody { body, _request: guard }))
    }
}
