//! Delivers a request's records so that no record's result comes from a neighbour's fault.
//!
//! Kafka refuses batches. What librdkafka 2.12.1 does then (`rdkafka_request.c`, `rd_kafka_handle_Produce_error`, near
//! 4517): every record of the batch gets its report at once, as not persisted; the client drains, that is it waits until
//! nothing is in flight on any partition, raises its producer epoch, and numbers anew what waits. Batches of the same
//! partition that were in flight behind the refused one come back for their sequence numbers and are sent again, before
//! anything enqueued later; on a partition that the producer has not written yet they are even taken as they are. So by the
//! time a request learns of the refusal, later records of a key may stand in the log, and what it sends again stands behind.
//! Which records share a batch depends on timing and on other requests, so a part of a batch cannot be sent "as a batch".
//!
//! Hence the mechanism. All records go together first: where nothing is refused, that is all there is. What was in a refused
//! batch is sent once more, in the order of the request, on a client whose batches have one record
//! (`batch.num.messages=1`). What a broker refuses there, it refuses for that record, and only that is final
//! (`refusal.rs`). A record behind which its key or partition was written already is not sent again: `Overtaken`,
//! to be retried by the caller. To make that rare, records that share their order go alone from the start where a refusal is
//! possible (`topic_refusals.rs`), and so do records of a kind that their topic has refused, which then take no others along.
//!
//! The second client has one record under way at a time, of all requests. Raising the epoch has a flaw: a record that waits
//! to be sent again, and may be written (a leader that gives its partition away answers `NOT_LEADER_OR_FOLLOWER` to what it
//! has appended), gets a new sequence number, and the brokers take it twice. Seen while brokers restarted: one record in
//! 13,000 with five in flight. So nothing may be under way when a record is refused.
//!
//! The cost: nothing but a look-up while nothing is refused; a second client, with its own connections, from the first
//! refusal on; and for records sent alone one round trip each, one after the other: some hundred a second. What does not get
//! its turn in time is `BatchRefused`, to be retried.

use std::sync::Arc;

use tokio::sync::{Mutex, OnceCell};

use super::client::Client;
use super::client_slot::ClientSlot;
use super::failure::{FailureCause, Persisted, PublishFailure};
use super::publish::PublishResult;
use super::record::OutboundRecord;
use super::record_delivery::{RecordDelivery, order_is_lost};
use super::refusal::cause_alone;
use super::reports::Report;
use super::settings::{RESERVE, has_time};
use super::topic_refusals::TopicRefusals;
use crate::deadline::Deadline;

/// The second client, once something was refused, and what is known of refusals.
#[derive(Default)]
pub(super) struct Isolation {
    slot: OnceCell<ClientSlot>,
    /// Held while a record is under way on it.
    turn: Mutex<()>,
    topics: TopicRefusals,
}

impl Isolation {
    /// The second client, if there is one yet.
    pub(super) fn slot(&self) -> Option<&ClientSlot> {
        self.slot.get()
    }

    /// One result per record; `together` and `client` are for those that may share batches.
    pub(super) async fn deliver(
        &self,
        together: &RecordDelivery<'_>,
        client: &Arc<Client>,
        records: &[OutboundRecord],
    ) -> Vec<PublishResult> {
        let alone = self.topics.alone(records);
        let reports = if alone.contains(&true) {
            self.send_apart(together, client, records, &alone).await
        } else {
            together.send(client, records).await
        };
        let results = self.judge(together, records, reports, &alone).await;
        self.topics.note_results(records, &results);
        results
    }

    /// Sends some records alone and the others together, at the same time: no two of them share their order.
    async fn send_apart(
        &self,
        together: &RecordDelivery<'_>,
        client: &Arc<Client>,
        records: &[OutboundRecord],
        alone: &[bool],
    ) -> Vec<Report> {
        let (apart, rest): (Vec<usize>, Vec<usize>) = (0..records.len()).partition(|index| alone[*index]);
        let (apart_records, rest_records) = (chosen(records, &apart), chosen(records, &rest));
        let (apart_reports, rest_reports) = tokio::join!(
            self.send_alone(together, &apart_records, FailureCause::NoTimeLeft),
            together.send(client, &rest_records)
        );
        let mut reports = vec![Report::not_sent(FailureCause::NoTimeLeft); records.len()];
        let sent = apart.into_iter().zip(apart_reports).chain(rest.into_iter().zip(rest_reports));
        sent.for_each(|(index, report)| reports[index] = report);
        reports
    }

