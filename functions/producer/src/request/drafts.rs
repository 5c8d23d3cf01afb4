//! From a body to drafts of records, whatever its content type, and from drafts to records.

use bytes::Bytes;
use http::HeaderMap;
use msk_shared::kafka::OutboundRecord;

use super::checks;
use super::content_type::{ContentType, RECORDS_TYPES};
use super::draft::Draft;
use super::envelope::{self, Reading};
use super::faults::{FaultCollector, FaultKind, Faults, Places};
use super::{cloud_event, ndjson, single_message};
use crate::config::Limits;
use crate::format::{Format, ValueFormat};
use crate::topics::Topic;

/// The records of a body, and what is wrong with them.
#[derive(Debug, Default)]
pub(crate) struct Drafts {
    /// The records, at most `MAX_RECORDS`.
    pub(crate) records: Vec<Draft>,
    /// How many records the body has.
    pub(crate) count: usize,
    /// What is wrong with them.
    pub(crate) faults: FaultCollector,
    /// What is said of a body without records.
    pub(crate) none: &'static str,
}

impl Drafts {
    /// No record yet.
    pub(crate) fn new(places: Places, none: &'static str) -> Self {
        Self { faults: FaultCollector::new(places), none, ..Self::default() }
    }

    /// The only record of a request.
    fn single(draft: Draft) -> Self {
        Self { records: vec![draft], count: 1, ..Self::new(Places::Message, "") }
    }

    /// Where the parts of the records are, for faults that show later.
    pub(crate) fn places(&self) -> Places {
        self.faults.places()
    }

    /// Checks everything that can be known without the cluster; `partition` is that of the path.
    ///
    /// # Errors
    /// The most severe faults.
    pub(crate) fn into_records(
        self,
        topic: &Topic,
        partition: Option<i32>,
        limits: &Limits,
    ) -> Result<Vec<OutboundRecord>, Faults> {
        // What does not decode comes first, then the count: of too many records not all were looked at.
        if self.faults.kind() == Some(FaultKind::Malformed) {
            self.faults.into_result()?;
            return Ok(Vec::new());
        }
        self.check_count(limits.records.get())?;
        let Self { mut records, mut faults, .. } = self;
        if let Some(partition) = partition {
            checks::fix_partition(&mut records, partition, &mut faults);
        }
        let records = checks::records(records, topic, limits, &mut faults);
        faults.into_result()?;
        Ok(records)
    }

    /// Rejects a body without records, and one with too many.
    fn check_count(&self, max_records: usize) -> Result<(), Faults> {
        match self.count {
            0 if self.faults.kind().is_none() => Err(Faults::new(FaultKind::RecordCount, self.none)),
            count if count > max_records => Err(Faults::new(
                FaultKind::RecordCount,
                format!("the request has {count} records; the limit is {max_records} (MAX_RECORDS)"),
            )),
            _ => Ok(()),
        }
    }
}

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
