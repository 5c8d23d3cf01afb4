//! `GET /openapi.json` and `/openapi` (Strimzi's name): the description of this API, `docs/openapi.json`.

use std::io::Write;
use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderValue};

use crate::api::answer::JSON;

/// Tests build this file from the code (`api::openapi`).
const DOCUMENT: &str = include_str!("../../../../../docs/openapi.json");

/// Compressed once, when it is first asked for; none if memory lacks.
static COMPRESSED: LazyLock<Option<Bytes>> = LazyLock::new(|| {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(DOCUMENT.as_bytes()).ok()?;
    encoder.finish().ok().map(Bytes::from)
});

/// The document, compressed for those who accept it.
pub(crate) async fn document(headers: HeaderMap) -> Response {
    let compressed = COMPRESSED.as_ref().filter(|_| accepts_gzip(&headers));
    let mut response = match compressed {
        Some(bytes) => ([(CONTENT_ENCODING, "gzip")], bytes.clone()).into_response(),
        None => DOCUMENT.into_response(),
    };
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept-encoding"));
    response
}

/// Whether `Accept-Encoding` names gzip, or any coding, with a weight above 0 (RFC 9110, 12.5.3). Without the header every
/// coding would be acceptable; those who do not ask get the document as it is.
pub(super) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let weights = values.flat_map(|value| value.split(',')).map(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        (name, weight.is_none_or(|weight| weight.trim().parse().is_ok_and(|weight: f32| weight > 0.0)))
    });
    let (mut gzip, mut any) = (None, None);
    for (name, accepted) in weights {
        match name.as_str() {
            "gzip" | "x-gzip" => gzip = Some(accepted),
            "*" => any = Some(accepted),
            _ => {}
        }
    }
    gzip.or(any).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_for_those_who_accept_it() {
        let accepts = |values: &[&'static str]| {
            accepts_gzip(&values.iter().map(|value| (ACCEPT_ENCODING, HeaderValue::from_static(value))).collect())
        };
        for values in [&["gzip"][..], &["deflate, GZIP;q=0.5"], &["br", "gzip"], &["*"], &["identity;q=0, *;q=0.1"]] {
            assert!(accepts(values), "{values:?}");
        }
        for values in
            [&[][..], &[""], &["identity"], &["gzip;q=0"], &["gzip; q=0.0, *"], &["*;q=0"], &["gzipped"], &["gzip;q=x"]]
        {
            assert!(!accepts(values), "{values:?}");
        }
    }
}
