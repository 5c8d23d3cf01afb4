//! What every request passes through on its way in and out.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::Method;
use http::header::{HeaderName, HeaderValue};
use tracing::Instrument;

use super::problem::{Problem, ProblemKind, media_type_for};
use super::published::Published;
use super::request_info::RequestInfo;
use super::state::{AppState, Backend};
use crate::request::propagation::trace_id;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Around every request: its id, its span, its log line, its metrics, and the one place where problems become documents.
pub(super) async fn request_layer<B: Backend>(
    State(state): State<Arc<AppState<B>>>,
    mut request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let mut info = request.extensions_mut().remove().unwrap_or_else(RequestInfo::for_plain_http);
    info.trace_id = trace_id(request.headers());
    let refused = info.refused.take();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let problem_type = media_type_for(request.headers(), state.config.compatibility);
    request.extensions_mut().insert(info.clone());
    let span = tracing::info_span!("request", request_id = info.request_id);
    async move {
        let handled = async {
            match refused {
                Some(faults) => Problem::from(faults).into_response(),
                None => next.run(request).await,
            }
        };
        // A panic is a fault of this program; the caller still gets a response in the API's format.
        let handled = AssertUnwindSafe(handled).catch_unwind().await;
        let mut response = handled.unwrap_or_else(|_| panicked(&method).into_response());
        let published = response.extensions_mut().remove::<Published>();
        let mut response = render_problem(response, &method, &info, problem_type);
        if let Ok(id) = HeaderValue::from_str(&info.request_id) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        state.metrics.note(&info.request_id, &method, published, state.backend.stats());
        log(&method, route.as_ref(), &response, published, started);
        response
    }
    .instrument(span)
    .await
}

fn panicked(method: &Method) -> Problem {
    let detail = "internal error; the service's log has the details under this request id";
    let problem = Problem::new(ProblemKind::Internal, detail);
    // How far a write request had progressed is lost with the panic.
    if method == Method::POST { problem.possibly_persisted() } else { problem }
}

/// Turns a handler's problem into its document, which needs the request's id and what the caller accepts.
fn render_problem(mut response: Response, method: &Method, info: &RequestInfo, media_type: &'static str) -> Response {
    let Some(problem) = response.extensions_mut().remove::<Arc<Problem>>() else { return response };
    let mut response = problem.render(&info.request_id, info.trace_id.as_deref(), media_type);
    if method == Method::HEAD {
        *response.body_mut() = axum::body::Body::empty();
    }
    response
}

/// A method as shown in the log: an unknown one would be the caller's text, of any length.
fn method_name(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = ["GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "CONNECT", "TRACE"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}

/// One line per request: what was requested and how long it took, never bodies, keys or paths, which are the caller's text.
fn log(
    method: &Method,
    route: Option<&MatchedPath>,
    response: &Response,
    published: Option<Published>,
    started: Instant,
) {
    let Published { records, failed, bytes, error_code, .. } = published.unwrap_or_default();
    tracing::info!(
        method = method_name(method),
        route = route.map_or("none", MatchedPath::as_str),
        status = response.status().as_u16(),
        records,
        failed,
        bytes,
        error_code,
        duration_ms = (started.elapsed().as_secs_f64() * 100_000.0).round() / 100.0,
        "request"
    );
}
