//! Metrics of ordinary requests, added up: under load one line a second, or a hundred requests, instead of one a request.
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
    held: Option<Held>,
}

/// Requests without a line of their own.
#[derive(Debug)]
pub(crate) struct Held {
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
        let none = || Held { since: now, requests: 0, records: 0, bytes: 0, latencies_ms: Vec::new(), queue_depth: 0 };
        let held = self.held.get_or_insert_with(none);
        held.requests += 1;
        if let Some(done) = published {
            held.records += done.records;
            held.bytes += done.bytes;
            held.latencies_ms.push(done.latency.as_secs_f64() * 1000.0);
            held.queue_depth = held.queue_depth.max(queue_depth);
        }
        true
    }

    /// What is held, if it is time to write it.
    pub(crate) fn due(&mut self, now: SystemTime) -> Option<Held> {
        let is_due = |held: &Held| held.latencies_ms.len() >= MAX_VALUES || apart(now, held.since) >= PERIOD;
        if self.held.as_ref().is_some_and(is_due) { self.take(now) } else { None }
    }

    /// A line is written now; returns what was held until then, for a line before it.
    pub(crate) fn take(&mut self, now: SystemTime) -> Option<Held> {
        self.last_line = Some(now);
        self.held.take()
    }
}

impl Held {
    pub(crate) fn line(&self, namespace: &MetricsNamespace) -> EmfLine {
        let line = EmfLine::new(namespace, "producer").at(self.since);
        let line = line.metric("Requests", Unit::Count, self.requests as f64);
        if self.latencies_ms.is_empty() {
            return line;
        }
        line.metric("RecordsPublished", Unit::Count, self.records as f64)
            .metric("BytesPublished", Unit::Bytes, self.bytes as f64)
            .metrics("PublishLatencyMs", Unit::Milliseconds, &self.latencies_ms)
            .metric("QueueDepth", Unit::Count, self.queue_depth as f64)
    }
}
