//! What a caller is told about a record that was not written: in words, and by the place in the request that is refused.

use msk_shared::kafka::{FailureCause, Persisted, PublishFailure, PublishResult};

use crate::request::faults::{Fault, MAX_NAMED, Places, RecordPart};

/// What a caller is told about a record's failure: never library output, host names, tokens or bodies.
pub(super) fn failure_text(failure: &PublishFailure) -> &'static str {
    match (failure.cause, failure.persisted) {
        (FailureCause::NoTimeLeft, _) => "too little time was left to write; nothing was sent",
        (FailureCause::CircuitOpen, _) => "the cluster has not answered lately; nothing was sent",
        (FailureCause::QueueFull, _) => "too many records are waiting to be sent; nothing of this record was sent",
        (FailureCause::Throttled, _) => "the cluster's quota is used up",
        (FailureCause::RecordTooLarge, _) => {
            "the record is larger than the topic accepts: the limit is the topic's max.message.bytes"
        }
        (FailureCause::KeyMissing, _) => "the record has no key, and the topic is compacted: each record needs one",
        (FailureCause::TimestampOutOfRange, _) => {
            "the record's timestamp is too far from the present for the topic (message.timestamp.before.max.ms, \
             message.timestamp.after.max.ms)"
        }
        (FailureCause::TopicMissing, _) => "the topic is configured here but the cluster does not have it",
        (FailureCause::PartitionMissing, _) => "the topic has no such partition",
        (FailureCause::Rejected, _) => "the cluster refuses the record for what is in it",
        (FailureCause::BatchRefused, Persisted::No) => {
            "the cluster refused it together with other records, and no time was left to send it alone; it was not written"
        }
        (FailureCause::Overtaken, _) => {
            "the cluster refused it together with other records, and a later record of its key or partition may be \
             written by now; it was not written, to keep the order"
        }
        (FailureCause::Authentication, _) => "the cluster refused this service's credentials",
        (FailureCause::TopicAuthorization | FailureCause::ClusterAuthorization, _) => {
            "the cluster does not permit this service to write"
        }
        (FailureCause::NotEnoughReplicas, Persisted::No) => "too few in-sync replicas; the record was not written",
        (FailureCause::NotEnoughReplicas, Persisted::Unknown) => {
            "written, but not to enough replicas; it may be lost or kept"
        }
        (FailureCause::BrokersUnreachable, Persisted::No) => "no broker could be reached; the record was not written",
        (FailureCause::TimedOut, Persisted::No) => "not accepted by the cluster in time; the record was not written",
        (_, Persisted::No) => "the record was not written",
        (_, Persisted::Unknown) => "no acknowledgement in time; the record may have been written",
    }
}

/// The part of a record that the cluster refuses, if it is the record that it refuses.
fn refused_part(failure: &PublishFailure) -> Option<RecordPart> {
    match failure.cause {
        FailureCause::KeyMissing => Some(RecordPart::Key),
        FailureCause::TimestampOutOfRange => Some(RecordPart::Timestamp),
        FailureCause::PartitionMissing => Some(RecordPart::Partition),
        FailureCause::RecordTooLarge | FailureCause::Rejected => Some(RecordPart::Whole),
        _ => None,
    }
}

/// The places of the records that the cluster refuses for good, at most [`MAX_NAMED`].
pub(super) fn refused_records(places: Places, results: &[PublishResult]) -> Vec<Fault> {
    let refused = results.iter().enumerate().filter_map(|(index, result)| {
        let failure = result.as_ref().err()?;
        let part = refused_part(failure).filter(|_| failure.persisted == Persisted::No)?;
        Some(Fault { pointer: Some(places.pointer(index, part)), detail: failure_text(failure).to_owned() })
    });
    let mut refused: Vec<Fault> = refused.take(MAX_NAMED).collect();
    // A header that holds for every record is one place.
    refused.dedup();
    refused
}
