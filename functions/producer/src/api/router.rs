//! The routes: one table of paths, methods and handlers.

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get, post};
use http::StatusCode;
use http::header::ALLOW;
use msk_shared::kafka::KafkaPublisher;

use super::middleware::request_layer;
use super::problem::{Problem, ProblemKind};
use super::routes::{health, message, openapi, partitions, records, topics, v3, version};
use super::state::{AppState, Backend};

/// A path, the methods that have a handler, and their handlers. `OPTIONS` is answered everywhere, `HEAD` wherever
/// `GET` is. Path parameters are in braces, as in API Gateway and `cargo lambda watch`.
type Route<B> = (&'static str, &'static [&'static str], MethodRouter<Arc<AppState<B>>>);

fn table<B: Backend>() -> [Route<B>; 15] {
    [
        ("/topics", &["GET"], get(topics::list)),
        ("/topics/{topic}", &["GET", "POST"], get(topics::details).post(records::publish)),
        ("/topics/{topic}/partitions", &["GET"], get(partitions::list)),
        ("/topics/{topic}/partitions/{partition}", &["GET", "POST"], get(partitions::details).post(records::publish)),
        ("/messages", &["POST"], post(message::publish)),
        ("/v3/clusters/{cluster}/topics/{topic}/records", &["POST"], post(v3::records)),
        ("/v3/clusters/{cluster}/topics/{topic}/records:batch", &["POST"], post(v3::batch)),
        ("/healthz", &["GET"], get(health::healthz)),
        ("/readyz", &["GET"], get(health::readyz)),
        // The names of Strimzi's bridge and of Karapace, for probes that are configured already.
        ("/healthy", &["GET"], get(health::healthz)),
        ("/ready", &["GET"], get(health::readyz)),
        ("/_health", &["GET"], get(health::healthz)),
        ("/openapi.json", &["GET"], get(openapi::document)),
        ("/openapi", &["GET"], get(openapi::document)),
        ("/version", &["GET"], get(version::version)),
    ]
}

/// The page for people, which is no part of the API's description.
#[cfg(feature = "docs-page")]
fn pages<B: Backend>() -> [Route<B>; 2] {
    use super::routes::docs_page;
    [("/docs", &["GET"], get(docs_page::page)), ("/docs/rapidoc.js", &["GET"], get(docs_page::viewer))]
}

#[cfg(not(feature = "docs-page"))]
fn pages<B: Backend>() -> [Route<B>; 0] {
    []
}

/// Every path with its methods. The routes of the infrastructure and of the laptop are compared with this.
pub fn paths() -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
    table::<KafkaPublisher>().into_iter().map(|(path, methods, _)| (path, methods))
}

/// The API over any publisher: a pure function of its state.
pub fn router<B: Backend>(state: Arc<AppState<B>>) -> Router {
    let mut router = Router::new();
    for (path, methods, handlers) in table().into_iter().chain(pages()) {
        router = router.route(path, with_other_methods(methods, handlers));
    }
    let no_route =
        async || Problem::new(ProblemKind::RouteNotFound, "no such route; see GET /topics and docs/http-api.md");
    router.fallback(no_route).layer(from_fn_with_state(Arc::clone(&state), request_layer::<B>)).with_state(state)
}

/// Adds `OPTIONS`, and 405 with `Allow` for every other method.
fn with_other_methods<S: Clone + Send + Sync + 'static>(
    methods: &[&'static str],
    handlers: MethodRouter<S>,
) -> MethodRouter<S> {
    let allow = match methods {
        ["GET"] => "GET, HEAD, OPTIONS",
        ["POST"] => "POST, OPTIONS",
        _ => "GET, HEAD, POST, OPTIONS",
    };
    handlers.options(async move || (StatusCode::NO_CONTENT, [(ALLOW, allow)])).fallback(async move || {
        Problem::new(ProblemKind::MethodNotAllowed, format!("this path accepts {allow}")).with_header(ALLOW, allow)
    })
}
