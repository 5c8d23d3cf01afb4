//! Checks the whole request against the topic's policy and the limits, before its first record is sent.

use msk_shared::kafka::OutboundRecord;

use super::draft::Draft;
use super::faults::{FaultCollector, FaultKind, Faults, Places, RecordPart};
use super::schema_check;
use crate::config::Limits;
use crate::format::ValueFormat;
use crate::topics::Topic;

/// Turns drafts into records, and notes each fault against the topic's policy and the limits.
pub(crate) fn records(
    drafts: Vec<Draft>,
    topic: &Topic,
    limits: &Limits,
    faults: &mut FaultCollector,
) -> Vec<OutboundRecord> {
    let policy = &topic.policy;
    let (limit_bytes, limit_name) = match policy.max_record_bytes {
        Some(bytes) if bytes.get() < limits.record_bytes.get() => (bytes.get(), "the topic's max_record_bytes"),
        _ => (limits.record_bytes.get(), "MAX_RECORD_BYTES"),
    };
    let mut records = Vec::with_capacity(drafts.len());
    for (index, draft) in drafts.into_iter().enumerate() {
        if policy.key_required && draft.key.is_none() {
            faults.note_part(FaultKind::Invalid, index, RecordPart::Key, "missing; this topic's records need a key");
        }
        check_format(draft.value_format, topic, index, faults);
        if let Some(schema) = &policy.schema {
            schema_check::check(&draft, schema, index, faults);
        }
        let record = OutboundRecord {
            topic: topic.name.clone(),
            partition: draft.partition,
            key: draft.key,
            value: draft.value,
            timestamp_ms: draft.timestamp_ms,
            headers: draft.headers,
        };
        let size = record.size();
        if size > limit_bytes {
            faults.note_too_large(index, size, limit_bytes, limit_name);
        }
        records.push(record);
    }
    records
}

fn check_format(format: Option<ValueFormat>, topic: &Topic, index: usize, faults: &mut FaultCollector) {
    let Some(format) = format.filter(|format| !topic.policy.accepts(*format)) else { return };
    let accepted = topic.policy.format_names().join(", ");
    let detail = format!("this topic does not accept the format {}; it accepts: {accepted}", format.name());
    faults.note_part(FaultKind::Invalid, index, RecordPart::Value, detail);
}

/// Sets the partition of the path on every record. A record may repeat it, but must not contradict it.
pub(crate) fn fix_partition(drafts: &mut [Draft], partition: i32, faults: &mut FaultCollector) {
    for (index, draft) in drafts.iter_mut().enumerate() {
        if draft.partition.is_some_and(|own| own != partition) {
            let detail = "contradicts the partition in the path; omit one of them";
            faults.note_part(FaultKind::Invalid, index, RecordPart::Partition, detail);
        }
        draft.partition = Some(partition);
    }
}

/// Checks the partitions that records specify against the number of partitions of the topic.
///
/// # Errors
/// [`FaultKind::PartitionNotFound`]
pub(crate) fn partitions_exist(records: &[OutboundRecord], count: u32, places: Places) -> Result<(), Faults> {
    let mut faults = FaultCollector::new(places);
    for (index, record) in records.iter().enumerate() {
        if record.partition.is_some_and(|partition| i64::from(partition) >= i64::from(count)) {
            let detail = format!("does not exist; the topic has partitions 0 to {}", i64::from(count) - 1);
            faults.note_part(FaultKind::PartitionNotFound, index, RecordPart::Partition, detail);
        }
    }
    faults.into_result()
}
