//! What became of a request's records, and one record's result as an answer shows it.

use msk_shared::kafka::{Delivery, Persisted, PublishResult};
use serde::Serialize;

/// What became of a request's records, in their order.
pub(crate) struct DeliveryResults {
    /// The records' sizes in bytes.
    pub(crate) sizes: Vec<usize>,
    pub(crate) results: Vec<PublishResult>,
    /// The topic's limit, when a record was too large for it and the cluster tells it.
    pub(crate) limit_bytes: Option<usize>,
}

/// One record's result; its place in the list is the record's place in the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum RecordResult {
    /// Acknowledged by all in-sync replicas, or only checked.
    Written {
        /// Null if the record was only checked, as the next two.
        partition: Option<i32>,
        offset: Option<i64>,
        /// As stored, in milliseconds since the epoch.
        timestamp: Option<i64>,
        /// Always null.
        error_code: Option<u32>,
        /// Always null.
        error: Option<&'static str>,
    },
    /// Not acknowledged. `error` and `message` say the same: Confluent's clients read one, Strimzi's the other.
    Failed {
        /// Always null.
        partition: Option<i32>,
        /// Always null.
        offset: Option<i64>,
        /// As in a problem document.
        error_code: u32,
        error: &'static str,
        message: &'static str,
        /// Whether the same record may succeed later.
        retriable: bool,
        /// `no` or `unknown`.
        persisted: &'static str,
        /// What the topic takes, when the record is too large and the limit known.
        #[serde(skip_serializing_if = "Option::is_none")]
        limit_bytes: Option<usize>,
        /// The record's size, when it is too large.
        #[serde(skip_serializing_if = "Option::is_none")]
        actual_bytes: Option<usize>,
    },
}

impl RecordResult {
    pub(crate) fn written(delivery: &Delivery) -> Self {
        let Delivery { partition, offset, timestamp_ms } = *delivery;
        let (partition, offset) = (Some(partition), Some(offset));
        Self::Written { partition, offset, timestamp: timestamp_ms, error_code: None, error: None }
    }

    /// A record that would be written, but for `?validate_only=true`.
    pub(crate) fn checked() -> Self {
        Self::Written { partition: None, offset: None, timestamp: None, error_code: None, error: None }
    }

    /// `text` says what happened, without host names, tokens or the caller's data.
    pub(crate) fn failed(error_code: u32, text: &'static str, retriable: bool, persisted: Persisted) -> Self {
        Self::Failed {
            partition: None,
            offset: None,
            error_code,
            error: text,
            message: text,
            retriable,
            persisted: persisted_word(persisted),
            limit_bytes: None,
            actual_bytes: None,
        }
    }

    /// The same with the sizes of a record that is too large.
    pub(crate) fn with_sizes(mut self, limit: Option<usize>, actual: usize) -> Self {
        if let Self::Failed { limit_bytes, actual_bytes, .. } = &mut self {
            (*limit_bytes, *actual_bytes) = (limit, Some(actual));
        }
        self
    }
}

/// `persisted` as the API writes it.
pub(crate) fn persisted_word(persisted: Persisted) -> &'static str {
    match persisted {
        Persisted::No => "no",
        Persisted::Unknown => "unknown",
    }
}
