//! The producer as a Lambda function behind API Gateway, a function URL or a load balancer: HTTP event in, answer out.
//!
//! | Module | Does |
//! |---|---|
//! | [`event`] | recognises the front door, and makes the event a request |
//! | [`caller`] | who calls, by the event's request context |
//! | [`address`], [`pairs`] | path and query; headers and parameters |
//! | [`response`] | writes the answer in the front door's shape |

mod address;
mod caller;
mod event;
#[cfg(test)]
mod event_tests;
mod pairs;
mod response;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use futures_util::TryFutureExt;
use http::header::ACCEPT_ENCODING;
use http::{HeaderName, HeaderValue, Request};
use lambda_runtime::{Context, Diagnostic};
use msk_shared::env::EnvReader;
use msk_shared::runtime;
use serde::Serialize;
use tower::ServiceExt;

use crate::api::request_info::RequestInfo;
use crate::app::{self, App};
use crate::http_server::stop_signal;
pub use event::NotHttp;
use event::{FrontDoor, Received};
use response::FrontDoorResponse;

/// Lambda kills the process 500 ms after SIGTERM when only an internal extension is registered.
const FLUSH: Duration = Duration::from_millis(400);
/// The runtime knows the segment of this invocation, the front door only its own.
const TRACE: HeaderName = HeaderName::from_static("x-amzn-trace-id");

/// Starts the application and serves invocations until the process ends.
///
/// # Errors
/// When the application cannot start, which Lambda is told too, or when the Runtime API fails for good.
pub async fn serve(env: EnvReader, started: Instant) -> anyhow::Result<()> {
    let app = Arc::new(runtime::report_start(app::start(env, started).await).await?);
    flush_on_sigterm(Arc::clone(&app)).await;
    let function = |payload, context| handle(app.router.clone(), payload, context).map_err(Diagnostic::from);
    match runtime::serve(function).await? {}
}

/// Handles one invocation with the router.
///
/// # Errors
/// [`NotHttp`]; every HTTP event gets an HTTP answer.
pub async fn handle(router: Router, payload: Bytes, context: Context) -> Result<impl Serialize, NotHttp> {
    let mut info = RequestInfo::from_lambda(&context.request_id, context.deadline());
    let Received { front_door, caller, request } = event::read(&payload).inspect_err(|_| {
        tracing::error!(request_id = info.request_id, "the payload is not an HTTP event");
    })?;
    drop(payload);
    info.caller = caller.map(Arc::new);
    let mut request = request.unwrap_or_else(|faults| {
        // An empty request that gets its answer, its log line and its metrics as any other.
        info.refused = Some(faults);
        Request::default()
    });
    if let Some(trace) = context.xray_trace_id.and_then(|trace| HeaderValue::try_from(trace).ok()) {
        request.headers_mut().insert(TRACE, trace);
    }
    if front_door == FrontDoor::RestApi {
        // It hands bytes on only where `binaryMediaTypes` names them, and base64 as it is where not.
        request.headers_mut().remove(ACCEPT_ENCODING);
    }
    request.extensions_mut().insert(info);
    match router.oneshot(request.map(Body::from)).await {
        Ok(response) => Ok(FrontDoorResponse::from_response(front_door, response).await),
        Err(never) => match never {},
    }
}

/// Lambda sends SIGTERM only to functions with an extension; the runtime crate registers one that does nothing, and
/// panics where none can be registered, as in hosts that imitate the Runtime API alone. Those get a plain handler.
async fn flush_on_sigterm(app: Arc<App>) {
    let flush = Arc::clone(&app);
    let registered = tokio::spawn(lambda_runtime::spawn_graceful_shutdown_handler(move || async move {
        flush.shut_down(FLUSH).await;
    }));
    if registered.await.is_err() {
        tracing::warn!("no extension could be registered: SIGTERM is handled without one");
        let stop = stop_signal();
        tokio::spawn(async move {
            stop.await;
            app.shut_down(FLUSH).await;
            std::process::exit(0);
        });
    }
}
