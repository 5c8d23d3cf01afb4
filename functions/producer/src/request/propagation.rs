//! What a request adds to each of its records: the trace context and the idempotency key of its HTTP headers, its caller.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use msk_shared::kafka::{Header, OutboundRecord};
use msk_shared::trace_parent::TraceParent;

use super::faults::{FaultKind, Faults};

/// Longest idempotency key in bytes. Keys are UUIDs or hashes; the rest of the 10 KB of headers is left for others.
pub(crate) const MAX_IDEMPOTENCY_KEY_BYTES: usize = 255;

/// The record header that tells who sent a record.
pub(crate) const PRINCIPAL_HEADER: &str = "x-principal";

/// Headers that a request adds to all its records.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct PropagatedHeaders {
    traceparent: Option<Bytes>,
    tracestate: Option<Bytes>,
    baggage: Option<Bytes>,
    idempotency_key: Option<String>,
    principal: Option<Bytes>,
}

impl PropagatedHeaders {
    /// Reads the request's headers. An invalid `traceparent` is ignored, as W3C Trace Context 3.2.2.5 requires, and
    /// `tracestate` with it.
    ///
    /// # Errors
    /// [`FaultKind::Malformed`] for an invalid `Idempotency-Key`.
    pub(crate) fn from_headers(headers: &HeaderMap) -> Result<Self, Faults> {
        let traceparent =
            headers.get("traceparent").filter(|v| TraceParent::parse(v.as_bytes()).is_some()).map(bytes_of);
        let tracestate = traceparent.as_ref().and_then(|_| joined(headers, "tracestate"));
        Ok(Self {
            traceparent,
            tracestate,
            baggage: joined(headers, "baggage"),
            idempotency_key: idempotency_key(headers)?,
            principal: None,
        })
    }

    /// Lets records tell who sent them. No record has this header already: callers cannot set it.
    pub(crate) fn with_principal(self, principal: Option<String>) -> Self {
        Self { principal: principal.map(Bytes::from), ..self }
    }

    /// Adds the headers to the records. A record that has a header with the same name keeps its own.
    pub(crate) fn apply_to(&self, records: &mut [OutboundRecord]) {
        let several = records.len() > 1;
        for (index, record) in records.iter_mut().enumerate() {
            put(record, "traceparent", self.traceparent.as_ref());
            put(record, "tracestate", self.tracestate.as_ref());
            put(record, "baggage", self.baggage.as_ref());
            if let Some(key) = &self.idempotency_key {
                let value = if several { format!("{key}/{index}") } else { key.clone() };
                put(record, "idempotency-key", Some(&Bytes::from(value)));
            }
            put(record, PRINCIPAL_HEADER, self.principal.as_ref());
        }
    }
}

fn put(record: &mut OutboundRecord, name: &str, value: Option<&Bytes>) {
    let Some(value) = value else { return };
    if !record.headers.iter().any(|header| header.name == name) {
        record.headers.push(Header { name: name.to_owned(), value: Some(value.clone()) });
    }
}

/// The trace that a request belongs to: from `traceparent`, otherwise from X-Ray's header.
pub(crate) fn trace_id(headers: &HeaderMap) -> Option<String> {
    if let Some(parent) = headers.get("traceparent").and_then(|value| TraceParent::parse(value.as_bytes())) {
        return Some(parent.trace_id().to_owned());
    }
    let xray = headers.get("x-amzn-trace-id")?.to_str().ok()?;
    let root = xray.split(';').find_map(|part| part.trim().strip_prefix("Root="))?;
    let is_id = root.len() == 35 && root.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    is_id.then(|| root.to_owned())
}

fn bytes_of(value: &HeaderValue) -> Bytes {
    Bytes::copy_from_slice(value.as_bytes())
}

/// A list header: several lines form one list (RFC 9110, 5.3).
fn joined(headers: &HeaderMap, name: &str) -> Option<Bytes> {
    let lines: Vec<&[u8]> = headers.get_all(name).iter().map(HeaderValue::as_bytes).filter(|v| !v.is_empty()).collect();
    if lines.is_empty() { None } else { Some(Bytes::from(lines.join(&b","[..]))) }
}

