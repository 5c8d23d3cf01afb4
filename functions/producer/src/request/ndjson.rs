//! NDJSON: one JSON value a line, one record each (<https://github.com/ndjson/ndjson-spec>).

use bytes::Bytes;
use http::HeaderMap;

use super::drafts::Drafts;
use super::faults::{FaultKind, Faults, Places};
use super::single_message;
use crate::format::ValueFormat;

/// Reads the lines of a body; blank ones are skipped. The `Kafka-` headers hold for every record.
///
/// # Errors
/// Those of the headers. Lines that are no JSON are noted in the drafts.
pub(crate) fn read(headers: &HeaderMap, body: &Bytes, max_records: usize) -> Result<Drafts, Faults> {
    let fields = single_message::fields(headers, ValueFormat::NdJson)?;
    let mut drafts = Drafts::new(Places::Lines, "the body has no line with a JSON value; send at least one");
    // In UTF-8 no other character has the byte of a line feed, and in JSON strings a line feed is escaped.
    for (number, line) in (1_usize..).zip(body.split(|byte| *byte == b'\n')) {
        if line.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r')) {
            continue;
        }
        let index = drafts.count;
        drafts.count += 1;
        if index >= max_records {
            continue;
        }
        match single_message::value(&body.slice_ref(line)) {
            Ok(value) => {
                let mut draft = fields.clone();
                draft.value = value;
                drafts.records.push(draft);
            }
            Err(error) => {
                let detail = format!("line {number}: malformed JSON: {error} of the line");
                drafts.faults.note(FaultKind::Malformed, format!("/records/{index}"), detail);
            }
        }
    }
    Ok(drafts)
}
