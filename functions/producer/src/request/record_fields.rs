//! The single fields of a record: keys and values in their format, partitions, timestamps, headers.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use msk_shared::kafka::Header;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::faults::{FaultCollector, FaultKind};
use super::json::{JsonType, Parsed, Reader};
use super::propagation::PRINCIPAL_HEADER;
use crate::format::Format;

/// Standard base64, with or without its padding: clients of Kafka REST v2 send both.
pub(crate) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Header names that only this system may set: they tell who wrote a record and why it is a dead letter.
fn is_reserved(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name == PRINCIPAL_HEADER || name.starts_with("x-dlq-")
}

/// A field whose value is read next. Faults are noted and result in `None`, like null.
pub(crate) struct Field<'f, 'a> {
    pub(crate) reader: &'f mut Reader<'a>,
    pub(crate) faults: &'f mut FaultCollector,
    /// Makes the field's JSON pointer, for a fault.
    pub(crate) pointer: &'f dyn Fn() -> String,
    /// Whether input is taken as leniently as Confluent's REST Proxy takes it (`COMPATIBILITY=confluent`).
    pub(crate) lenient: bool,
}

impl Field<'_, '_> {
    /// A key or value in its format.
    pub(crate) fn key_or_value(&mut self, format: Format) -> Parsed<Option<Bytes>> {
        match (self.reader.peek()?, format) {
            (JsonType::Null, _) => self.skip(),
            (_, Format::Json) => self.reader.compact().map(Some),
            (JsonType::String, Format::Text) => self.reader.string_bytes().map(Some),
            (JsonType::String, Format::Binary) => {
                let bytes = BASE64.decode(self.reader.string()?.as_bytes()).ok();
                if bytes.is_none() {
                    self.faults.note(FaultKind::Malformed, (self.pointer)(), "not valid base64 (standard alphabet)");
                }
                Ok(bytes.map(Bytes::from))
            }
            (_, Format::Text) => self.wrong_type("a string or null"),
            (_, Format::Binary) => self.wrong_type("a base64 string or null"),
        }
    }

    /// The value of `key_format` or `value_format`.
    pub(crate) fn format(&mut self) -> Parsed<Option<Format>> {
        let format = match self.reader.peek()? {
            JsonType::Null => return self.skip(),
            JsonType::String => Format::parse(&self.reader.string()?),
            _ => self.skip()?,
        };
        if format.is_none() {
            self.invalid("must be `json`, `binary` or `string`");
        }
        Ok(format)
    }

    pub(crate) fn partition(&mut self) -> Parsed<Option<i32>> {
        match self.reader.peek()? {
            JsonType::Null => self.skip(),
            JsonType::Number => {
                let text = self.reader.number()?;
                Ok(self.partition_from(text))
            }
            JsonType::String if self.lenient => {
                let text = self.reader.string()?;
                Ok(self.partition_from(&text))
            }
            _ => self.wrong_type("a whole number from 0"),
        }
    }

    fn partition_from(&mut self, text: &str) -> Option<i32> {
        let number = self.whole_number(text);
        if self.lenient && number == Some(NONE) {
            return None;
        }
        let partition = number.and_then(|number| i32::try_from(number).ok()).filter(|number| *number >= 0);
        if partition.is_none() {
            self.invalid(format!("must be a whole number from 0 to {}", i32::MAX));
        }
        partition
    }

    /// A timestamp in milliseconds since the Unix epoch, or as RFC 3339.
    pub(crate) fn timestamp(&mut self) -> Parsed<Option<i64>> {
        let timestamp_ms = match self.reader.peek()? {
            JsonType::Null => return self.skip(),
            JsonType::Number => {
                let text = self.reader.number()?;
                self.whole_number(text)
            }
            JsonType::String => {
                let text = self.reader.string()?;
                let number = if self.lenient { self.whole_number(&text) } else { None };
                number.or_else(|| rfc3339_ms(&text))
            }
            _ => self.skip()?,
        };
        if self.lenient && timestamp_ms == Some(NONE) {
            return Ok(None);
        }
        let timestamp_ms = timestamp_ms.filter(|ms| *ms >= 1);
        if timestamp_ms.is_none() {
            self.invalid(TIMESTAMP_RULE);
        }
        Ok(timestamp_ms)
    }

    fn whole_number(&self, text: &str) -> Option<i64> {
        if self.lenient { lenient_whole_number(text) } else { text.parse().ok() }
    }

    pub(crate) fn headers(&mut self) -> Parsed<Option<Vec<Header>>> {
        match self.reader.peek()? {
            JsonType::Null => self.skip(),
            JsonType::Array => {
                let mut headers = Vec::new();
                let (reader, faults, pointer) = (&mut *self.reader, &mut *self.faults, self.pointer);
                let lenient = self.lenient;
                reader.array(|reader, index| {
                    let pointer = || format!("{}/{index}", pointer());
                    headers.extend(Field { reader, faults, pointer: &pointer, lenient }.header()?);
                    Ok(())
                })?;
                Ok(Some(headers))
            }
            _ => self.wrong_type("an array of headers"),
        }
    }

