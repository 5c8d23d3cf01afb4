//! One record's result as an answer shows it.

use msk_shared::kafka::{Delivery, Persisted};
use serde::Serialize;

/// One record's result; its place in the list is the record's place in the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum RecordResult {
    /// Acknowledged by all in-sync replicas.
    Written {
        partition: i32,
        offset: i64,
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
    },
}

impl RecordResult {
    pub(crate) fn written(delivery: &Delivery) -> Self {
        let Delivery { partition, offset, timestamp_ms } = *delivery;
        Self::Written { partition, offset, timestamp: timestamp_ms, error_code: None, error: None }
    }

    /// `text` says what happened, without host names, tokens or the caller's data.
    pub(crate) fn failed(error_code: u32, text: &'static str, retriable: bool, persisted: Persisted) -> Self {
        let persisted = persisted_word(persisted);
        Self::Failed { partition: None, offset: None, error_code, error: text, message: text, retriable, persisted }
    }
}

/// `persisted` as the API writes it.
pub(crate) fn persisted_word(persisted: Persisted) -> &'static str {
    match persisted {
        Persisted::No => "no",
        Persisted::Unknown => "unknown",
    }
}
