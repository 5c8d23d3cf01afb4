//! Kafka REST v1, which `COMPATIBILITY=confluent` reads as v2: the npm package `kafka-rest`, whose newest version is 0.0.5,
//! sends nothing else.

use http::HeaderMap;
use http::header::CONTENT_TYPE;

use crate::config::Compatibility;
use crate::format::Format;

/// The format of a body in a media type of Kafka REST v1; `None` for other types and in the strict mode. A type that says no
/// format is binary, as v1 documents it.
pub(crate) fn format(headers: &HeaderMap, compatibility: Compatibility) -> Option<Format> {
    if compatibility == Compatibility::Strict {
        return None;
    }
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    let essence = value.to_str().ok()?.split(';').next()?.trim().to_ascii_lowercase();
    match essence.as_str() {
        "application/vnd.kafka.json.v1+json" => Some(Format::Json),
        "application/vnd.kafka.binary.v1+json" | "application/vnd.kafka.v1+json" => Some(Format::Binary),
        _ => None,
    }
}
