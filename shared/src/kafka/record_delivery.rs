//! Sending and waiting: every record of a request is enqueued before any is awaited, and each is answered by its own report.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::client::Client;
use super::client_slot::ClientSlot;
use super::failure::{FailureCause, Persisted, PublishFailure};
use super::partition_health::PartitionHealth;
use super::publish::PublishResult;
use super::record::OutboundRecord;
use super::reports::{Report, Reports};
use super::settings::{CONNECT, PURGE_REPORTS, has_time};
use crate::deadline::Deadline;
use crate::names::TopicName;

/// A record whose report never came.
const UNREPORTED: Report = Report {
    result: Err(PublishFailure { cause: FailureCause::TimedOut, persisted: Persisted::Unknown }),
    partition: None,
    taken_back: false,
    refused: None,
};

/// Where records of one request go, and who learns how it went.
pub(super) struct RecordDelivery<'a> {
    pub(super) slot: &'a ClientSlot,
    pub(super) partitions: &'a PartitionHealth,
    pub(super) deadline: Deadline,
}

impl RecordDelivery<'_> {
    /// Sends records in order on one client; what was certainly not written because that client was taken away meanwhile is
    /// sent once more on the next one.
    pub(super) async fn send(&self, client: &Arc<Client>, records: &[OutboundRecord]) -> Vec<Report> {
        let mut reports = self.send_once(client, records).await;
        let again: Vec<usize> = (0..reports.len())
            .filter(|index| may_be_resent(&reports[*index]) && !is_overtaken(*index, records, &reports))
            .collect();
        // A record must not overtake an earlier one of the same request that may have been written.
        if !again.is_empty()
            && !reports.iter().any(may_be_written)
            && has_time(self.deadline)
            && let Ok(client) = self.slot.admit(self.deadline).await
            // Connecting may have used it up.
            && has_time(self.deadline)
        {
            let records: Vec<OutboundRecord> = again.iter().map(|index| records[*index].clone()).collect();
            let resent = self.send_once(&client, &records).await;
            for (index, report) in again.into_iter().zip(resent) {
                reports[index] = report;
            }
        }
        reports
    }

    /// Sends, waits, and notes the results at the records' partitions.
    async fn send_once(&self, client: &Arc<Client>, records: &[OutboundRecord]) -> Vec<Report> {
        let sent = client.enqueue(records);
        let topic = records.first().map(|record| &record.topic);
        let reports = settle(client, sent, topic, self.slot.settings.cutoff(self.deadline)).await;
        let by_partition = records.iter().zip(&reports).filter_map(|(record, report)| {
            let partition = report.partition?;
            Some(((record.topic.clone(), partition), report.result))
        });
        self.partitions.note(by_partition);
        reports
    }
}

/// librdkafka keeps refusing a topic after one authorization failure until its next metadata refresh, up to a minute
/// later: ask now, so that a mended policy is noticed by the next request.
pub(super) fn refresh_refused_topics(client: &Arc<Client>, records: &[OutboundRecord], results: &[PublishResult]) {
    let refused = |result: &PublishResult| matches!(result, Err(f) if f.cause == FailureCause::TopicAuthorization);
    let topics = records.iter().zip(results).filter(|(_, result)| refused(result)).map(|(record, _)| &record.topic);
    for topic in topics.collect::<BTreeSet<_>>() {
        let (client, topic) = (Arc::clone(client), topic.clone());
        tokio::spawn(async move { client.partitions(&topic, Duration::ZERO, CONNECT).await });
    }
}

/// Waits for every record until `cutoff`; then takes back what is left; each record's own status decides.
async fn settle(client: &Arc<Client>, reports: Reports, topic: Option<&TopicName>, cutoff: Instant) -> Vec<Report> {
    if tokio::time::timeout_at(cutoff.into(), client.wait_for(&reports, topic)).await.is_err() {
        tracing::warn!("records were not acknowledged in time; taking them back");
        reports.recall();
        client.purge();
        let _ = tokio::time::timeout(PURGE_REPORTS, reports.complete()).await;
    }
    reports.take().into_iter().map(|report| report.unwrap_or(UNREPORTED)).collect()
}

fn may_be_resent(report: &Report) -> bool {
    report.taken_back && matches!(report.result, Err(PublishFailure { persisted: Persisted::No, .. }))
}

fn may_be_written(report: &Report) -> bool {
    matches!(report.result, Err(PublishFailure { persisted: Persisted::Unknown, .. }))
}

/// Whether two records must keep their order; `report` is the other one's.
fn are_in_order(record: &OutboundRecord, other: &OutboundRecord, report: &Report) -> bool {
    let same_key = record.key.is_some() && other.key == record.key;
    let same_partition = record.partition.is_some() && record.partition == report.partition;
    other.topic == record.topic && (same_key || same_partition)
}

/// Whether a later record with the same key or partition was written: the record's place in their order is gone.
fn is_overtaken(index: usize, records: &[OutboundRecord], reports: &[Report]) -> bool {
    let mut later = records.iter().zip(reports).skip(index + 1);
    later.any(|(later, report)| report.result.is_ok() && are_in_order(&records[index], later, report))
}

/// Whether a record that is not written must not be sent any more: a later one of its key or partition is written, or any
/// other of them may be.
pub(super) fn order_is_lost(index: usize, records: &[OutboundRecord], reports: &[Report]) -> bool {
    let mut others = records.iter().zip(reports);
    is_overtaken(index, records, reports)
        || others.any(|(other, report)| may_be_written(report) && are_in_order(&records[index], other, report))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::Delivery;

    fn record(key: Option<&'static [u8]>, partition: Option<i32>) -> OutboundRecord {
        let topic = "orders".parse().unwrap();
        OutboundRecord { topic, partition, key: key.map(Into::into), value: None, timestamp_ms: None, headers: vec![] }
    }

    fn report(written: bool, partition: i32) -> Report {
        let delivery = Delivery { partition, offset: 7, timestamp_ms: None };
        let result = if written { Ok(delivery) } else { Err(PublishFailure::not_sent(FailureCause::TimedOut)) };
        Report { result, partition: Some(partition).filter(|_| written), taken_back: !written, refused: None }
    }

    #[test]
    fn a_record_behind_which_its_key_or_partition_was_written_is_not_sent_again() {
        let key = Some(b"k".as_slice());
        let cases = [
            ("same key", record(key, None), record(key, None), true, true),
            ("same key, not written", record(key, None), record(key, None), false, false),
            ("another key", record(key, None), record(Some(b"l"), None), true, false),
            ("no key", record(None, None), record(None, None), true, false),
            ("same partition", record(None, Some(2)), record(None, Some(2)), true, true),
            ("another partition", record(None, Some(1)), record(None, Some(2)), true, false),
        ];
        for (case, first, second, written, overtaken) in cases {
            let reports = [report(false, -1), report(written, 2)];
            let records = [first, second];
            assert_eq!(is_overtaken(0, &records, &reports), overtaken, "{case}");
            assert_eq!(order_is_lost(0, &records, &reports), overtaken, "{case}");
            assert!(!order_is_lost(1, &records, &reports), "{case}: the earlier one is not written");
        }
    }
}