    /// One header: `{"key":"k","value":"<base64>"}` or `{"key":"k","value_utf8":"text"}`; `name` is an alias of `key`.
    fn header(&mut self) -> Parsed<Option<Header>> {
        if self.reader.peek()? != JsonType::Object {
            return self.wrong_type("an object with `key` and `value`");
        }
        let (mut name, mut value) = (None, None);
        let (reader, faults, pointer) = (&mut *self.reader, &mut *self.faults, self.pointer);
        let lenient = self.lenient;
        reader.object(|reader, member| {
            let pointer = || format!("{}/{}", pointer(), escaped(member));
            let mut field = Field { reader, faults, pointer: &pointer, lenient };
            match member {
                "key" | "name" => {
                    if name.is_some() {
                        field.invalid("`key` and `name` mean the same; use only one of them");
                    }
                    name = Some(field.header_name()?);
                }
                "value" | "value_utf8" => {
                    if value.is_some() {
                        field.invalid("`value` and `value_utf8` exclude each other; give only one of them");
                    }
                    let format = if member == "value" { Format::Binary } else { Format::Text };
                    value = Some(field.key_or_value(format)?);
                }
                _ => {
                    field.reader.skip()?;
                    if !lenient {
                        field.invalid("unknown field; a header may have `key` and `value` or `value_utf8`");
                    }
                }
            }
            Ok(())
        })?;
        if name.is_none() {
            self.invalid("`key` is missing");
        }
        if value.is_none() && !self.lenient {
            self.invalid("`value` or `value_utf8` is missing; null is allowed");
        }
        let value = value.or(self.lenient.then_some(None));
        Ok(name.flatten().zip(value).map(|(name, value)| Header { name, value }))
    }

    fn header_name(&mut self) -> Parsed<Option<String>> {
        if self.reader.peek()? != JsonType::String {
            return self.wrong_type("a string");
        }
        let name = self.reader.string()?.into_owned();
        let fault = header_name_fault(&name);
        fault.into_iter().for_each(|fault| self.invalid(fault));
        Ok(fault.is_none().then_some(name))
    }

    fn skip<T>(&mut self) -> Parsed<Option<T>> {
        self.reader.skip().map(|()| None)
    }

    pub(crate) fn wrong_type<T>(&mut self, expected: &str) -> Parsed<Option<T>> {
        let json_type = self.reader.peek()?;
        self.invalid(format!("must be {expected}, not {}", json_type.name()));
        self.skip()
    }

    pub(crate) fn invalid(&mut self, detail: impl Into<String>) {
        self.faults.note(FaultKind::Invalid, (self.pointer)(), detail);
    }
}

/// What a timestamp may be. In Kafka and its clients, 0 and negative numbers mean "none" or "now".
pub(crate) const TIMESTAMP_RULE: &str =
    "must be milliseconds since 1970-01-01T00:00:00Z, at least 1, or an RFC 3339 time";

/// In Kafka's own clients, a partition or timestamp that is not set.
const NONE: i64 = -1;

/// A whole number as Confluent's REST Proxy reads one: also as text, and with a fraction or an exponent if it is whole all the
/// same, such as `0.0` or `1e3`.
fn lenient_whole_number(text: &str) -> Option<i64> {
    /// Up to here a 64-bit float has every whole number.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let text = text.trim();
    if let Some((whole, fraction)) = text.split_once('.')
        && !fraction.is_empty()
        && fraction.bytes().all(|digit| digit == b'0')
    {
        return whole.parse().ok();
    }
    let float = || text.parse().ok().filter(|float: &f64| float.fract() == 0.0 && float.abs() <= EXACT);
    text.parse().ok().or_else(|| float().map(|float| float as i64))
}

/// RFC 3339 text as milliseconds since the Unix epoch; smaller fractions are truncated.
pub(crate) fn rfc3339_ms(text: &str) -> Option<i64> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok().filter(|ms| *ms >= 1)
}

/// Why a record header must not have this name.
pub(crate) fn header_name_fault(name: &str) -> Option<&'static str> {
    if name.contains('\0') {
        Some("a header's name must not contain a NUL character")
    } else if is_reserved(name) {
        Some("reserved: `x-principal` and `x-dlq-*` are set by this system only")
    } else {
        None
    }
}

/// A member name as a step of a JSON pointer (RFC 6901), truncated because it is the caller's text and may be megabytes long.
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
    fn whole_numbers_are_read_leniently_and_no_other() {
        let cases = [
            ("0", Some(0)),
            ("-1", Some(-1)),
            ("0.0", Some(0)),
            ("-1.000", Some(-1)),
            (" 7 ", Some(7)),
            ("1e3", Some(1_000)),
            ("1577836800000.0", Some(1_577_836_800_000)),
            ("1.5778368E12", Some(1_577_836_800_000)),
            ("9223372036854775807.0", Some(i64::MAX)),
            ("9223372036854775808", None),
            ("1e300", None),
            ("0.5", None),
            ("1.", Some(1)),
            ("inf", None),
            ("NaN", None),
            ("", None),
            ("one", None),
        ];
        for (text, number) in cases {
            assert_eq!(lenient_whole_number(text), number, "{text}");
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
