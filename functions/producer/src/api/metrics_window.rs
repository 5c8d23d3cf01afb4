//! Metrics of requests, added up. Ordinary ones share a line: under load one line a second, or a hundred requests, instead of one a request.
//!
//! A request that comes alone has its line at once, and one with a failure or anything else out of the ordinary always has one
//! of its own. What is held is at most a second old by the wall clock when the next request arrives, or when the process is told
//! to stop; a freeze in between delays it, and the line bears the time of its requests. Only a process that is killed loses it.

use std::time::{Duration, SystemTime};

use msk_shared::telemetry::{EmfLine, MAX_VALUES, MetricsNamespace, Unit};

use super::published::Published;

/// A fraction of the shortest period that CloudWatch shows without high resolution, a minute.
const PERIOD: Duration = Duration::from_secs(1);

/// The requests since the last line.
#[derive(Debug, Default)]
pub(crate) struct MetricsWindow {
    last_line: Option<SystemTime>,
    held: Option<RequestTotals>,
}

/// What the requests of one line add up to.
#[derive(Debug)]
pub(crate) struct RequestTotals {
    /// When the first of them ended.
    since: SystemTime,
    requests: usize,
    records: usize,
    bytes: usize,
    latencies_ms: Vec<f64>,
    queue_depth: u64,
}

/// The wall clock may be set back; then the distance counts too.
fn apart(one: SystemTime, other: SystemTime) -> Duration {
    one.duration_since(other).unwrap_or_else(|error| error.duration())
}

impl MetricsWindow {
    /// Holds an ordinary request, unless it comes so long after the last line that it has its own: then `false`.
    pub(crate) fn hold(&mut self, published: Option<Published>, queue_depth: u64, now: SystemTime) -> bool {
        if self.held.is_none() && self.last_line.is_none_or(|last| apart(now, last) >= PERIOD) {
            return false;
        }
        self.held.get_or_insert_with(|| RequestTotals::since(now)).add(published, queue_depth);
        true
    }

    /// What is held, if it is time to write it.
    pub(crate) fn due(&mut self, now: SystemTime) -> Option<RequestTotals> {
        let is_due = |held: &RequestTotals| held.latencies_ms.len() >= MAX_VALUES || apart(now, held.since) >= PERIOD;
        if self.held.as_ref().is_some_and(is_due) { self.take(now) } else { None }
    }

    /// A line is written now; returns what was held until then, for a line before it.
    pub(crate) fn take(&mut self, now: SystemTime) -> Option<RequestTotals> {
        self.last_line = Some(now);
        self.held.take()
    }
}

impl RequestTotals {
    pub(crate) fn since(since: SystemTime) -> Self {
        Self { since, requests: 0, records: 0, bytes: 0, latencies_ms: Vec::new(), queue_depth: 0 }
    }

    /// Adds a request that writes, and what it did with records if it came to that.
    pub(crate) fn add(&mut self, published: Option<Published>, queue_depth: u64) {
        self.requests += 1;
        let Some(done) = published else { return };
        self.records += done.records - done.failed;
        self.bytes += done.bytes;
        self.latencies_ms.push(done.latency.as_secs_f64() * 1000.0);
        self.queue_depth = self.queue_depth.max(queue_depth);
    }

    /// Their line; one without metrics if there are none.
    pub(crate) fn line(&self, namespace: &MetricsNamespace) -> EmfLine {
        let mut line = EmfLine::new(namespace, "producer").at(self.since);
        if self.requests > 0 {
            line = line.metric("Requests", Unit::Count, self.requests as f64);
        }
        if self.latencies_ms.is_empty() {
            return line;
        }
        line.metric("RecordsPublished", Unit::Count, self.records as f64)
            .metric("BytesPublished", Unit::Bytes, self.bytes as f64)
            .metrics("PublishLatencyMs", Unit::Milliseconds, &self.latencies_ms)
            .metric("QueueDepth", Unit::Count, self.queue_depth as f64)
    }
}
