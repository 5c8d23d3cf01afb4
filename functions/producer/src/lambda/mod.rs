//! The producer as a Lambda function: API Gateway event in, answer out.

mod event;
#[cfg(test)]
mod event_tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use futures_util::TryFutureExt;
use lambda_http::request::LambdaRequest;
use lambda_http::{Adapter, Service};
use lambda_runtime::{Context, Diagnostic, LambdaEvent};
use msk_shared::env::EnvReader;
use msk_shared::runtime;
use serde::Serialize;
use tower::ServiceExt;

use crate::api::request_info::RequestInfo;
use crate::app::{self, App};
use crate::http_server::stop_signal;
use event::{CheckedEvent, EventError};

/// Lambda kills the process 500 ms after SIGTERM when only an internal extension is registered.
const FLUSH: Duration = Duration::from_millis(400);

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

/// The payload is not an HTTP event: nobody waits for an HTTP answer, so the invocation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the payload is not an API Gateway HTTP event (payload format 2.0); invoke this function through its HTTP API")]
pub struct NotHttp;

impl From<NotHttp> for Diagnostic {
    fn from(error: NotHttp) -> Self {
        Self { error_type: "NotAnHttpEvent".to_owned(), error_message: error.to_string() }
    }
}

/// Handles one invocation with the router.
///
/// # Errors
/// [`NotHttp`]; every HTTP event gets an HTTP answer.
pub async fn handle(router: Router, payload: Bytes, context: Context) -> Result<impl Serialize, NotHttp> {
    let mut info = RequestInfo::from_lambda(&context.request_id, context.deadline());
    let CheckedEvent { event, uri, body } = match event::check(&payload) {
        Ok(checked) => checked,
        // An empty request that gets its answer, its log line and its metrics as any other.
        Err(EventError::Refused(faults)) => {
            info.refused = Some(faults);
            CheckedEvent::default()
        }
        Err(EventError::NotHttp) => {
            tracing::error!(request_id = info.request_id, "the payload is not an HTTP event");
            return Err(NotHttp);
        }
    };
    drop(payload);
    let service = lambda_http::service_fn(move |mut request: lambda_http::Request| {
        // `lambda_http` has made headers, method and request context of the event; address and body are the checked ones.
        *request.uri_mut() = uri.clone();
        request.extensions_mut().insert(info.clone());
        router.clone().oneshot(request.map(|_| Body::from(body.clone())))
    });
    let event = LambdaEvent::new(LambdaRequest::ApiGatewayV2(event), context);
    match Adapter::from(service).call(event).await {
        Ok(answer) => Ok(answer),
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
