//! `GET /docs`: the API's description as a page, with the cargo feature `docs-page`. Its viewer is `RapiDoc` (`assets/`), and all
//! that it loads comes from here.

use std::io::Read;

use axum::response::{IntoResponse, Response};
use flate2::read::GzDecoder;
use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue};

use super::openapi::accepts_gzip;
use crate::api::problem::{Problem, ProblemKind};

const PAGE: &str = include_str!("../../../assets/docs.html");
const VIEWER: &[u8] = include_bytes!("../../../assets/rapidoc/rapidoc-min.js.gz");

/// The browser keeps the promise as well: scripts, styles and data from here alone. The viewer writes styles into its elements.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; img-src data:; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What both answers have.
fn headers(media_type: &'static str) -> [(HeaderName, HeaderValue); 4] {
    [
        (CONTENT_TYPE, media_type),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
    ]
    .map(|(name, value)| (name, HeaderValue::from_static(value)))
}

/// The page.
pub(crate) async fn page() -> Response {
    (headers("text/html; charset=utf-8"), PAGE).into_response()
}

/// The script that makes it a page.
pub(crate) async fn viewer(request: HeaderMap) -> Result<Response, Problem> {
    let mut response = if accepts_gzip(&request) {
        ([(CONTENT_ENCODING, "gzip")], VIEWER).into_response()
    } else {
        let mut script = Vec::new();
        let broken = |_| Problem::new(ProblemKind::Internal, "the viewer does not decompress");
        GzDecoder::new(VIEWER).read_to_end(&mut script).map_err(broken)?;
        script.into_response()
    };
    let all = response.headers_mut();
    all.extend(headers("text/javascript; charset=utf-8"));
    all.insert(VARY, HeaderValue::from_static("accept-encoding"));
    // It changes with the service's version alone.
    all.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=3600"));
    Ok(response)
}
