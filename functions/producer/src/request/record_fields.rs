//! The single fields of a record: keys and values in their format, partitions, timestamps, headers.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use msk_shared::kafka::Header;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::faults::{FaultCollector, FaultKind};
use super::json::{JsonType, Reader, SyntaxError};
use crate::format::Format;

/// Standard base64, with or without its padding: clients of Kafka REST v2 send both.
pub(crate) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Header names that only this system may set: they say who wrote a record and why it is a dead letter.
fn is_reserved(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name == "x-principal" || name.starts_with("x-dlq-")
}

/// A key or value in its format: `None` is null. A fault is noted and gives `None` too.
pub(crate) fn key_or_value(
    reader: &mut Reader<'_>,
    format: Format,
    faults: &mut FaultCollector,
    pointer: impl Fn() -> String,
) -> Result<Option<Bytes>, SyntaxError> {
    let json_type = reader.peek()?;
    match (json_type, format) {
        (JsonType::Null, _) => {
            reader.skip()?;
            Ok(None)
        }
        (_, Format::Json) => reader.compact().map(Some),
        (JsonType::String, Format::Text) => reader.string_bytes().map(Some),
        (JsonType::String, Format::Binary) => {
            let text = reader.string()?;
            let bytes = BASE64.decode(text.as_bytes());
            if bytes.is_err() {
                faults.note(FaultKind::Malformed, pointer(), "not valid base64 (standard alphabet)");
            }
            Ok(bytes.ok().map(Bytes::from))
        }
        (json_type, format) => {
            reader.skip()?;
            let expected = if format == Format::Binary { "a base64 string" } else { "a string" };
            faults.note(FaultKind::Invalid, pointer(), format!("must be {expected} or null, not {}", json_type.name()));
            Ok(None)
        }
    }
}

/// A partition number; null leaves the choice to the key.
pub(crate) fn partition(
    reader: &mut Reader<'_>,
    faults: &mut FaultCollector,
    pointer: impl Fn() -> String,
) -> Result<Option<i32>, SyntaxError> {
    let text = match reader.peek()? {
        JsonType::Number => reader.number()?,
        JsonType::Null => {
            reader.skip()?;
            return Ok(None);
        }
        json_type => {
            reader.skip()?;
            faults.note(
                FaultKind::Invalid,
                pointer(),
                format!("must be a whole number from 0, not {}", json_type.name()),
            );
            return Ok(None);
        }
    };
    match text.parse::<i32>() {
        Ok(number) if number >= 0 => Ok(Some(number)),
        _ => {
            faults.note(FaultKind::Invalid, pointer(), format!("must be a whole number from 0 to {}", i32::MAX));
            Ok(None)
        }
    }
}

/// A timestamp in milliseconds since the epoch, or as RFC 3339; null means now.
pub(crate) fn timestamp(
    reader: &mut Reader<'_>,
    faults: &mut FaultCollector,
    pointer: impl Fn() -> String,
) -> Result<Option<i64>, SyntaxError> {
    let parsed = match reader.peek()? {
        JsonType::Null => {
            reader.skip()?;
            return Ok(None);
        }
        JsonType::Number => reader.number()?.parse::<i64>().ok().filter(|ms| *ms >= 1),
        JsonType::String => rfc3339_ms(&reader.string()?),
        _ => {
            reader.skip()?;
            None
        }
    };
    if parsed.is_none() {
        faults.note(FaultKind::Invalid, pointer(), TIMESTAMP_RULE);
    }
    Ok(parsed)
}

/// What a timestamp may be. Kafka's 0 and negative numbers mean "none" or "now" on the way.
pub(crate) const TIMESTAMP_RULE: &str =
    "must be milliseconds since 1970-01-01T00:00:00Z, at least 1, or an RFC 3339 time";

/// RFC 3339 text as milliseconds since the epoch; finer fractions are cut off.
pub(crate) fn rfc3339_ms(text: &str) -> Option<i64> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok().filter(|ms| *ms >= 1)
}

/// The list of a record's headers; null means no headers.
pub(crate) fn headers(
    reader: &mut Reader<'_>,
    faults: &mut FaultCollector,
    pointer: impl Fn() -> String,
) -> Result<Vec<Header>, SyntaxError> {
    let mut headers = Vec::new();
    match reader.peek()? {
        JsonType::Null => reader.skip()?,
        JsonType::Array => reader.array(|reader, index| {
            let here = || format!("{}/{index}", pointer());
            if let Some(header) = header(reader, faults, here)? {
                headers.push(header);
            }
            Ok(())
        })?,
        json_type => {
            reader.skip()?;
            faults.note(
                FaultKind::Invalid,
                pointer(),
                format!("must be an array of headers, not {}", json_type.name()),
            );
        }
    }
    Ok(headers)
}

