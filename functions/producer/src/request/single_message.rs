//! Bodies that are values themselves: key, partition, timestamp and record headers are sent as HTTP headers.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use msk_shared::kafka::Header;

use super::draft::Draft;
use super::faults::{FaultKind, Faults};
use super::json::{JsonType, Parsed, Reader};
use super::record_fields::{TIMESTAMP_RULE, header_name_fault, rfc3339_ms};
use crate::format::ValueFormat;

/// Reads a body that is one JSON value. `null` is a tombstone, as in Kafka REST v2's JSON format.
///
/// # Errors
/// [`super::json::SyntaxError`]
pub(crate) fn value(body: &Bytes) -> Parsed<Option<Bytes>> {
    let mut reader = Reader::new(body)?;
    let is_null = reader.peek()? == JsonType::Null;
    let value = reader.compact()?;
    reader.end()?;
    Ok(if is_null { None } else { Some(value) })
}

/// The record's other fields, from `Kafka-Key`, `Kafka-Partition`, `Kafka-Timestamp` and `Kafka-Header-<name>`.
///
/// # Errors
/// [`FaultKind::Malformed`] for a header that does not decode, [`FaultKind::Invalid`] for a reserved record header.
pub(crate) fn fields(headers: &HeaderMap, value_format: ValueFormat) -> Result<Draft, Faults> {
    let mut draft = Draft { value_format: Some(value_format), ..Draft::default() };
    draft.key = text(headers, "Kafka-Key")?.map(Bytes::from);
    if let Some(text) = text(headers, "Kafka-Partition")? {
        let number = text.trim().parse().ok().filter(|number: &i32| *number >= 0);
        let rule = || Faults::at(FaultKind::Malformed, "Kafka-Partition", "must be a whole number from 0");
        draft.partition = Some(number.ok_or_else(rule)?);
    }
    if let Some(text) = text(headers, "Kafka-Timestamp")? {
        let ms = text.trim().parse().ok().filter(|ms: &i64| *ms >= 1).or_else(|| rfc3339_ms(text.trim()));
        draft.timestamp_ms =
            Some(ms.ok_or_else(|| Faults::at(FaultKind::Malformed, "Kafka-Timestamp", TIMESTAMP_RULE))?);
    }
    for (name, value) in headers {
        if let Some(name) = name.as_str().strip_prefix("kafka-header-") {
            draft.headers.push(record_header(name, value)?);
        }
    }
    Ok(draft)
}

fn record_header(name: &str, value: &HeaderValue) -> Result<Header, Faults> {
    if let Some(reason) = header_name_fault(name) {
        return Err(Faults::at(FaultKind::Invalid, format!("Kafka-Header-{name}"), reason));
    }
    let value = utf8(value, &format!("Kafka-Header-{name}"))?;
    Ok(Header { name: name.to_owned(), value: Some(Bytes::from(value)) })
}

fn text(headers: &HeaderMap, name: &str) -> Result<Option<String>, Faults> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Faults::at(FaultKind::Malformed, name, "appears more than once; send it once"));
    }
    utf8(value, name).map(Some)
}

fn utf8(value: &HeaderValue, name: &str) -> Result<String, Faults> {
    String::from_utf8(value.as_bytes().to_vec()).map_err(|_| Faults::at(FaultKind::Malformed, name, "is not UTF-8"))
}
