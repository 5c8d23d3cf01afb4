//! The table of what a broker answers to a batch that it does not write: whose fault that is, whether it is final, and what
//! a caller is told (the cause; `failure_text` of the producer has its words).
//!
//! Kafka refuses batches, callers send records. A refusal says something of a record only when the record was alone in its
//! batch. Kafka can name the records at fault (KIP-467), and librdkafka 2.12 passes that on: a record that is the only one
//! named keeps the batch's code, of several each gets `INVALID_RECORD`, and the others of the batch get
//! `_INVALID_DIFFERENT_RECORD` (`rd_kafka_msgbatch_handle_Produce_result_record_errors`). But a report does not say whether
//! anything was named, sizes never are, and batches came back with all records under `INVALID_TIMESTAMP`: so no conclusion is
//! drawn from it.

use rdkafka::types::RDKafkaErrorCode as Code;

use super::failure::FailureCause;
use super::record::OutboundRecord;

/// Whose fault it is that a batch was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AtFault {
    /// A record's content: final for that record, and says nothing of the others in its batch.
    Record,
    /// Of the batch as a whole: final for a record that is refused alone.
    Batch,
    /// Another record of the same batch: never final.
    Neighbour,
    /// The cluster's, the network's or this service's: librdkafka retries it where that helps; the batch's records share it.
    Cluster,
}

/// One row: a broker's code, whose fault it is, and the cause that a caller is told.
struct Refusal {
    code: Code,
    at_fault: AtFault,
    cause: FailureCause,
}

const fn refusal(code: Code, at_fault: AtFault, cause: FailureCause) -> Refusal {
    Refusal { code, at_fault, cause }
}

/// Codes of a produce response (Kafka protocol guide, "Error codes"). What is not in it is the cluster's fault, and its cause
/// that of `failure.rs`.
const REFUSALS: &[Refusal] = &[
    // No key on a compacted topic; a record without a key has `KeyMissing` instead.
    refusal(Code::InvalidRecord, AtFault::Record, FailureCause::Rejected),
    // Outside `message.timestamp.before.max.ms` and `message.timestamp.after.max.ms` of the topic (KIP-937).
    refusal(Code::InvalidTimestamp, AtFault::Record, FailureCause::TimestampOutOfRange),
    // CORRUPT_MESSAGE: brokers before 2.4 say this of a missing key, too.
    refusal(Code::InvalidMessage, AtFault::Record, FailureCause::Rejected),
    refusal(Code::PolicyViolation, AtFault::Record, FailureCause::Rejected),
    // The topic's `max.message.bytes` limits the batch, compressed or not.
    refusal(Code::MessageSizeTooLarge, AtFault::Batch, FailureCause::RecordTooLarge),
    // RECORD_LIST_TOO_LARGE: the batch does not fit into a segment.
    refusal(Code::MessageBatchTooLarge, AtFault::Batch, FailureCause::RecordTooLarge),
    refusal(Code::InvalidMessageSize, AtFault::Batch, FailureCause::RecordTooLarge),
    refusal(Code::InvalidDifferentRecord, AtFault::Neighbour, FailureCause::BatchRefused),
];

fn row(code: Code) -> Option<&'static Refusal> {
    REFUSALS.iter().find(|row| row.code == code)
}

/// Whose fault a broker's code is.
pub(super) fn at_fault(code: Code) -> AtFault {
    row(code).map_or(AtFault::Cluster, |row| row.at_fault)
}

/// Whether the batch was refused for what is in it: then its records are judged one by one.
pub(super) fn is_for_content(code: Code) -> bool {
    at_fault(code) != AtFault::Cluster
}

/// Why a record that was refused alone is refused for good. The broker checks the key before the
/// timestamp (`LogValidator.validateRecord`), so a record without a key and with this code lacks it.
pub(super) fn cause_alone(code: Code, record: &OutboundRecord) -> FailureCause {
    match code {
        Code::InvalidRecord if record.key.is_none() => FailureCause::KeyMissing,
        _ => row(code).map_or_else(|| FailureCause::from(code), |row| row.cause),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: Option<&'static [u8]>) -> OutboundRecord {
        let (topic, key) = ("orders".parse().unwrap(), key.map(Into::into));
        OutboundRecord { topic, partition: None, key, value: None, timestamp_ms: None, headers: vec![] }
    }

    #[test]
    fn each_code_says_whose_fault_it_is() {
        let cases = [
            (Code::InvalidRecord, AtFault::Record),
            (Code::InvalidTimestamp, AtFault::Record),
            (Code::InvalidMessage, AtFault::Record),
            (Code::PolicyViolation, AtFault::Record),
            (Code::MessageSizeTooLarge, AtFault::Batch),
            (Code::MessageBatchTooLarge, AtFault::Batch),
            (Code::InvalidMessageSize, AtFault::Batch),
            (Code::InvalidDifferentRecord, AtFault::Neighbour),
            (Code::NotEnoughReplicas, AtFault::Cluster),
            (Code::TopicAuthorizationFailed, AtFault::Cluster),
            (Code::UnsupportedCompressionType, AtFault::Cluster),
            (Code::MessageTimedOut, AtFault::Cluster),
        ];
        for (code, expected) in cases {
            assert_eq!(at_fault(code), expected, "{code:?}");
            assert_eq!(is_for_content(code), expected != AtFault::Cluster, "{code:?}");
        }
    }

    #[test]
    fn a_record_refused_alone_has_its_own_reason() {
        let (keyless, keyed) = (record(None), record(Some(b"k")));
        let cases = [
            (Code::InvalidRecord, &keyless, FailureCause::KeyMissing),
            (Code::InvalidRecord, &keyed, FailureCause::Rejected),
            (Code::InvalidTimestamp, &keyless, FailureCause::TimestampOutOfRange),
            (Code::MessageSizeTooLarge, &keyed, FailureCause::RecordTooLarge),
            (Code::MessageBatchTooLarge, &keyed, FailureCause::RecordTooLarge),
            // Cannot be: it has no neighbour. If it is, nothing is known of the record.
            (Code::InvalidDifferentRecord, &keyed, FailureCause::BatchRefused),
        ];
        for (code, record, cause) in cases {
            assert_eq!(cause_alone(code, record), cause, "{code:?}");
        }
    }
}
