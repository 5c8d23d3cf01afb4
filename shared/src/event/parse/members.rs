//! Parses single members of a record from their JSON text.

use std::fmt;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{Deserializer, Visitor};
use serde_json::value::RawValue;

use crate::event::record::{Field, Headers, SchemaMetadata, TimestampType};

pub(super) fn timestamp_type(raw: &RawValue) -> TimestampType {
    match plain_text(raw) {
        Some("LOG_APPEND_TIME") => TimestampType::LogAppendTime,
        Some("NO_TIMESTAMP_TYPE") => TimestampType::NoTimestamp,
        _ => TimestampType::CreateTime,
    }
}

pub(super) fn field(source: &Bytes, raw: &RawValue) -> Field {
    let json = raw.get();
    match json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) => Field::Base64(slice(source, inner)),
        None if json == "null" => Field::Null,
        None => Field::Odd(slice(source, json)),
    }
}

pub(super) fn unparsed_headers(source: &Bytes, raw: &RawValue) -> Headers {
    match raw.get() {
        "null" | "[]" => Headers::default(),
        json => Headers { text: slice(source, json), ..Headers::default() },
    }
}

/// The slice of `source` that `text` refers to; a copy if it is not part of `source`.
fn slice(source: &Bytes, text: &str) -> Bytes {
    let start = (text.as_ptr() as usize).wrapping_sub(source.as_ptr() as usize);
    match start.checked_add(text.len()) {
        Some(end) if end <= source.len() => source.slice(start..end),
        _ => Bytes::copy_from_slice(text.as_bytes()),
    }
}

/// The text of a JSON string without escapes.
pub(super) fn plain_text(raw: &RawValue) -> Option<&str> {
    raw.get().strip_prefix('"')?.strip_suffix('"').filter(|inner| !inner.contains('\\'))
}

pub(super) fn text(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}

/// A whole number, also as text (`"15"`) or with a fraction of zero.
pub(super) fn number(raw: &RawValue) -> Option<i64> {
    /// Above this, a float cannot represent every whole number.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let json = raw.get().trim_matches('"');
    json.parse().ok().or_else(|| {
        let float: f64 = json.parse().ok()?;
        (float.fract() == 0.0 && float.abs() <= EXACT).then_some(float as i64)
    })
}

pub(super) fn schema(raw: &RawValue) -> Option<Box<SchemaMetadata>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Members<'a> {
        #[serde(borrow)]
        data_format: &'a RawValue,
        #[serde(borrow)]
        schema_id: &'a RawValue,
    }

    let members: Members<'_> = serde_json::from_str(raw.get()).ok()?;
    let schema_id = text(members.schema_id).or_else(|| number(members.schema_id).map(|id| id.to_string()))?;
    Some(Box::new(SchemaMetadata { data_format: text(members.data_format)?, schema_id }))
}

/// Reads a member's name without allocating, escaped or not.
pub(super) fn member_name<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    parse: impl FnOnce(&str) -> T,
) -> Result<T, D::Error> {
    struct Name<F>(F);

    impl<T, F: FnOnce(&str) -> T> Visitor<'_> for Name<F> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a member name")
        }

        fn visit_str<E>(self, name: &str) -> Result<T, E> {
            Ok((self.0)(name))
        }
    }

    deserializer.deserialize_str(Name(parse))
}