    /// Makes results of reports: what was refused in a batch is sent alone.
    async fn judge(
        &self,
        together: &RecordDelivery<'_>,
        records: &[OutboundRecord],
        mut reports: Vec<Report>,
        alone: &[bool],
    ) -> Vec<PublishResult> {
        let refused = |(index, report): (usize, &Report)| Some((index, report.refused?));
        let refused: Vec<_> = reports.iter().enumerate().filter_map(refused).collect();
        let mut again = Vec::new();
        for (index, code) in refused {
            let record = &records[index];
            self.topics.note_refusal(&record.topic);
            let not_sent = |cause| Err(PublishFailure::not_sent(cause));
            if alone[index] {
                reports[index].result = not_sent(cause_alone(code, record));
            } else if order_is_lost(index, records, &reports) {
                reports[index].result = not_sent(FailureCause::Overtaken);
            } else {
                again.push(index);
            }
        }
        let resent = self.send_alone(together, &chosen(records, &again), FailureCause::BatchRefused).await;
        for (index, report) in again.into_iter().zip(resent) {
            let refused_alone = report.refused.map(|code| cause_alone(code, &records[index]));
            reports[index].result = refused_alone.map_or(report.result, |cause| Err(PublishFailure::not_sent(cause)));
        }
        reports.into_iter().map(|report| report.result).collect()
    }

    /// Sends one record after the other, in order; `out_of_time` is the cause of those for which no time is left.
    async fn send_alone(
        &self,
        together: &RecordDelivery<'_>,
        records: &[OutboundRecord],
        out_of_time: FailureCause,
    ) -> Vec<Report> {
        let mut reports = Vec::with_capacity(records.len());
        for record in records {
            let report = self.send_one(together, record, out_of_time).await;
            let is_unknown = matches!(report.result, Err(failure) if failure.persisted == Persisted::Unknown);
            reports.push(report);
            // A later record must not overtake one that may be written; the time is over anyway.
            if is_unknown {
                break;
            }
        }
        reports.resize(records.len(), Report::not_sent(out_of_time));
        reports
    }

    async fn send_one(
        &self,
        RecordDelivery { slot: main, partitions, deadline }: &RecordDelivery<'_>,
        record: &OutboundRecord,
        out_of_time: FailureCause,
    ) -> Report {
        let bound = deadline.less(RESERVE).instant();
        let Ok(_turn) = tokio::time::timeout_at(bound.into(), self.turn.lock()).await else {
            return Report::not_sent(out_of_time);
        };
        if !has_time(*deadline) {
            return Report::not_sent(out_of_time);
        }
        let (slot, client) = match self.admit(main, *deadline).await {
            Ok(admitted) => admitted,
            Err(failure) => return Report::not_sent(failure.cause),
        };
        // Connecting may have used it up.
        if !has_time(*deadline) {
            return Report::not_sent(out_of_time);
        }
        let alone = RecordDelivery { slot, partitions, deadline: *deadline };
        let report = alone.send(&client, std::slice::from_ref(record)).await.pop();
        let report = report.unwrap_or(Report::not_sent(out_of_time));
        slot.note_results(&[report.result]);
        report
    }

    async fn admit(&self, main: &ClientSlot, deadline: Deadline) -> Result<(&ClientSlot, Arc<Client>), PublishFailure> {
        let start = || async {
            let settings = main.settings.clone();
            // Creating a client reads certificates and starts threads: never on an async thread.
            let started = tokio::task::spawn_blocking(move || ClientSlot::start_alone(settings)).await;
            let started = started.map_err(|error| error.to_string()).and_then(|it| it.map_err(|e| e.to_string()));
            started.map_err(|error| {
                tracing::error!(error, "the Kafka client for single records cannot be created");
                PublishFailure { cause: FailureCause::Fatal, persisted: Persisted::No }
            })
        };
        let slot = self.slot.get_or_try_init(start).await?;
        let client = slot.admit(deadline).await.inspect_err(|_| slot.breaker.note_failure())?;
        Ok((slot, client))
    }
}

fn chosen(records: &[OutboundRecord], indices: &[usize]) -> Vec<OutboundRecord> {
    indices.iter().map(|index| records[*index].clone()).collect()
}
