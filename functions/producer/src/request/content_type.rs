//! Determines from its headers what a request's body is.

use http::HeaderMap;
use http::header::CONTENT_TYPE;

use super::cloud_event::{EventMode, has_attributes};
use super::faults::{FaultKind, Faults};
use crate::format::Format;

/// What a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContentType {
    /// Kafka REST v2's envelope, with keys and values of this format.
    KafkaRest(Format),
    /// JSON: the envelope, or on `/messages` a value.
    Json,
    /// CloudEvents.
    CloudEvent(EventMode),
    /// One JSON value a line.
    NdJson,
    /// One value: any bytes.
    Bytes,
    /// One value: UTF-8 text.
    Text,
    /// Not said.
    Missing,
}

/// The media types that `POST /topics/{topic}` accepts.
pub(crate) const RECORDS_TYPES: &str = "application/vnd.kafka.json.v2+json, application/vnd.kafka.v2+json, \
     application/json, application/vnd.kafka.binary.v2+json, application/vnd.kafka.text.v2+json, \
     application/cloudevents+json, application/cloudevents-batch+json, application/x-ndjson, application/octet-stream, \
     text/plain";
/// The media types that `POST /messages` accepts.
pub(crate) const MESSAGE_TYPES: &str = "application/json";

impl ContentType {
    /// What this media type without parameters, in lower case, stands for.
    fn from_media_type(essence: &str) -> Option<Self> {
        Some(match essence {
            "application/json" => Self::Json,
            "application/vnd.kafka.json.v2+json" | "application/vnd.kafka.v2+json" => Self::KafkaRest(Format::Json),
            "application/vnd.kafka.binary.v2+json" => Self::KafkaRest(Format::Binary),
            "application/vnd.kafka.text.v2+json" => Self::KafkaRest(Format::Text),
            "application/cloudevents+json" => Self::CloudEvent(EventMode::Structured),
            "application/cloudevents-batch+json" => Self::CloudEvent(EventMode::Batch),
            "application/x-ndjson" => Self::NdJson,
            "application/octet-stream" => Self::Bytes,
            "text/plain" => Self::Text,
            "" => Self::Missing,
            _ => return None,
        })
    }
}

/// What the body of a request is; `accepted` are the media types that its path accepts, for the answer to another one.
///
/// # Errors
/// [`FaultKind::MediaType`] for a type that no path accepts or a charset other than UTF-8.
pub(crate) fn content_type(headers: &HeaderMap, accepted: &'static str) -> Result<ContentType, Faults> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let text = values.next().map(|value| value.to_str().unwrap_or_default().to_ascii_lowercase());
    let text = text.as_deref().unwrap_or_default();
    // It has one value (RFC 9110, 8.3). An HTTP API joins several with a comma, which is no media type either.
    if values.next().is_some() {
        return Err(Faults::new(FaultKind::MediaType(accepted), "there are several Content-Type headers; send one"));
    }
    let mut parts = text.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let content_type = ContentType::from_media_type(essence);
    // The attributes of an event may stand beside a media type that says itself what the body is; any other is that of the
    // event's data.
    let says_it = matches!(content_type, Some(ContentType::KafkaRest(_))) || essence.starts_with(CLOUD_EVENTS);
    if !says_it && has_attributes(headers) {
        return Ok(ContentType::CloudEvent(EventMode::Binary));
    }
    let content_type = content_type.ok_or_else(|| not_accepted(accepted))?;
    for parameter in parts {
        let charset = parameter.strip_prefix("charset=").map(|c| c.trim_matches('"'));
        if charset.is_some_and(|c| !matches!(c, "utf-8" | "utf8" | "us-ascii")) {
            return Err(Faults::new(FaultKind::MediaType(accepted), "the charset is not UTF-8; send UTF-8"));
        }
    }
    Ok(content_type)
}

/// What the media types of events begin with (HTTP protocol binding 1.0.2, 3).
const CLOUD_EVENTS: &str = "application/cloudevents";

