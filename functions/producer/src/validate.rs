//! The whole request against the topic's policy and the limits, before its first record is sent.

use msk_shared::deadline::Deadline;
use msk_shared::kafka::{OutboundRecord, Publisher};

use crate::config::Limits;
use crate::problem::{Kind, Problem};
use crate::request::envelope::Draft;
use crate::request::issues::{Issues, Part, Places};
use crate::request::media::Format;
use crate::topics::Topic;

/// Makes records of drafts: the topic's policy and the limits hold for each, or none is sent.
pub(crate) fn records(drafts: Vec<Draft>, topic: &Topic, limits: &Limits, issues: &mut Issues) -> Vec<OutboundRecord> {
    let policy = &topic.policy;
    let (limit_bytes, limit_name) = match policy.max_record_bytes {
        Some(bytes) if bytes.get() < limits.record_bytes.get() => (bytes.get(), "the topic's max_record_bytes"),
        _ => (limits.record_bytes.get(), "MAX_RECORD_BYTES"),
    };
    let mut records = Vec::with_capacity(drafts.len());
    for (index, draft) in drafts.into_iter().enumerate() {
        if policy.key_required && draft.key.is_none() {
            issues.note_part(Kind::Invalid, index, Part::Key, "missing; this topic's records need a key");
        }
        check_format(draft.value_format, topic, index, issues);
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
            issues.too_large(index, size, limit_bytes, limit_name);
        }
        records.push(record);
    }
    records
}

fn check_format(format: Option<Format>, topic: &Topic, index: usize, issues: &mut Issues) {
    let Some(format) = format else { return };
    if !topic.policy.takes(format) {
        let taken = topic.policy.format_names().join(", ");
        let detail = format!("this topic does not take the format {}; it takes: {taken}", format.name());
        issues.note_part(Kind::Invalid, index, Part::Value, detail);
    }
}

/// Sets the partition of the path on every record. A record may repeat it, not contradict it.
pub(crate) fn fix_partition(drafts: &mut [Draft], partition: i32, issues: &mut Issues) {
    for (index, draft) in drafts.iter_mut().enumerate() {
        if draft.partition.is_some_and(|own| own != partition) {
            let detail = "contradicts the partition in the path; leave one of them out";
            issues.note_part(Kind::Invalid, index, Part::Partition, detail);
        }
        draft.partition = Some(partition);
    }
}

/// Asks the cluster whether the partitions that records name exist; a request that names none asks nothing.
///
/// # Errors
/// 404/40402 for a partition that does not exist, or the problem of a cluster that cannot be asked.
pub(crate) async fn partitions_exist<P: Publisher>(
    publisher: &P,
    records: &[OutboundRecord],
    places: Places,
    deadline: Deadline,
) -> Result<(), Problem> {
    let Some(topic) = records.iter().find(|record| record.partition.is_some()).map(|record| &record.topic) else {
        return Ok(());
    };
    let count = match publisher.partition_count(topic, deadline).await {
        Ok(count) => i64::from(count),
        Err(failure) => {
            tracing::error!(topic = %topic, cause = failure.cause.name(), "partitions unknown");
            return Err(Problem::of_failure(&failure));
        }
    };
    let mut issues = Issues::at(places);
    for (index, record) in records.iter().enumerate() {
        if record.partition.is_some_and(|partition| i64::from(partition) >= count) {
            let detail = format!("does not exist; the topic has partitions 0 to {}", count - 1);
            issues.note_part(Kind::PartitionNotFound, index, Part::Partition, detail);
        }
    }
    issues.into_result()
}
