//! Path and query of a request from what the front doors make of them.
//!
//! HTTP APIs decode a path, all others pass it on as it was sent, as does `cargo lambda watch`. Load balancers pass parameters
//! on as they were sent ("Multi-value headers" in AWS's page on Lambda targets), REST APIs decode them.

use std::borrow::Cow;

use http::Uri;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, percent_encode_byte, utf8_percent_encode};

use super::pairs::Pairs;
use crate::request::query::completes_escape;

/// The path without its stage: a named stage comes before the path, `$default` does not.
pub(super) fn without_stage<'a>(path: &'a str, stage: &str) -> &'a str {
    if stage.is_empty() || stage == "$default" {
        return path;
    }
    match path.strip_prefix('/').and_then(|rest| rest.strip_prefix(stage)) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => rest,
        _ => path,
    }
}

/// The path as the API itself has it, in payload format 1.0. Behind a custom domain, the domain's base path, the stage or
/// both stand before it, and nothing in the event says which: `resource` does, such as `/{proxy+}`, with its parameters.
/// A path that does not end as `resource` says stays as it is.
pub(super) fn without_base_path<'a>(path: &'a str, resource: &str, parameters: &Pairs<'_>) -> &'a str {
    let Some(own) = filled(resource, parameters) else { return path };
    let whole: Vec<u8> = percent_decode_str(path).collect();
    let own: Vec<u8> = percent_decode_str(&own).collect();
    let Some(base) = whole.strip_suffix(own.as_slice()) else { return path };
    let mut at = 0;
    for _ in base {
        let is_escape = path.as_bytes().get(at) == Some(&b'%') && path.get(at + 1..).is_some_and(completes_escape);
        at += if is_escape { 3 } else { 1 };
    }
    path.get(at..).filter(|rest| rest.starts_with('/')).unwrap_or(path)
}

/// A resource with its parameters in place of their names; `None` when one is missing, or it is no path (`$default`).
fn filled(resource: &str, parameters: &Pairs<'_>) -> Option<String> {
    let segments = resource.strip_prefix('/')?.split('/').map(|segment| {
        let Some(name) = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
            return Some(segment);
        };
        let name = name.strip_suffix('+').unwrap_or(name);
        parameters.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_ref())
    });
    segments.map(|segment| Some(format!("/{}", segment?))).collect()
}

/// A query of parameters that the front door has decoded.
pub(super) fn encoded_query(parameters: &Pairs<'_>) -> String {
    query(parameters, |text| utf8_percent_encode(text, NON_ALPHANUMERIC).into())
}

/// A query of parameters that are encoded as they were sent.
pub(super) fn raw_query(parameters: &Pairs<'_>) -> String {
    query(parameters, Cow::Borrowed)
}

fn query<'a>(parameters: &'a Pairs<'_>, written: impl Fn(&'a str) -> Cow<'a, str>) -> String {
    let pairs = parameters.0.iter().map(|(name, value)| format!("{}={}", written(name), written(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// What of the path is encoded stays, the rest is encoded, so that a decoded `?` or `#` is part of the path, not its end.
///
/// # Errors
/// What is wrong with it.
pub(super) fn uri(path: &str, query: &str) -> Result<Uri, &'static str> {
    let path = if path.is_empty() { "/" } else { path };
    if !path.starts_with('/') {
        return Err("the path does not start with `/`");
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
            return Err("the query string has characters that must be percent-encoded");
        }
        text.push('?');
        text.push_str(query);
    }
    text.parse().map_err(|_| "the path and query are too long or malformed")
}

/// Whether this is `name[:port]` or `[IPv6][:port]`.
pub(super) fn is_host(text: &str) -> bool {
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
