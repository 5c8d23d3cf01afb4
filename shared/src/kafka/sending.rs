//! Sending and waiting: every record of a request is enqueued before any is awaited, and each is answered by its own report.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::PublishResult;
use super::admission::CONNECT;
use super::client::{Client, Pending};
use super::context::Report;
use super::failure::{FailureCause, Persisted, PublishFailure};
use super::publisher::{KafkaPublisher, MIN_REMAINING, RESERVE, TIMEOUT_SCAN};
use super::record::OutboundRecord;
use super::sabotage::{self, Sabotage};
use crate::deadline::Deadline;

/// On top of the time in which librdkafka's own verdict is due.
const SLACK: Duration = Duration::from_millis(200);
/// How long the reports of purged records may take.
const PURGE_REPORTS: Duration = Duration::from_millis(800);

/// A record whose report never came.
const UNREPORTED: Report = Report {
    result: Err(PublishFailure { cause: FailureCause::TimedOut, persisted: Persisted::Unknown }),
    partition: -1,
    taken_back: false,
};

impl KafkaPublisher {
    /// Sends records in order on one client; what surely was not written because that client was taken away meanwhile goes
    /// out once more on the next one.
    pub(super) async fn send(
        &self,
        client: &Arc<Client>,
        records: &[OutboundRecord],
        deadline: Deadline,
    ) -> Vec<PublishResult> {
        let mut reports = self.send_once(client, records, deadline).await;
        let again: Vec<usize> = (0..reports.len()).filter(|index| may_be_resent(&reports[*index])).collect();
        // A record must not overtake an earlier one of the same request whose fate is unknown.
        let unknown = |report: &Report| matches!(report.result, Err(f) if f.persisted == Persisted::Unknown);
        if !again.is_empty()
            && !reports.iter().any(unknown)
            && deadline.remaining() >= MIN_REMAINING
            && let Ok(client) = self.admit(deadline).await
        {
            let records: Vec<OutboundRecord> = again.iter().map(|index| records[*index].clone()).collect();
            let resent = self.send_once(&client, &records, deadline).await;
            for (index, report) in again.into_iter().zip(resent) {
                reports[index] = report;
            }
        }
        reports.into_iter().map(|report| report.result).collect()
    }

    /// Sends, waits, and notes at the records' partitions how it went.
    async fn send_once(&self, client: &Arc<Client>, records: &[OutboundRecord], deadline: Deadline) -> Vec<Report> {
        let pending = client.enqueue(records);
        let reports = settle(client, pending, self.cutoff(deadline)).await;
        let outcomes = records.iter().zip(&reports).filter(|(_, report)| report.partition >= 0);
        self.0
            .partitions
            .note(outcomes.map(|(record, report)| ((record.topic.clone(), report.partition), report.result)));
        reports
    }

    /// When waiting ends.
    fn cutoff(&self, deadline: Deadline) -> Instant {
        let settings = &self.0.settings;
        let timeout = settings.delivery_timeout().max(settings.message_timeout() + TIMEOUT_SCAN) + SLACK;
        if sabotage::is_on(Sabotage::NoAdmission) {
            return Instant::now() + timeout;
        }
        deadline.less(RESERVE).at_most(timeout).instant()
    }

    /// librdkafka keeps refusing a topic after one authorization failure until its next metadata refresh, up to a minute
    /// later: ask now, so that a mended policy is noticed by the next request.
    pub(super) fn refresh_refused_topics(
        &self,
        client: &Arc<Client>,
        records: &[OutboundRecord],
        results: &[PublishResult],
    ) {
        let refused = |result: &PublishResult| matches!(result, Err(f) if f.cause == FailureCause::TopicAuthorization);
        let topics = records.iter().zip(results).filter(|(_, result)| refused(result)).map(|(record, _)| &record.topic);
        for topic in topics.collect::<BTreeSet<_>>() {
            let (client, topic) = (Arc::clone(client), topic.clone());
            tokio::spawn(async move { client.partition_count(&topic, Duration::ZERO, CONNECT).await });
        }
    }
}

/// Waits for every record until `cutoff`; then takes back what is left and lets each record's own status speak.
async fn settle(client: &Client, pending: Vec<Pending>, cutoff: Instant) -> Vec<Report> {
    let mut reports = Vec::with_capacity(pending.len());
    let mut until = cutoff;
    let mut purged = false;
    for mut report in pending {
        let mut awaited = tokio::time::timeout_at(until.into(), &mut report).await;
        if awaited.is_err() && !purged {
            tracing::warn!("records were not acknowledged in time; taking them back");
            client.purge();
            purged = true;
            until = Instant::now() + PURGE_REPORTS;
            awaited = tokio::time::timeout_at(until.into(), report).await;
        }
        let mut report = awaited.unwrap_or(Ok(UNREPORTED)).unwrap_or(UNREPORTED);
        // What this request itself took back has had its time.
        report.taken_back &= !purged;
        reports.push(report);
    }
    reports
}

fn may_be_resent(report: &Report) -> bool {
    report.taken_back && matches!(report.result, Err(PublishFailure { persisted: Persisted::No, .. }))
}
