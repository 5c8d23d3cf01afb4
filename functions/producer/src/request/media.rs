//! Which format a request's body has, by its `Content-Type`.

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName};

use crate::problem::{Kind, Problem};

/// How keys and values are written in a body of the v2 family, and how a topic policy names that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Any JSON, kept as compact JSON.
    Json,
    /// Base64 text, kept as the bytes.
    Binary,
    /// A string, kept as its text without quotes.
    Text,
}

impl Format {
    /// The word of a topic policy's `formats`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Binary => "binary",
            Self::Text => "text",
        }
    }

    /// The word of a record's `key_format` and `value_format`.
    pub(crate) fn of_record_field(word: &str) -> Option<Self> {
        match word {
            "json" => Some(Self::Json),
            "binary" => Some(Self::Binary),
            "string" => Some(Self::Text),
            _ => None,
        }
    }
}

/// What a `Content-Type` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Media {
    /// One of the v2 family's types.
    V2(Format),
    /// Plain `application/json`.
    Json,
    /// No `Content-Type`.
    Missing,
}

/// Says which media types a resource takes in a POST (LDP 7.1; the `http` crate has no constant).
pub(crate) const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
/// What `POST /topics/{topic}` takes: the value of `Accept-Post`.
pub(crate) const ACCEPT_POST_TOPICS: &str = "application/vnd.kafka.json.v2+json, application/vnd.kafka.v2+json, \
     application/json, application/vnd.kafka.binary.v2+json, application/vnd.kafka.text.v2+json";
/// What `POST /messages` takes.
pub(crate) const ACCEPT_POST_MESSAGES: &str = "application/json";

/// The media type of a request.
///
/// # Errors
/// 415 when it is none that this API reads, when it names another charset than UTF-8, or when the body is compressed.
pub(crate) fn media_of(headers: &HeaderMap, accept_post: &'static str) -> Result<Media, Problem> {
    refuse_content_encoding(headers)?;
    let unsupported =
        |detail: &str| Problem::new(Kind::UnsupportedMediaType, detail).with_header(ACCEPT_POST, accept_post);
    if CLOUDEVENTS_HEADERS.iter().all(|name| headers.contains_key(*name)) {
        return Err(unsupported("CloudEvents are not taken yet; send the event as a record's value"));
    }
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return Ok(Media::Missing);
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
        "application/json" => Ok(Media::Json),
        "application/vnd.kafka.json.v2+json" | "application/vnd.kafka.v2+json" => Ok(Media::V2(Format::Json)),
        "application/vnd.kafka.binary.v2+json" => Ok(Media::V2(Format::Binary)),
        "application/vnd.kafka.text.v2+json" => Ok(Media::V2(Format::Text)),
        "" => Ok(Media::Missing),
        _ => Err(unsupported("the Content-Type is not taken here; Accept-Post lists the types that are")),
    }
}

/// The headers that make a request a CloudEvent in binary mode (CloudEvents HTTP protocol binding 1.0.2, 3.1).
const CLOUDEVENTS_HEADERS: [&str; 4] = ["ce-id", "ce-source", "ce-specversion", "ce-type"];

/// Compressed bodies are not taken, so a compression bomb is refused unread.
fn refuse_content_encoding(headers: &HeaderMap) -> Result<(), Problem> {
    let compressed = headers.get_all(CONTENT_ENCODING).iter().any(|value| {
        let codings = value.to_str().unwrap_or("unreadable");
        codings.split(',').map(str::trim).any(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity"))
    });
    if compressed {
        // RFC 9110, 15.5.16: Accept-Encoding in a 415 says which codings would have been taken.
        return Err(Problem::new(
            Kind::UnsupportedMediaType,
            "the Content-Encoding is not taken; send the body as it is",
        )
        .with_header(http::header::ACCEPT_ENCODING, "identity"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn media(pairs: &[(&'static str, &'static str)]) -> Result<Media, u16> {
        let headers = pairs.iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect();
        media_of(&headers, ACCEPT_POST_TOPICS).map_err(|problem| problem.kind.status().as_u16())
    }

    #[test]
    fn the_content_type_decides_the_format() {
        let cases = [
            ("application/json", Ok(Media::Json)),
            ("Application/JSON; charset=UTF-8", Ok(Media::Json)),
            ("application/json;charset=\"utf-8\"", Ok(Media::Json)),
            ("application/vnd.kafka.json.v2+json", Ok(Media::V2(Format::Json))),
            ("application/vnd.kafka.v2+json", Ok(Media::V2(Format::Json))),
            ("application/vnd.kafka.binary.v2+json", Ok(Media::V2(Format::Binary))),
            ("application/vnd.kafka.text.v2+json", Ok(Media::V2(Format::Text))),
            ("", Ok(Media::Missing)),
            ("application/json; charset=utf-16", Err(415)),
            ("application/json,application/json", Err(415)),
            ("application/vnd.kafka.avro.v2+json", Err(415)),
            ("application/cloudevents+json", Err(415)),
            ("application/x-ndjson", Err(415)),
            ("application/octet-stream", Err(415)),
            ("text/plain", Err(415)),
            ("application/x-www-form-urlencoded", Err(415)),
        ];
        for (text, expected) in cases {
            assert_eq!(media(&[("content-type", text)]), expected, "{text}");
        }
        assert_eq!(media(&[]), Ok(Media::Missing));
    }

    #[test]
    fn compressed_bodies_and_binary_cloudevents_are_refused() {
        for coding in ["gzip", "zstd", "br", "deflate", "identity, gzip", "x"] {
            assert_eq!(
                media(&[("content-type", "application/json"), ("content-encoding", coding)]),
                Err(415),
                "{coding}"
            );
        }
        assert_eq!(media(&[("content-encoding", "identity"), ("content-type", "application/json")]), Ok(Media::Json));
        let event = [("ce-id", "1"), ("ce-source", "/s"), ("ce-specversion", "1.0"), ("ce-type", "t")];
        assert_eq!(media(&event), Err(415));
    }
}