/// One header: `{"key":"k","value":"<base64>"}` or `{"key":"k","value_utf8":"text"}`; `name` says the same as `key`.
fn header(
    reader: &mut Reader<'_>,
    faults: &mut FaultCollector,
    pointer: impl Fn() -> String,
) -> Result<Option<Header>, SyntaxError> {
    let json_type = reader.peek()?;
    if json_type != JsonType::Object {
        reader.skip()?;
        faults.note(
            FaultKind::Invalid,
            pointer(),
            format!("must be an object with `key` and `value`, not {}", json_type.name()),
        );
        return Ok(None);
    }
    let (mut name, mut value) = (None, None);
    reader.object(|reader, member| {
        let here = || format!("{}/{}", pointer(), escaped(member));
        match member {
            "key" | "name" => {
                if name.is_some() {
                    faults.note(FaultKind::Invalid, here(), "`key` and `name` mean the same; give only one of them");
                }
                name = Some(header_name(reader, faults, here)?);
            }
            "value" | "value_utf8" => {
                if value.is_some() {
                    faults.note(
                        FaultKind::Invalid,
                        here(),
                        "`value` and `value_utf8` exclude each other; give only one of them",
                    );
                }
                let format = if member == "value" { Format::Binary } else { Format::Text };
                value = Some(key_or_value(reader, format, faults, here)?);
            }
            _ => {
                reader.skip()?;
                faults.note(
                    FaultKind::Invalid,
                    here(),
                    "unknown field; a header has `key` and `value` or `value_utf8`",
                );
            }
        }
        Ok(())
    })?;
    if name.is_none() {
        faults.note(FaultKind::Invalid, pointer(), "`key` is missing");
    }
    if value.is_none() {
        faults.note(FaultKind::Invalid, pointer(), "`value` or `value_utf8` is missing; null is allowed");
    }
    Ok(name.flatten().zip(value).map(|(name, value)| Header { name, value }))
}

fn header_name(
    reader: &mut Reader<'_>,
    faults: &mut FaultCollector,
    pointer: impl Fn() -> String,
) -> Result<Option<String>, SyntaxError> {
    let json_type = reader.peek()?;
    if json_type != JsonType::String {
        reader.skip()?;
        faults.note(FaultKind::Invalid, pointer(), format!("must be a string, not {}", json_type.name()));
        return Ok(None);
    }
    let name = reader.string()?.into_owned();
    match header_name_fault(&name) {
        Some(fault) => {
            faults.note(FaultKind::Invalid, pointer(), fault);
            Ok(None)
        }
        None => Ok(Some(name)),
    }
}

/// Why a record header must not have this name.
pub(crate) fn header_name_fault(name: &str) -> Option<&'static str> {
    if name.contains('\0') {
        Some("a header's name cannot hold a NUL character")
    } else if is_reserved(name) {
        Some("reserved: `x-principal` and `x-dlq-*` are set by this system only")
    } else {
        None
    }
}

/// A member name as a step of a JSON pointer (RFC 6901), cut short: it is the caller's text and may be megabytes.
pub(crate) fn escaped(name: &str) -> String {
    let short: String = name.chars().take(64).filter(|c| !c.is_control()).collect();
    short.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_3339_becomes_milliseconds() {
        let cases = [
            ("1970-01-01T00:00:00.001Z", Some(1)),
            ("2025-10-09T08:53:20Z", Some(1_760_000_000_000)),
            ("2025-10-09T17:53:20.123456789+09:00", Some(1_760_000_000_123)),
            ("1970-01-01T00:00:00Z", None),
            ("1969-12-31T23:59:59Z", None),
            ("2025-10-09", None),
            ("2025-10-09T08:53:20", None),
            ("2025-13-09T08:53:20Z", None),
            ("yesterday", None),
            ("", None),
        ];
        for (text, ms) in cases {
            assert_eq!(rfc3339_ms(text), ms, "{text}");
        }
    }

    #[test]
    fn reserved_and_impossible_header_names_are_refused() {
        for name in ["x-principal", "X-Principal", "x-dlq-", "X-DLQ-topic", "a\0b"] {
            assert!(header_name_fault(name).is_some(), "{name:?}");
        }
        for name in ["", "x-dlq", "x-principals", "한글", "a b"] {
            assert!(header_name_fault(name).is_none(), "{name:?}");
        }
    }
}
