//! One line of CloudWatch metrics per batch.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use msk_shared::event::MskEvent;
use msk_shared::telemetry::{EmfLine, MetricsNamespace, Unit};

use crate::processing::Disposition;

/// What became of a batch's records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) received: usize,
    pub(crate) done: usize,
    pub(crate) skipped: usize,
    pub(crate) retried: usize,
    pub(crate) poisoned: usize,
    pub(crate) duplicates: usize,
    pub(crate) dead_lettered: usize,
    pub(crate) decode_errors: usize,
}

impl Tally {
    pub(crate) fn new(dispositions: &[Disposition]) -> Self {
        let mut tally = Self { received: dispositions.len(), ..Self::default() };
        for one in dispositions {
            match one {
                Disposition::Done => tally.done += 1,
                Disposition::Skipped => tally.skipped += 1,
                Disposition::Duplicate => tally.duplicates += 1,
                Disposition::Failed | Disposition::Unprocessed => tally.retried += 1,
                Disposition::Poison { kept, undecodable } => {
                    tally.poisoned += 1;
                    tally.decode_errors += usize::from(*undecodable);
                    tally.dead_lettered += usize::from(*kept);
                    tally.retried += usize::from(!*kept);
                }
            }
        }
        tally
    }
}

/// The metrics line of a batch. The alarms and dashboards depend on these names.
pub(crate) fn line(
    namespace: &MetricsNamespace,
    request_id: &str,
    event: &MskEvent,
    tally: Tally,
    bytes: usize,
    took: Duration,
) -> EmfLine {
    let counts = [
        ("RecordsReceived", tally.received),
        ("RecordsDone", tally.done),
        ("RecordsSkipped", tally.skipped),
        ("RecordsRetried", tally.retried),
        ("RecordsPoisoned", tally.poisoned),
        ("Duplicates", tally.duplicates),
        ("DeadLettered", tally.dead_lettered),
        ("DecodeErrors", tally.decode_errors),
    ];
    let line = EmfLine::new(namespace, "consumer").property("request_id", request_id);
    let line = counts.into_iter().fold(line, |line, (name, count)| line.metric(name, Unit::Count, count as f64));
    let line = line.metric("BatchBytes", Unit::Bytes, bytes as f64).metric(
        "BatchDurationMs",
        Unit::Milliseconds,
        round_ms(took.as_secs_f64() * 1000.0),
    );
    let ages = Ages::new(event, now_ms());
    ages.0.last().into_iter().fold(line, |line, oldest| {
        line.metric("RecordAgeP50Ms", Unit::Milliseconds, ages.percentile(50) as f64)
            .metric("RecordAgeP99Ms", Unit::Milliseconds, ages.percentile(99) as f64)
            .metric("RecordAgeMaxMs", Unit::Milliseconds, *oldest as f64)
    })
}

/// How long ago the records were written, in milliseconds, youngest first. Records without a timestamp have no age.
struct Ages(Vec<i64>);

impl Ages {
    fn new(event: &MskEvent, now_ms: i64) -> Self {
        let mut ages: Vec<i64> =
            event.records().filter_map(|record| Some(now_ms.saturating_sub(record.timestamp_ms()?).max(0))).collect();
        ages.sort_unstable();
        Self(ages)
    }

    /// The percentile by the nearest-rank method.
    fn percentile(&self, percent: usize) -> i64 {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).copied().unwrap_or_default()
    }
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// Rounds to the microsecond: more digits are noise.
fn round_ms(ms: f64) -> f64 {
    (ms * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use msk_shared::event::{Record, TimestampType};

    #[test]
    fn the_line_has_every_name_that_alarms_watch() {
        let settled = [
            Disposition::Done,
            Disposition::Skipped,
            Disposition::Duplicate,
            Disposition::Failed,
            Disposition::Unprocessed,
            Disposition::Poison { kept: true, undecodable: true },
            Disposition::Poison { kept: false, undecodable: false },
        ];
        let event = MskEvent::new((0..7).map(|n| Record::new("t", 0, n).with_timestamp(n, TimestampType::CreateTime)));
        let line =
            line(&MetricsNamespace::default(), "r-1", &event, Tally::new(&settled), 1234, Duration::from_micros(1500))
                .to_json();
        for (name, value) in [
            ("RecordsReceived", 7.0),
            ("RecordsDone", 1.0),
            ("RecordsSkipped", 1.0),
            ("RecordsRetried", 3.0),
            ("RecordsPoisoned", 2.0),
            ("Duplicates", 1.0),
            ("DeadLettered", 1.0),
            ("DecodeErrors", 1.0),
            ("BatchBytes", 1234.0),
            ("BatchDurationMs", 1.5),
        ] {
            assert_eq!(line[name].as_f64(), Some(value), "{name}");
        }
        for name in ["RecordAgeP50Ms", "RecordAgeP99Ms", "RecordAgeMaxMs"] {
            assert!(line[name].as_i64().is_some_and(|age| age > 1_700_000_000_000), "{name}");
        }
        assert_eq!(line["service"], "consumer");
        assert_eq!(line["request_id"], "r-1");
        assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().map(Vec::len), Some(13));
    }

    #[test]
    fn ages_are_nearest_ranks_and_never_negative() {
        let record = |n: i64| Record::new("t", 0, n).with_timestamp(1000 - n, TimestampType::CreateTime);
        let ages = Ages::new(&MskEvent::new((-1..=99).map(record)), 1000);
        assert_eq!((ages.percentile(50), ages.percentile(99), ages.0[0]), (49, 98, 0));
        let none = line(
            &MetricsNamespace::default(),
            "r",
            &MskEvent::new([Record::new("t", 0, 0)]),
            Tally::default(),
            0,
            Duration::ZERO,
        );
        assert!(none.to_json().get("RecordAgeMaxMs").is_none());
    }
}