/// A media type that the path does not accept.
pub(crate) fn not_accepted(accepted: &'static str) -> Faults {
    let detail = "this path does not accept the Content-Type; Accept-Post lists the types that it accepts";
    Faults::new(FaultKind::MediaType(accepted), detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&'static str, &'static str)]) -> Result<ContentType, FaultKind> {
        let headers = pairs.iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect();
        content_type(&headers, RECORDS_TYPES).map_err(|faults| faults.kind)
    }

    const UNSUPPORTED: Result<ContentType, FaultKind> = Err(FaultKind::MediaType(RECORDS_TYPES));

    #[test]
    fn there_is_one_content_type() {
        let json = ("content-type", "application/json");
        assert_eq!(read(&[json]), Ok(ContentType::Json));
        for other in ["application/json", "text/plain", "", "application/vnd.kafka.binary.v2+json"] {
            assert_eq!(read(&[json, ("content-type", other)]), UNSUPPORTED, "{other}");
        }
    }

    #[test]
    fn the_content_type_decides_the_format() {
        let cases = [
            ("application/json", Ok(ContentType::Json)),
            ("Application/JSON; charset=UTF-8", Ok(ContentType::Json)),
            ("application/json;charset=\"utf-8\"", Ok(ContentType::Json)),
            ("application/vnd.kafka.json.v2+json", Ok(ContentType::KafkaRest(Format::Json))),
            ("application/vnd.kafka.v2+json", Ok(ContentType::KafkaRest(Format::Json))),
            ("application/vnd.kafka.binary.v2+json", Ok(ContentType::KafkaRest(Format::Binary))),
            ("application/vnd.kafka.text.v2+json", Ok(ContentType::KafkaRest(Format::Text))),
            ("application/x-ndjson", Ok(ContentType::NdJson)),
            ("application/octet-stream", Ok(ContentType::Bytes)),
            ("text/plain; charset=us-ascii", Ok(ContentType::Text)),
            ("", Ok(ContentType::Missing)),
            ("text/plain; charset=iso-8859-1", UNSUPPORTED),
            ("application/json; charset=utf-16", UNSUPPORTED),
            ("application/json,application/json", UNSUPPORTED),
            ("application/vnd.kafka.avro.v2+json", UNSUPPORTED),
            ("application/cloudevents+json; charset=UTF-8", Ok(ContentType::CloudEvent(EventMode::Structured))),
            ("application/cloudevents-batch+json", Ok(ContentType::CloudEvent(EventMode::Batch))),
            ("application/cloudevents+json; charset=latin1", UNSUPPORTED),
            ("application/cloudevents+avro", UNSUPPORTED),
            ("application/x-www-form-urlencoded", UNSUPPORTED),
        ];
        for (text, expected) in cases {
            assert_eq!(read(&[("content-type", text)]), expected, "{text}");
        }
        assert_eq!(read(&[]), Ok(ContentType::Missing));
    }

    #[test]
    fn any_attribute_makes_a_binary_event_of_a_request() {
        let binary = Ok(ContentType::CloudEvent(EventMode::Binary));
        for name in ["ce-id", "ce-source", "ce-specversion", "ce-type"] {
            assert_eq!(read(&[(name, "1")]), binary);
            for data in ["application/json", "text/plain; charset=utf-16", "image/png", "a/b, c/d"] {
                assert_eq!(read(&[(name, "1"), ("content-type", data)]), binary, "{data}");
            }
            let v2 = "application/vnd.kafka.binary.v2+json";
            assert_eq!(read(&[(name, "1"), ("content-type", v2)]), Ok(ContentType::KafkaRest(Format::Binary)));
            let structured = Ok(ContentType::CloudEvent(EventMode::Structured));
            assert_eq!(read(&[(name, "1"), ("content-type", "Application/CloudEvents+json")]), structured);
            assert_eq!(read(&[(name, "1"), ("content-type", "application/cloudevents+xml")]), UNSUPPORTED);
        }
        assert_eq!(read(&[("ce-subject", "1")]), Ok(ContentType::Missing));
    }
}
