//! Checks a record's value against the schema of its topic: what would be stored is judged, however it came.

use base64::Engine;
use bytes::Bytes;
use serde_json::Value;

use super::draft::{Content, Draft};
use super::faults::{FaultCollector, FaultKind, MAX_NAMED, RecordPart};
use super::json::Reader;
use super::record_fields::BASE64;
use crate::format::{Format, ValueFormat};
use crate::schema::Schema;

/// Up to this size of a value every place that is wrong is looked for. A larger one could have millions, all of which the
/// validator would keep at once: there it looks for the first alone.
const ALL_PLACES_BYTES: usize = 65_536;

/// What is judged, and where it is in the request.
struct Judged {
    value: Value,
    /// The JSON pointer to it, or to what contains it as other than JSON.
    place: String,
    /// Whether pointers into the value are pointers into the request.
    is_json_there: bool,
}

/// Notes where a record is against the schema. A tombstone satisfies every one.
pub(super) fn check(draft: &Draft, schema: &Schema, index: usize, faults: &mut FaultCollector) {
    let Some(bytes) = &draft.value else { return };
    let judged = match draft.content {
        Content::Value => judged_value(bytes, draft.value_format, index, faults),
        Content::Event => judged_data(bytes, index, faults),
    };
    let judged = match judged {
        Ok(judged) => judged,
        Err((place, why)) => {
            faults.note(FaultKind::Invalid, place, format!("{why} (schema {})", schema.name()));
            return;
        }
    };
    let most = if bytes.len() > ALL_PLACES_BYTES || faults.is_full() { 1 } else { MAX_NAMED };
    let violations = schema.violations(&judged.value, most);
    let is_open_ended = violations.len() == most;
    for violation in violations {
        let detail = format!("{} (schema {})", violation.detail, schema.name());
        match (judged.is_json_there, violation.pointer.as_str()) {
            (true, inside) => faults.note(FaultKind::Invalid, judged.place.clone() + inside, detail),
            (false, "") => faults.note(FaultKind::Invalid, judged.place.clone(), detail),
            (false, inside) => {
                faults.note(FaultKind::Invalid, judged.place.clone(), format!("at {inside} of the value: {detail}"));
            }
        }
    }
    if is_open_ended {
        faults.note_open_end();
    }
}

/// A place, and why nothing there can be judged.
type NotJudged = (String, String);

fn judged_value(
    bytes: &Bytes,
    format: Option<ValueFormat>,
    index: usize,
    faults: &FaultCollector,
) -> Result<Judged, NotJudged> {
    let is_json_there = !matches!(format, Some(ValueFormat::Field(Format::Binary | Format::Text)));
    let is_json = matches!(format, Some(ValueFormat::Field(Format::Json) | ValueFormat::NdJson));
    let place = faults.places().pointer(index, RecordPart::Data);
    match if is_json { parsed(bytes) } else { checked(bytes) } {
        Ok(value) => Ok(Judged { value, place, is_json_there }),
        Err(why) => Err((place, why)),
    }
}

/// The data of an event in JSON (JSON event format 1.0.2, 3.1): `data`, or the bytes in `data_base64`.
fn judged_data(event: &Bytes, index: usize, faults: &FaultCollector) -> Result<Judged, NotJudged> {
    let place = faults.places().pointer(index, RecordPart::Data);
    let mut event = parsed(event).map_err(|why| (place.clone(), why))?;
    let mut member = |name: &str| event.get_mut(name).map(Value::take).filter(|value| !value.is_null());
    if let Some(value) = member("data") {
        return Ok(Judged { value, place: place + "/data", is_json_there: true });
    }
    let Some(text) = member("data_base64") else {
        return Err((place, "the event has no data, which the topic's schema asks for".to_owned()));
    };
    let place = place + "/data_base64";
    // That it decodes was checked when the event was read.
    let bytes = BASE64.decode(text.as_str().unwrap_or_default()).unwrap_or_default();
    match checked(&Bytes::from(bytes)) {
        Ok(value) => Ok(Judged { value, place, is_json_there: false }),
        Err(why) => Err((place, why)),
    }
}

/// Bytes as JSON. What readers could understand differently (duplicate members) is none.
fn checked(bytes: &Bytes) -> Result<Value, String> {
    let checked = Reader::new(bytes).and_then(|mut reader| {
        reader.skip()?;
        reader.end()
    });
    checked.map_err(|error| format!("the value must be JSON: {error} of it"))?;
    parsed(bytes)
}

/// JSON that was read before, as a value. `serde_json` nests one level less than this API's own reader.
fn parsed(bytes: &Bytes) -> Result<Value, String> {
    serde_json::from_slice(bytes)
        .map_err(|_| "nested deeper than 127 levels, the limit where there is a schema".to_owned())
}
