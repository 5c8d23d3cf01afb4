//! From a body of `POST /topics/{topic}` to drafts of records, whatever its content type.

use bytes::Bytes;
use http::HeaderMap;

use super::content_type::{ContentType, RECORDS_TYPES};
use super::drafts::Drafts;
use super::envelope::{self, Reading};
use super::faults::{FaultKind, Faults};
use super::{cloud_event, ndjson, single_message};
use crate::format::{Format, ValueFormat};

/// Reads a body of `POST /topics/{topic}`.
///
/// # Errors
/// What makes the whole body unreadable; what is wrong with single records is noted in the drafts.
pub(crate) fn read(
    content_type: ContentType,
    headers: &HeaderMap,
    body: Bytes,
    strict: bool,
    max_records: usize,
) -> Result<Drafts, Faults> {
    match content_type {
        ContentType::KafkaRest(format) => Ok(envelope::read(&body, Reading { format, strict, max_records })?.drafts),
        ContentType::Json | ContentType::Missing => {
            let envelope = envelope::read(&body, Reading { format: Format::Json, strict, max_records });
            plain_json(content_type, envelope.map_err(Faults::from))
        }
        ContentType::CloudEvent(mode) => cloud_event::read(mode, headers, body, max_records),
        ContentType::NdJson => ndjson::read(headers, &body, max_records),
        ContentType::Bytes | ContentType::Text => raw(content_type, headers, body),
    }
}

/// Kafka REST v2's envelope without its media type: only a body with `records` is taken as one.
fn plain_json(content_type: ContentType, envelope: Result<envelope::Envelope, Faults>) -> Result<Drafts, Faults> {
    match envelope {
        Ok(envelope) if envelope.has_records => Ok(envelope.drafts),
        _ if content_type == ContentType::Missing => Err(Faults::new(
            FaultKind::MediaType(RECORDS_TYPES),
            "the Content-Type is missing; Accept-Post lists the types that this path accepts",
        )),
        Ok(_) => Err(Faults::new(
            FaultKind::Invalid,
            "the body has no array `records`; to send a body that is itself one message, POST it to /messages",
        )),
        Err(faults) => Err(faults),
    }
}

/// The body is the value.
fn raw(content_type: ContentType, headers: &HeaderMap, body: Bytes) -> Result<Drafts, Faults> {
    // API Gateway passes text on as text: what is not UTF-8 would arrive as something else.
    if content_type == ContentType::Text
        && let Err(error) = std::str::from_utf8(&body)
    {
        let at = error.valid_up_to();
        let detail = format!("the text is not UTF-8 at byte {at}; send other bytes as application/octet-stream");
        return Err(Faults::new(FaultKind::Malformed, detail));
    }
    let mut draft = single_message::fields(headers, ValueFormat::Raw)?;
    draft.value = Some(body);
    Ok(Drafts::single(draft))
}
