//! The simple way: the body is one record's value; key, partition, timestamp and headers come as HTTP headers.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use msk_shared::kafka::Header;

use super::envelope::Draft;
use super::fields::{TIMESTAMP_RULE, header_name_fault, rfc3339_ms};
use super::json::{Kind as Json, Reader, SyntaxError};
use super::media::Format;
use crate::problem::{FieldError, Kind, Problem};

/// Reads a body that is one JSON value. `null` is a tombstone, as in the v2 family's JSON format.
///
/// # Errors
/// [`SyntaxError`]
pub(crate) fn value(body: &Bytes) -> Result<Option<Bytes>, SyntaxError> {
    let mut reader = Reader::new(body)?;
    let is_null = reader.peek()? == Json::Null;
    let value = reader.compact()?;
    reader.end()?;
    Ok(if is_null { None } else { Some(value) })
}

/// The record's other fields, from `Kafka-Key`, `Kafka-Partition`, `Kafka-Timestamp` and `Kafka-Header-<name>`.
///
/// # Errors
/// 400 for a header that does not decode, 422 for a reserved record header.
pub(crate) fn fields(headers: &HeaderMap) -> Result<Draft, Problem> {
    let mut draft = Draft { value_format: Some(Format::Json), ..Draft::default() };
    draft.key = text(headers, "Kafka-Key")?.map(Bytes::from);
    if let Some(text) = text(headers, "Kafka-Partition")? {
        let number = text.trim().parse().ok().filter(|number: &i32| *number >= 0);
        let rule = || fault(Kind::Malformed, "Kafka-Partition", "must be a whole number from 0");
        draft.partition = Some(number.ok_or_else(rule)?);
    }
    if let Some(text) = text(headers, "Kafka-Timestamp")? {
        let ms = text.trim().parse().ok().filter(|ms: &i64| *ms >= 1).or_else(|| rfc3339_ms(text.trim()));
        draft.timestamp_ms = Some(ms.ok_or_else(|| fault(Kind::Malformed, "Kafka-Timestamp", TIMESTAMP_RULE))?);
    }
    for (name, value) in headers {
        if let Some(name) = name.as_str().strip_prefix("kafka-header-") {
            draft.headers.push(record_header(name, value)?);
        }
    }
    Ok(draft)
}

fn record_header(name: &str, value: &HeaderValue) -> Result<Header, Problem> {
    if let Some(reason) = header_name_fault(name) {
        return Err(fault(Kind::Invalid, &format!("Kafka-Header-{name}"), reason));
    }
    let value = utf8(value, &format!("Kafka-Header-{name}"))?;
    Ok(Header { name: name.to_owned(), value: Some(Bytes::from(value)) })
}

fn text(headers: &HeaderMap, name: &str) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(fault(Kind::Malformed, name, "is there more than once; send one"));
    }
    utf8(value, name).map(Some)
}

fn utf8(value: &HeaderValue, name: &str) -> Result<String, Problem> {
    String::from_utf8(value.as_bytes().to_vec()).map_err(|_| fault(Kind::Malformed, name, "is not UTF-8"))
}

fn fault(kind: Kind, header: &str, detail: &str) -> Problem {
    let error = FieldError { pointer: header.to_owned(), detail: detail.to_owned() };
    Problem::new(kind, format!("{header}: {detail}")).with_errors(vec![error])
}
