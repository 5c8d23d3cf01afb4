//! What a request did with records, for its log line and its metrics.

use std::time::Duration;

use msk_shared::kafka::{FailureCause, PublishResult};

use super::problem::ProblemKind;

/// An extension of a response.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Published {
    /// Records that the publisher was asked to write.
    pub(crate) records: usize,
    /// Of these, not acknowledged.
    pub(crate) failed: usize,
    /// Bytes of keys, values and headers of the acknowledged.
    pub(crate) bytes: usize,
    /// From the first record's enqueueing to the last acknowledgement.
    pub(crate) latency: Duration,
    /// The most severe failure's `error_code`.
    pub(crate) error_code: Option<u32>,
    /// Records that the cluster refused because this service lacks a permission.
    pub(crate) unauthorized: usize,
    /// Good records that were not written to keep the order, after their batch was refused for another record.
    pub(crate) overtaken: usize,
}

impl Published {
    /// `sizes` are those of the records, in bytes.
    pub(crate) fn from_results(sizes: &[usize], results: &[PublishResult], latency: Duration) -> Self {
        let failures = results.iter().filter_map(|result| result.as_ref().err());
        let lacks_rights =
            |cause| matches!(cause, FailureCause::TopicAuthorization | FailureCause::ClusterAuthorization);
        let unauthorized = failures.clone().filter(|failure| lacks_rights(failure.cause)).count();
        let overtaken = failures.clone().filter(|failure| failure.cause == FailureCause::Overtaken).count();
        let most_severe = failures.clone().map(ProblemKind::for_failure).max_by_key(|kind| kind.severity());
        Self {
            records: results.len(),
            failed: failures.count(),
            bytes: sizes.iter().zip(results).filter(|(_, result)| result.is_ok()).map(|(size, _)| size).sum(),
            latency,
            error_code: most_severe.map(|kind| kind.row().error_code),
            unauthorized,
            overtaken,
        }
    }
}
