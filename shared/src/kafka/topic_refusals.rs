//! What topics have refused lately, and so which records of a request are sent alone from the start.
//!
//! Two kinds are. A record of a kind that its topic refuses, so that it does not take the records of others along. And, where
//! a refusal is possible, a record that shares its key or named partition with another of its request: a later one must not
//! be written before it is known what became of the earlier one's batch. A refusal is possible on a topic that has refused
//! something lately, and where records without key stand beside keyed ones on a topic that has not taken any without key
//! yet (it may be compacted).

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::failure::FailureCause;
use super::publish::PublishResult;
use super::record::OutboundRecord;
use crate::names::TopicName;

/// How long a refusal is remembered: callers that send bad records send more of them, and topics are mended within minutes.
const MEMORY: Duration = Duration::from_secs(5 * 60);

/// What is known of one topic.
#[derive(Debug, Default)]
struct Known {
    refused_at: Option<Instant>,
    /// It has written a record without a key: it is not compacted.
    takes_keyless: bool,
    /// Kinds that it has refused for good.
    refuses_keyless: bool,
    refuses_timestamps: bool,
    /// The smallest size that it has refused for good, in bytes.
    too_large: Option<usize>,
}

impl Known {
    fn has_refused_lately(&self) -> bool {
        self.refused_at.is_some_and(|at| at.elapsed() < MEMORY)
    }

    fn refuses(&self, record: &OutboundRecord) -> bool {
        self.refuses_keyless && record.key.is_none()
            || self.refuses_timestamps && record.timestamp_ms.is_some()
            || self.too_large.is_some_and(|size| record.size() >= size)
    }
}

/// What is known of the topics' refusals. Topics that refuse nothing cost one look-up a request.
#[derive(Debug, Default)]
pub(super) struct TopicRefusals {
    topics: Mutex<HashMap<TopicName, Known>>,
}

impl TopicRefusals {
    /// Notes that a broker refused a batch of this topic for what was in it.
    pub(super) fn note_refusal(&self, topic: &TopicName) {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        let known = topics.entry(topic.clone()).or_default();
        if !known.has_refused_lately() {
            *known = Known { takes_keyless: known.takes_keyless, ..Known::default() };
        }
        known.refused_at = Some(Instant::now());
    }

    /// Notes what records' final results say of their topics.
    pub(super) fn note_results(&self, records: &[OutboundRecord], results: &[PublishResult]) {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        for (record, result) in records.iter().zip(results) {
            match result {
                Ok(_) if record.key.is_none() => {
                    if !topics.get(&record.topic).is_some_and(|known| known.takes_keyless) {
                        topics.entry(record.topic.clone()).or_default().takes_keyless = true;
                    }
                }
                Ok(_) => {}
                Err(failure) => {
                    let Some(known) = topics.get_mut(&record.topic) else { continue };
                    match failure.cause {
                        FailureCause::KeyMissing => (known.refuses_keyless, known.takes_keyless) = (true, false),
                        FailureCause::TimestampOutOfRange => known.refuses_timestamps = true,
                        FailureCause::RecordTooLarge => {
                            let size = record.size();
                            known.too_large = Some(known.too_large.map_or(size, |smallest| smallest.min(size)));
                        }
                        _ => {}
                    }
                }
            }
        }
    }

    /// Whether each record is to be sent alone.
    pub(super) fn alone(&self, records: &[OutboundRecord]) -> Vec<bool> {
        let mixed = is_mixed(records);
        let topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        if !mixed && !topics.values().any(Known::has_refused_lately) {
            return vec![false; records.len()];
        }
        let mut shared: Option<Vec<bool>> = None;
        let mut alone = vec![false; records.len()];
        for (index, record) in records.iter().enumerate() {
            let known = topics.get(&record.topic);
            let lately = known.is_some_and(Known::has_refused_lately);
            if lately || mixed && !known.is_some_and(|known| known.takes_keyless) {
                let shared = shared.get_or_insert_with(|| share_order(records));
                alone[index] = shared[index] || lately && known.is_some_and(|known| known.refuses(record));
            }
        }
        alone
    }
}

