//! The API Gateway event, checked before `lambda_http` sees it.
//!
//! `lambda_http` 1.3.2 builds its request with `unwrap` and `expect`: bad base64, a space or a quote in `rawQueryString`,
//! a bad host and a path over 64 KB make it panic, and a line break in a header fails the invocation. Each is a caller's fault
//! here and gets a 400. Only a payload that is not an HTTP event at all fails the invocation: nobody waits for an HTTP response.

use base64::Engine;
use bytes::Bytes;
use http::Uri;
use http::header::HOST;
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use percent_encoding::percent_encode_byte;
use serde::Deserialize;

use crate::request::faults::{FaultKind, Faults};
use crate::request::query::completes_escape;

/// A checked event: `lambda_http` cannot fail on what is left of it.
#[derive(Debug, Default)]
pub(super) struct CheckedEvent {
    /// The event without body and host.
    pub(super) event: ApiGatewayV2httpRequest,
    /// Path and query, each path segment encoded once.
    pub(super) uri: Uri,
    /// The body, decoded.
    pub(super) body: Bytes,
}

/// Why an event is not passed on.
#[derive(Debug)]
pub(super) enum EventError {
    /// An HTTP event that breaks HTTP's rules: the caller gets a response.
    Refused(Faults),
    NotHttp,
}

/// What every event of payload format 2.0 has, unlike other events (REST APIs, queues, Kafka).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Probe {
    request_context: ProbeContext,
}

#[derive(Deserialize)]
struct ProbeContext {
    http: ProbeHttp,
}

#[derive(Deserialize)]
struct ProbeHttp {
    method: serde_json::Value,
}

/// Checks an event.
///
/// # Errors
/// [`EventError`]
pub(super) fn check(payload: &[u8]) -> Result<CheckedEvent, EventError> {
    let mut event: ApiGatewayV2httpRequest = serde_json::from_slice(payload).map_err(|_| why_unreadable(payload))?;
    let stage = event.request_context.stage.as_deref();
    let path = without_stage(event.raw_path.as_deref().unwrap_or_default(), stage);
    let uri = uri(path, event.raw_query_string.as_deref().unwrap_or_default())?;
    check_host(&event)?;
    let body = event.body.take().unwrap_or_default();
    let body = if event.is_base64_encoded { decoded(&body)? } else { Bytes::from(body) };
    // Host and query are only used to build the address, which was done above.
    event.headers.remove(HOST);
    event.request_context.domain_name = None;
    event.raw_path = None;
    event.raw_query_string = None;
    Ok(CheckedEvent { event, uri, body })
}

/// An event that does not parse is either an HTTP event with something wrong in it, or not an HTTP event.
fn why_unreadable(payload: &[u8]) -> EventError {
    match serde_json::from_slice::<Probe>(payload) {
        Ok(probe) if probe.request_context.http.method.is_string() => {
            bad("a header, cookie or other part of the request is malformed, for example because of a line break")
        }
        _ => EventError::NotHttp,
    }
}

fn bad(detail: &str) -> EventError {
    EventError::Refused(Faults::new(FaultKind::Malformed, detail))
}

/// A named stage comes before the path; `$default` does not.
fn without_stage<'a>(path: &'a str, stage: Option<&str>) -> &'a str {
    let Some(stage) = stage.filter(|stage| !stage.is_empty() && *stage != "$default") else { return path };
    match path.strip_prefix('/').and_then(|rest| rest.strip_prefix(stage)) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => rest,
        _ => path,
    }
}

/// Real HTTP APIs send the path decoded, `cargo lambda watch` encoded. What is encoded stays, the rest is encoded,
/// so that a decoded `?` or `#` is part of the path, not its end.
fn uri(path: &str, query: &str) -> Result<Uri, EventError> {
    let path = if path.is_empty() { "/" } else { path };
    if !path.starts_with('/') {
        return Err(bad("the path does not start with `/`"));
    }
    let mut text = String::with_capacity(path.len() + query.len() + 1);
    for (index, part) in path.split('%').enumerate() {
        if index > 0 {
            text.push_str(if completes_escape(part) { "%" } else { "%25" });
        }
        for byte in part.bytes() {
            // RFC 3986, 3.3: what the segments of a path may contain, and the slashes between them.
            match byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&byte) {
                true => text.push(char::from(byte)),
                false => text.push_str(percent_encode_byte(byte)),
            }
        }
    }
    if !query.is_empty() {
        // The rule of the `http` crate, which drops what follows a `#`.
        let allowed = |b: u8| matches!(b, b'!' | b'$'..=b';' | b'=' | b'?'..=b'~');
        if !query.bytes().all(allowed) {
            return Err(bad("the query string has characters that must be percent-encoded"));
        }
        text.push('?');
        text.push_str(query);
    }
    text.parse().map_err(|_| bad("the path and query are too long or malformed"))
}

fn check_host(event: &ApiGatewayV2httpRequest) -> Result<(), EventError> {
    let Some(host) = event.headers.get(HOST) else { return Ok(()) };
    if host.to_str().is_ok_and(is_host) { Ok(()) } else { Err(bad("the header `Host` is malformed")) }
}

/// `name[:port]` or `[IPv6][:port]`.
fn is_host(text: &str) -> bool {
    let (is_name, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => (address.parse::<std::net::Ipv6Addr>().is_ok(), port),
        None => {
            let (name, port) = text.split_at(text.find(':').unwrap_or(text.len()));
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
            (!name.is_empty() && name.bytes().all(plain), port)
        }
    };
    is_name && (port.is_empty() || port.strip_prefix(':').is_some_and(|digits| digits.parse::<u16>().is_ok()))
}

fn decoded(body: &str) -> Result<Bytes, EventError> {
    let bytes = base64::engine::general_purpose::STANDARD.decode(body);
    bytes.map(Bytes::from).map_err(|_| bad("the body is not valid base64, although isBase64Encoded is true"))
}
