//! Determines the format of a request's body from its `Content-Type`.

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};

use super::faults::{FaultKind, Faults};
use crate::format::Format;

/// The meaning of a `Content-Type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContentType {
    /// One of Kafka REST v2's types.
    KafkaRest(Format),
    Json,
    Missing,
}

/// The media types that `POST /topics/{topic}` accepts.
pub(crate) const RECORDS_TYPES: &str = "application/vnd.kafka.json.v2+json, application/vnd.kafka.v2+json, \
     application/json, application/vnd.kafka.binary.v2+json, application/vnd.kafka.text.v2+json";
/// The media types that `POST /messages` accepts.
pub(crate) const MESSAGE_TYPES: &str = "application/json";

/// The content type of a request; `accepted` are the media types that its path accepts.
///
/// # Errors
/// [`FaultKind::MediaType`] for a type that this API does not support or a charset other than UTF-8, and
/// [`FaultKind::ContentEncoding`] for a compressed body.
pub(crate) fn content_type(headers: &HeaderMap, accepted: &'static str) -> Result<ContentType, Faults> {
    refuse_content_encoding(headers)?;
    let unsupported = |detail: &str| Faults::new(FaultKind::MediaType(accepted), detail);
    if CLOUDEVENTS_HEADERS.iter().all(|name| headers.contains_key(*name)) {
        return Err(unsupported("CloudEvents are not accepted yet; send the event as a record's value"));
    }
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return Ok(ContentType::Missing);
    };
    let text = value.to_str().unwrap_or_default().to_ascii_lowercase();
    let mut parts = text.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    for parameter in parts {
        let charset = parameter.strip_prefix("charset=").map(|c| c.trim_matches('"'));
        if charset.is_some_and(|c| !matches!(c, "utf-8" | "utf8" | "us-ascii")) {
            return Err(unsupported("the charset is not UTF-8; send UTF-8"));
        }
    }
    match essence {
        "application/json" => Ok(ContentType::Json),
        "application/vnd.kafka.json.v2+json" | "application/vnd.kafka.v2+json" => {
            Ok(ContentType::KafkaRest(Format::Json))
        }
        "application/vnd.kafka.binary.v2+json" => Ok(ContentType::KafkaRest(Format::Binary)),
        "application/vnd.kafka.text.v2+json" => Ok(ContentType::KafkaRest(Format::Text)),
        "" => Ok(ContentType::Missing),
        _ => {
            Err(unsupported("this path does not accept the Content-Type; Accept-Post lists the types that it accepts"))
        }
    }
}

/// The headers that make a request a CloudEvent in binary mode (CloudEvents HTTP protocol binding 1.0.2, 3.1).
const CLOUDEVENTS_HEADERS: [&str; 4] = ["ce-id", "ce-source", "ce-specversion", "ce-type"];

/// Compressed bodies are rejected without being read, so a compression bomb does no harm.
fn refuse_content_encoding(headers: &HeaderMap) -> Result<(), Faults> {
    let compressed = headers.get_all(CONTENT_ENCODING).iter().any(|value| {
        let codings = value.to_str().unwrap_or("unreadable");
        codings.split(',').map(str::trim).any(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity"))
    });
    let detail = "the Content-Encoding is not accepted; send the body uncompressed";
    if compressed { Err(Faults::new(FaultKind::ContentEncoding, detail)) } else { Ok(()) }
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
    fn the_content_type_decides_the_format() {
        let cases = [
            ("application/json", Ok(ContentType::Json)),
            ("Application/JSON; charset=UTF-8", Ok(ContentType::Json)),
            ("application/json;charset=\"utf-8\"", Ok(ContentType::Json)),
            ("application/vnd.kafka.json.v2+json", Ok(ContentType::KafkaRest(Format::Json))),
            ("application/vnd.kafka.v2+json", Ok(ContentType::KafkaRest(Format::Json))),
            ("application/vnd.kafka.binary.v2+json", Ok(ContentType::KafkaRest(Format::Binary))),
            ("application/vnd.kafka.text.v2+json", Ok(ContentType::KafkaRest(Format::Text))),
            ("", Ok(ContentType::Missing)),
            ("application/json; charset=utf-16", UNSUPPORTED),
            ("application/json,application/json", UNSUPPORTED),
            ("application/vnd.kafka.avro.v2+json", UNSUPPORTED),
            ("application/cloudevents+json", UNSUPPORTED),
            ("application/x-ndjson", UNSUPPORTED),
            ("application/octet-stream", UNSUPPORTED),
            ("text/plain", UNSUPPORTED),
            ("application/x-www-form-urlencoded", UNSUPPORTED),
        ];
        for (text, expected) in cases {
            assert_eq!(read(&[("content-type", text)]), expected, "{text}");
        }
        assert_eq!(read(&[]), Ok(ContentType::Missing));
    }

    #[test]
    fn compressed_bodies_and_binary_cloudevents_are_refused() {
        for coding in ["gzip", "zstd", "br", "deflate", "identity, gzip", "x"] {
            assert_eq!(
                read(&[("content-type", "application/json"), ("content-encoding", coding)]),
                Err(FaultKind::ContentEncoding),
                "{coding}"
            );
        }
        assert_eq!(
            read(&[("content-encoding", "identity"), ("content-type", "application/json")]),
            Ok(ContentType::Json)
        );
        let event = [("ce-id", "1"), ("ce-source", "/s"), ("ce-specversion", "1.0"), ("ce-type", "t")];
        assert_eq!(read(&event), UNSUPPORTED);
    }
}