/// `Idempotency-Key` as the draft writes it, a quoted string (draft-ietf-httpapi-idempotency-key-header-07), or bare, as
/// most clients send it.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Faults> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else { return Ok(None) };
    let fault = |detail: &str| Faults::at(FaultKind::Malformed, "Idempotency-Key", detail);
    if values.next().is_some() {
        return Err(fault("appears more than once; send it once"));
    }
    let text = value.to_str().map_err(|_| fault("has characters other than visible ASCII"))?.trim();
    let quoted = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let key = quoted.unwrap_or(text);
    if key.is_empty() || key.len() > MAX_IDEMPOTENCY_KEY_BYTES {
        let length = key.len();
        return Err(fault(&format!("has {length} bytes; it must have 1 to {MAX_IDEMPOTENCY_KEY_BYTES}")));
    }
    // API Gateway joins repeated headers with commas.
    if key.contains(['"', '\\']) || (quoted.is_none() && key.contains(',')) {
        return Err(fault("is neither a quoted string nor a plain token; send one key"));
    }
    Ok(Some(key.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use msk_shared::names::TopicName;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (http::HeaderName::from_static(n), v.parse().unwrap())).collect()
    }

    fn names_and_values(propagated: &PropagatedHeaders, count: usize) -> Vec<Vec<(String, String)>> {
        let record = OutboundRecord {
            topic: TopicName::parse("t").unwrap(),
            partition: None,
            key: None,
            value: None,
            timestamp_ms: None,
            headers: Vec::new(),
        };
        let mut records = vec![record; count];
        propagated.apply_to(&mut records);
        let text = |h: &Header| (h.name.clone(), String::from_utf8(h.value.clone().unwrap().to_vec()).unwrap());
        records.iter().map(|r| r.headers.iter().map(text).collect()).collect()
    }

    #[test]
    fn trace_and_idempotency_key_go_onto_every_record() {
        let headers = headers(&[
            ("traceparent", PARENT),
            ("tracestate", "a=1"),
            ("baggage", "user=7"),
            ("idempotency-key", "\"k-1\""),
        ]);
        let propagated = PropagatedHeaders::from_headers(&headers).unwrap();
        let pair = |n: &str, v: &str| (n.to_owned(), v.to_owned());
        let trace = [pair("traceparent", PARENT), pair("tracestate", "a=1"), pair("baggage", "user=7")];
        assert_eq!(names_and_values(&propagated, 1), [[&trace[..], &[pair("idempotency-key", "k-1")]].concat()]);
        let two = names_and_values(&propagated, 2);
        assert_eq!(two[0].last(), Some(&pair("idempotency-key", "k-1/0")));
        assert_eq!(two[1].last(), Some(&pair("idempotency-key", "k-1/1")));
    }

    #[test]
    fn an_invalid_traceparent_is_ignored_with_its_state() {
        let zero = "00-00000000000000000000000000000000-b7ad6b7169203331-01";
        let upper = PARENT.to_uppercase();
        let twice = format!("{PARENT},{PARENT}");
        for value in ["", "00", zero, &upper, &twice, "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"] {
            let headers = headers(&[("traceparent", value), ("tracestate", "a=1"), ("baggage", "b=2")]);
            let propagated = PropagatedHeaders::from_headers(&headers).unwrap();
            assert_eq!(names_and_values(&propagated, 1), [[("baggage".to_owned(), "b=2".to_owned())]], "{value}");
            assert_eq!(trace_id(&headers), None);
        }
    }

    #[test]
    fn the_trace_id_comes_from_traceparent_or_from_x_ray() {
        assert_eq!(trace_id(&headers(&[("traceparent", PARENT)])).as_deref(), Some("0af7651916cd43dd8448eb211c80319c"));
        let root = "1-67891233-abcdef012345678912345678";
        let xray = format!("Root={root};Parent=463ac35c9f6413ad;Sampled=1");
        assert_eq!(trace_id(&headers(&[("x-amzn-trace-id", &xray)])).as_deref(), Some(root));
        assert_eq!(trace_id(&headers(&[("x-amzn-trace-id", "Root=<script>")])), None);
    }

    #[test]
    fn an_invalid_idempotency_key_is_refused() {
        let long = "k".repeat(256);
        for value in ["", "\"\"", "a,b", "a\"b", "\"a\\b\"", &long] {
            let result = PropagatedHeaders::from_headers(&headers(&[("idempotency-key", value)]));
            assert_eq!(result.map_err(|faults| faults.kind), Err(FaultKind::Malformed), "{value}");
        }
        let longest = "k".repeat(255);
        for value in ["8e03978e-40d5-43dd-bc93-6894a57f9324", "\"a, b\"", &longest] {
            assert!(PropagatedHeaders::from_headers(&headers(&[("idempotency-key", value)])).is_ok(), "{value}");
        }
    }
}
