//! The delivery reports of records that were enqueued together: they arrive on the client's polling thread, one by one, and the
//! request that waits is woken once, by the last of them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rdkafka::types::RDKafkaErrorCode as Code;
use tokio::sync::Notify;

use super::failure::{FailureCause, PublishFailure};
use super::publish::PublishResult;

/// What became of one record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Report {
    pub(super) result: PublishResult,
    /// The partition it was meant for, once one was chosen.
    pub(super) partition: Option<i32>,
    /// The client gave it up, because of a purge or a fatal error.
    pub(super) taken_back: bool,
    /// The broker's code, when it refused the record's batch for what was in it and nothing was written.
    pub(super) refused: Option<Code>,
}

impl Report {
    /// Of a record that was not sent.
    pub(super) const fn not_sent(cause: FailureCause) -> Self {
        Self { result: Err(PublishFailure::not_sent(cause)), partition: None, taken_back: false, refused: None }
    }
}

/// Reports that arrive, in the order of their records.
pub(super) struct Reports(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    complete: Notify,
}

struct State {
    reports: Vec<Option<Report>>,
    missing: usize,
    recalled: bool,
}

/// Where one record's report goes. Dropped without one, the record counts as unreported.
pub(super) struct ReportTo {
    shared: Arc<Shared>,
    index: usize,
    brokers_forgotten_before: u64,
    sent: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reports {
    /// Of this many records, and where the report of each goes. So far the client has forgotten so many brokers.
    pub(super) fn for_records(records: usize, brokers_forgotten: u64) -> (Self, impl Iterator<Item = ReportTo>) {
        let state = State { reports: vec![None; records], missing: records, recalled: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), complete: Notify::new() });
        let reports = Self(Arc::clone(&shared));
        let report_to = move |index| ReportTo {
            shared: Arc::clone(&shared),
            index,
            brokers_forgotten_before: brokers_forgotten,
            sent: false,
        };
        (reports, (0..records).map(report_to))
    }

    /// Completes when every report is there.
    pub(super) async fn complete(&self) {
        while self.0.state().missing > 0 {
            self.0.complete.notified().await;
        }
    }

    /// The request itself takes its records back: what is reported from now on has had its time.
    pub(super) fn recall(&self) {
        self.0.state().recalled = true;
    }

    /// What has been reported so far.
    pub(super) fn take(self) -> Vec<Option<Report>> {
        std::mem::take(&mut self.0.state().reports)
    }
}

impl ReportTo {
    /// How many brokers the client had forgotten when the record was enqueued.
    pub(super) fn brokers_forgotten_before(&self) -> u64 {
        self.brokers_forgotten_before
    }

    pub(super) fn send(mut self, report: Report) {
        self.sent = true;
        self.arrive(Some(report));
    }

    fn arrive(&self, report: Option<Report>) {
        let mut state = self.shared.state();
        let recalled = state.recalled;
        // The request may have given up waiting; it has then answered `unknown`.
        if let (Some(mut report), Some(place)) = (report, state.reports.get_mut(self.index)) {
            report.taken_back &= !recalled;
            *place = Some(report);
        }
        state.missing = state.missing.saturating_sub(1);
        let is_last = state.missing == 0;
        drop(state);
        if is_last {
            self.shared.complete.notify_one();
        }
    }
}

impl Drop for ReportTo {
    fn drop(&mut self) {
        if !self.sent {
            self.arrive(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn taken_back() -> Report {
        Report { taken_back: true, ..Report::not_sent(FailureCause::TimedOut) }
    }

    #[test]
    fn complete_with_the_last_report_whatever_the_order_and_with_those_that_never_come() {
        let (reports, to) = Reports::for_records(3, 0);
        let mut to: Vec<ReportTo> = to.collect();
        to.remove(2).send(Report::not_sent(FailureCause::RecordTooLarge));
        drop(to.remove(0));
        assert!(reports.complete().now_or_never().is_none(), "one is missing");
        to.remove(0).send(Report::not_sent(FailureCause::TimedOut));
        assert!(reports.complete().now_or_never().is_some());
        let cause = |report: &Option<Report>| report.map(|report| report.result.unwrap_err().cause);
        let causes: Vec<_> = reports.take().iter().map(cause).collect();
        assert_eq!(causes, [None, Some(FailureCause::TimedOut), Some(FailureCause::RecordTooLarge)]);
    }

    #[test]
    fn only_what_another_request_took_back_may_be_sent_again() {
        let (reports, mut to) = Reports::for_records(3, 0);
        to.next().unwrap().send(taken_back());
        reports.recall();
        to.next().unwrap().send(taken_back());
        let late = to.next().unwrap();
        let again: Vec<_> = reports.take().iter().map(|report| report.map(|report| report.taken_back)).collect();
        assert_eq!(again, [Some(true), Some(false), None]);
        // Nobody waits for it any more.
        late.send(taken_back());
    }

    #[test]
    fn no_records_are_complete_at_once() {
        let (reports, _) = Reports::for_records(0, 0);
        assert!(reports.complete().now_or_never().is_some());
    }
}
