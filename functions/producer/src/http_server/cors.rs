//! Lets web pages of some origins read the API's answers, and answers the question that browsers ask before they send
//! (WHATWG Fetch, "CORS protocol"). It protects nobody's data: a request from elsewhere is served all the same.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ALLOW, HeaderValue, ORIGIN, VARY,
};
use http::{HeaderMap, Method};

use super::settings::CorsOrigin;

/// Headers that a page may read besides those that it always may.
const EXPOSED: HeaderValue =
    HeaderValue::from_static("x-request-id, retry-after, allow, accept-post, idempotency-replayed");
/// How long a browser may rely on the answer: as long as Chromium keeps it at most.
const MAX_AGE_S: HeaderValue = HeaderValue::from_static("7200");

/// Adds what browsers look for to an answer. The answer itself is the API's: a path that does not exist stays a 404.
pub(super) async fn cors_layer(State(origins): State<Arc<[CorsOrigin]>>, request: Request, next: Next) -> Response {
    let origin = request.headers().get(ORIGIN).cloned();
    let is_preflight =
        request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let asked = request.headers().get(ACCESS_CONTROL_REQUEST_HEADERS).filter(|_| is_preflight).cloned();
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let is_any = origins.iter().any(CorsOrigin::is_any);
    if !is_any {
        // A cache must not give one origin's answer to another.
        headers.append(VARY, HeaderValue::from_static("origin"));
    }
    let listed = || origin.filter(|origin| origins.iter().any(|listed| listed.value() == origin));
    let Some(allowed) = (if is_any { Some(HeaderValue::from_static("*")) } else { listed() }) else { return response };
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
    if is_preflight {
        allow_request(headers, asked);
    } else {
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }
    response
}

/// The answer to a preflight: the methods of the path, and every header that is asked for, as `Kafka-Header-<name>` may have any name.
fn allow_request(headers: &mut HeaderMap, asked: Option<HeaderValue>) {
    if let Some(methods) = headers.get(ALLOW).cloned() {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
    }
    if let Some(asked) = asked {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked);
    }
    headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE_S);
}