/// Whether some of a request's records have a key and some have none.
fn is_mixed(records: &[OutboundRecord]) -> bool {
    records.first().is_some_and(|first| records.iter().any(|record| record.key.is_some() != first.key.is_some()))
}

/// Whether each record shares its key or its named partition with another one, and so its place among records.
fn share_order(records: &[OutboundRecord]) -> Vec<bool> {
    let keys = counts(records.iter().filter_map(|record| Some((&record.topic, record.key.as_ref()?))));
    let partitions = counts(records.iter().filter_map(|record| Some((&record.topic, record.partition?))));
    let is_shared = |record: &OutboundRecord| {
        let by_key = record.key.as_ref().is_some_and(|key| keys[&(&record.topic, key)] > 1);
        by_key || record.partition.is_some_and(|partition| partitions[&(&record.topic, partition)] > 1)
    };
    records.iter().map(is_shared).collect()
}

fn counts<T: Eq + Hash>(items: impl Iterator<Item = T>) -> HashMap<T, usize> {
    let mut counts = HashMap::new();
    items.for_each(|item| *counts.entry(item).or_default() += 1);
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::{Delivery, PublishFailure};

    fn record(key: Option<&'static [u8]>, partition: Option<i32>) -> OutboundRecord {
        let topic = "orders".parse().unwrap();
        let value = Some("value".into());
        OutboundRecord { topic, partition, key: key.map(Into::into), value, timestamp_ms: None, headers: vec![] }
    }

    fn keyed(key: &'static str) -> OutboundRecord {
        record(Some(key.as_bytes()), None)
    }

    fn refused(topics: &TopicRefusals, record: OutboundRecord, cause: FailureCause) {
        topics.note_refusal(&record.topic);
        topics.note_results(&[record], &[Err(PublishFailure::not_sent(cause))]);
    }

    #[test]
    fn a_topic_that_refuses_nothing_gets_every_record_together() {
        let topics = TopicRefusals::default();
        let (same_key, keyless) = (vec![keyed("k"); 3], vec![record(None, None); 3]);
        assert_eq!([topics.alone(&same_key), topics.alone(&keyless)], [[false; 3]; 2]);
    }

    #[test]
    fn records_in_order_are_sent_alone_where_a_refusal_is_possible() {
        let topics = TopicRefusals::default();
        let mixed =
            [keyed("k"), record(None, None), keyed("k"), keyed("l"), record(None, Some(1)), record(None, Some(1))];
        let expected = [true, false, true, false, true, true];
        assert_eq!(topics.alone(&mixed), expected, "the topic may be compacted");
        let written = Ok(Delivery { partition: 0, offset: 0, timestamp_ms: None });
        topics.note_results(&[record(None, None)], &[written]);
        assert_eq!(topics.alone(&mixed), [false; 6], "it takes records without key");
        topics.note_refusal(&mixed[0].topic);
        assert_eq!(topics.alone(&mixed), expected, "it refuses for other reasons");
    }

    #[test]
    fn a_record_of_a_kind_that_was_refused_is_sent_alone() {
        let timed = OutboundRecord { timestamp_ms: Some(1), ..keyed("a") };
        let large = OutboundRecord { value: Some(vec![0; 100].into()), ..keyed("b") };
        let cases = [
            (record(None, None), FailureCause::KeyMissing),
            (timed, FailureCause::TimestampOutOfRange),
            (large, FailureCause::RecordTooLarge),
        ];
        for (bad, cause) in cases {
            let topics = TopicRefusals::default();
            refused(&topics, bad.clone(), cause);
            assert_eq!(topics.alone(&[bad, keyed("k"), keyed("l")]), [true, false, false], "{cause:?}");
        }
    }
}
