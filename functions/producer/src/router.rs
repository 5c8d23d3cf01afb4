//! The routes, and what every request goes through on its way in and out.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use futures_util::FutureExt;
use http::header::{ALLOW, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use tracing::Instrument;

use crate::app::{App, Backend};
use crate::context::{Invocation, RequestInfo};
use crate::event_guard::Refused;
use crate::metrics::Published;
use crate::problem::{Kind, Problem};
use crate::routes::{health, messages, publish, topics, version};

/// A route as the outside knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The path, parameters in braces, as API Gateway and `cargo lambda watch` write them too.
    pub path: &'static str,
    /// Methods with a meaning of their own. `OPTIONS` is answered everywhere, `HEAD` wherever `GET` is.
    pub methods: &'static [&'static str],
}

const READ: &[&str] = &["GET"];
const WRITE: &[&str] = &["POST"];
const READ_AND_WRITE: &[&str] = &["GET", "POST"];

/// Every route. The infrastructure's routes and the laptop's are compared with it.
pub const ROUTES: &[Route] = &[
    Route { path: "/topics", methods: READ },
    Route { path: "/topics/{topic}", methods: READ_AND_WRITE },
    Route { path: "/topics/{topic}/partitions/{partition}", methods: WRITE },
    Route { path: "/messages", methods: WRITE },
    Route { path: "/healthz", methods: READ },
    Route { path: "/readyz", methods: READ },
    Route { path: "/version", methods: READ },
];

/// The API over any publisher: a pure function of its state.
pub fn app<B: Backend>(app: Arc<App<B>>) -> Router {
    let mut router = Router::new();
    for route in ROUTES {
        router = router.route(route.path, with_rest(route, handler(route.path)));
    }
    router
        .fallback(async || Problem::new(Kind::RouteNotFound, "no such route; see GET /topics and docs/http-api.md"))
        .layer(from_fn_with_state(Arc::clone(&app), around::<B>))
        .with_state(app)
}

/// The handlers of one path of [`ROUTES`]; a path without one answers 404, which a test would notice.
fn handler<B: Backend>(path: &str) -> MethodRouter<Arc<App<B>>> {
    match path {
        "/topics" => get(topics::list),
        "/topics/{topic}" => get(topics::details).post(publish::to_topic),
        "/topics/{topic}/partitions/{partition}" => post(publish::to_partition),
        "/messages" => post(messages::publish),
        "/healthz" => get(health::healthz),
        "/readyz" => get(health::readyz),
        "/version" => get(version::version),
        _ => MethodRouter::new(),
    }
}

/// Adds `OPTIONS`, and 405 with `Allow` for every other method.
fn with_rest<S: Clone + Send + Sync + 'static>(route: &Route, handlers: MethodRouter<S>) -> MethodRouter<S> {
    let allow = match route.methods {
        methods if methods == READ => "GET, HEAD, OPTIONS",
        methods if methods == WRITE => "POST, OPTIONS",
        _ => "GET, HEAD, POST, OPTIONS",
    };
    handlers.options(async move || (StatusCode::NO_CONTENT, [(ALLOW, allow)])).fallback(async move || {
        Problem::new(Kind::MethodNotAllowed, format!("this path takes {allow}")).with_header(ALLOW, allow)
    })
}

/// Around every request: its id, its span, its log line, its metrics, and the one place where problems become documents.
async fn around<B: Backend>(State(app): State<Arc<App<B>>>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let invocation = request.extensions_mut().remove::<Invocation>().unwrap_or_else(Invocation::plain);
    let info = RequestInfo::new(invocation, request.headers());
    let head = Head::of(&request);
    request.extensions_mut().insert(info.clone());
    let span = tracing::info_span!("request", request_id = info.request_id);
    async move {
        // A panic is a fault of this program; the caller still gets an answer in the API's form.
        let refused = request.extensions_mut().remove::<Refused>();
        let handled = async {
            match refused {
                Some(Refused(problem)) => problem.into_response(),
                None => next.run(request).await,
            }
        };
        let response = AssertUnwindSafe(handled).catch_unwind().await.unwrap_or_else(|_| {
            let problem = Problem::new(Kind::Internal, "a fault of this service; its log has the place");
            // How far a request to write had come is lost with the panic.
            let may_have_written = head.method == Method::POST;
            if may_have_written { problem.perhaps_written() } else { problem }.into_response()
        });
        let response = finish(response, &head, &info);
        let published = response.extensions().get::<Published>().copied();
        app.metrics.line(&info.request_id, &head.method, published, app.backend.stats()).emit();
        log(&head, &response, published, started);
        response
    }
    .instrument(span)
    .await
}

/// What of a request is needed once it is gone.
struct Head {
    method: Method,
    route: Option<MatchedPath>,
    headers: HeaderMap,
}

impl Head {
    fn of(request: &Request) -> Self {
        let accept = request.headers().get_all(http::header::ACCEPT).iter();
        Self {
            method: request.method().clone(),
            route: request.extensions().get::<MatchedPath>().cloned(),
            headers: accept.map(|value| (http::header::ACCEPT, value.clone())).collect(),
        }
    }
}

/// Renders a problem, and puts the request's id on every answer.
fn finish(mut response: Response, head: &Head, info: &RequestInfo) -> Response {
    if let Some(problem) = response.extensions_mut().remove::<Arc<Problem>>() {
        let published = response.extensions_mut().remove::<Published>();
        response = problem.render(&info.request_id, info.trace_id.as_deref(), &head.headers);
        if head.method == Method::HEAD {
            *response.body_mut() = axum::body::Body::empty();
        }
        response.extensions_mut().extend(published.map(single).unwrap_or_default());
    }
    if let Ok(id) = HeaderValue::from_str(&info.request_id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

fn single(published: Published) -> http::Extensions {
    let mut extensions = http::Extensions::new();
    extensions.insert(published);
    extensions
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A method as the log shows it: any other is the caller's text, of any length.
fn method_name(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = ["GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "CONNECT", "TRACE"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}

/// One line per request: what and how long, never bodies, keys or paths, which are the caller's text.
fn log(head: &Head, response: &Response, published: Option<Published>, started: Instant) {
    let done = published.unwrap_or_default();
    let duration_ms = (started.elapsed().as_secs_f64() * 100_000.0).round() / 100.0;
    tracing::info!(
        method = method_name(&head.method),
        route = head.route.as_ref().map_or("none", MatchedPath::as_str),
        status = response.status().as_u16(),
        records = done.records,
        failed = done.failed,
        bytes = done.bytes,
        error_code = done.error_code,
        duration_ms,
        "request"
    );
}
