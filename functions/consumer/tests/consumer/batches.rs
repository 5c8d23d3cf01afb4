//! What is particular to handlers of batches: which records a call has, and what becomes of those that it does not settle.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use msk_consumer::idempotency::MemoryStore;
use msk_consumer::lanes::Ordering;
use msk_consumer::{BatchHandler, BatchProcessor, BatchSettings, MaxRecords, Outcome, RecordBatch};
use msk_shared::event::{Header, Record};

use crate::kinds::{ByKind, HandlerKind};
use crate::support::{
    Act, Letters, Scripted, body, metric, partition, processor_by, record, reported, settings, unbounded, within,
};

/// Notes the records of each call and leaves to `act` what becomes of them.
struct Calls<F> {
    most: usize,
    act: F,
    noted: Mutex<Vec<Vec<String>>>,
}

impl<F> Calls<F> {
    fn new(most: usize, act: F) -> Self {
        Self { most, act, noted: Mutex::default() }
    }

    fn noted(&self) -> Vec<Vec<String>> {
        let mut calls = self.noted.lock().unwrap().clone();
        calls.sort();
        calls
    }

    fn sizes(&self) -> Vec<usize> {
        self.noted().iter().map(Vec::len).collect()
    }
}

impl<F: Fn(&mut RecordBatch<'_>) + Send + Sync + 'static> BatchHandler for Calls<F> {
    fn max_records(&self) -> MaxRecords {
        MaxRecords::new(self.most).unwrap()
    }

    async fn handle_batch(&self, batch: &mut RecordBatch<'_>) {
        self.noted.lock().unwrap().push(batch.records().map(|record| record.id().to_string()).collect());
        (self.act)(batch);
    }
}

fn all_done(batch: &mut RecordBatch<'_>) {
    batch.settle_open(|_| Outcome::Done);
}

fn processor_of_calls<F: Fn(&mut RecordBatch<'_>) + Send + Sync + 'static>(
    handler: Calls<F>,
    ordering: Ordering,
) -> BatchProcessor<Calls<F>, Letters, MemoryStore> {
    BatchProcessor::new(handler, Letters::default(), MemoryStore::default(), settings(ordering, 4))
}

#[tokio::test]
async fn a_call_has_as_many_records_as_its_lanes_and_its_limit_allow() {
    for (ordering, most, expected) in [
        (Ordering::Partition, 4, vec![4, 3, 2]),
        (Ordering::Partition, 100, vec![9]),
        (Ordering::Partition, 1, vec![1; 9]),
        (Ordering::Unordered, 4, vec![4, 4, 1]),
        (Ordering::Key, 6, vec![6, 3]),
    ] {
        let processor = processor_of_calls(Calls::new(most, all_done), ordering);
        // One key in t-0; t-1 has one of its own.
        let records = (0..6).map(|offset| record(0, offset, "a")).chain((0..3).map(|offset| record(1, offset, "b")));
        let processed = processor.process(body(records), &unbounded()).await;
        assert!(reported(&processed).is_empty());
        let mut sizes = processor.handler().sizes();
        sizes.sort_unstable_by_key(|size| std::cmp::Reverse(*size));
        // Partitions of 6 and 3 records in calls of 4: one lane needs two calls.
        assert_eq!(sizes, expected, "{ordering:?} in calls of {most}");
        assert_eq!(metric(&processed, "RecordsDone"), 9.0);
    }
}

#[tokio::test]
async fn a_record_that_is_left_open_is_retried_with_the_later_ones_of_its_lane() {
    let leaves_open = |batch: &mut RecordBatch<'_>| {
        for open in batch.open().filter(|open| open.record().offset() != 1) {
            open.settle(Outcome::Done);
        }
    };
    for (ordering, expected) in
        [(Ordering::Partition, &["t-0@1", "t-0@2", "t-1@1"][..]), (Ordering::Unordered, &["t-0@1", "t-1@1"])]
    {
        let processor = processor_of_calls(Calls::new(10, leaves_open), ordering);
        let whole = body(partition(0, 3).chain(partition(1, 2)));
        let processed = processor.process(whole.clone(), &unbounded()).await;
        assert_eq!(reported(&processed), expected, "{ordering:?}");
        // What is not reported is remembered, and what is reported comes to the handler again.
        processor.process(whole, &unbounded()).await;
        assert_eq!(processor.handler().noted()[1], expected, "{ordering:?}");
    }
}

#[tokio::test]
async fn what_is_written_behind_a_failure_is_written_again_in_order() {
    let handler = Scripted::new(&[("t-0@1", &[Act::Retry, Act::Done])]);
    let processor = processor_by(HandlerKind::Bulk(10), handler, settings(Ordering::Partition, 4));
    let whole = body(partition(0, 3));
    assert_eq!(reported(&processor.process(whole.clone(), &unbounded()).await), ["t-0@1", "t-0@2"]);
    assert!(reported(&processor.process(whole, &unbounded()).await).is_empty());
    assert_eq!(processor.handler().effects(), ["t-0@0", "t-0@2", "t-0@1", "t-0@2"]);
}

#[tokio::test]
async fn a_panic_finds_its_record_in_few_calls_and_spares_the_others() {
    for at in [0, 13, 63] {
        let panics = move |batch: &mut RecordBatch<'_>| {
            assert!(batch.records().all(|record| record.offset() != at), "planned panic");
            all_done(batch);
        };
        let processor = processor_of_calls(Calls::new(64, panics), Ordering::Partition);
        let processed = processor.process(body(partition(0, 64)), &unbounded()).await;
        assert!(reported(&processed).is_empty());
        assert_eq!((metric(&processed, "RecordsDone"), metric(&processed, "RecordsPoisoned")), (63.0, 1.0));
        let letters = processor.dead_letters().kept();
        assert_eq!((letters.len(), letters[0].id.clone(), letters[0].reason), (1, format!("t-0@{at}"), "panic"));
        let calls = processor.handler().noted().len();
        assert!(calls <= 4 * 6 + 1, "{calls} calls to find one of 64 records");
    }
}

#[tokio::test]
async fn what_was_settled_before_a_panic_or_the_deadline_stays_settled() {
    for act in [Act::Panic, Act::Hang] {
        let handler = Scripted::new(&[("t-0@2", &[act])]);
        let settings =
            BatchSettings { min_time_to_start: Duration::from_millis(100), ..settings(Ordering::Partition, 4) };
        let processor = processor_by(HandlerKind::InOrder(10), handler, settings);
        let started = Instant::now();
        // A panic prints its backtrace, which takes a busy machine a second.
        let limit = Duration::from_millis(if act == Act::Panic { 60_000 } else { 1_500 });
        let processed = processor.process(body(partition(0, 4)), &within(limit)).await;
        assert!(started.elapsed() < limit, "{:?}", started.elapsed());
        let (expected, effects): (&[&str], &[&str]) = match act {
            Act::Panic => (&[], &["t-0@0", "t-0@1", "t-0@3"]),
            _ => (&["t-0@2", "t-0@3"], &["t-0@0", "t-0@1"]),
        };
        assert_eq!(reported(&processed), expected, "{act:?}");
        assert_eq!(processor.handler().effects(), effects, "{act:?}");
    }
}

#[tokio::test]
async fn a_broken_record_waits_for_those_before_it() {
    let event = r#"{"records":{"t-0":[{"topic":"t","partition":0,"offset":0,"value":"e30="},
        {"topic":"t","partition":0,"value":"e30="},{"topic":"t","partition":0,"offset":2,"value":"e30="}]}}"#;
    let handler = Scripted::new(&[("t-0@0", &[Act::Retry, Act::Done])]);
    let processor = processor_by(HandlerKind::Bulk(10), handler, settings(Ordering::Partition, 4));
    // It has no offset by which it could be reported, so that the whole batch comes again.
    assert!(processor.process(event, &unbounded()).await.answer.is_err());
    assert!(processor.dead_letters().kept().is_empty(), "it comes again, and is kept then");
    assert_eq!(processor.handler().started(), ["t-0@0"], "nothing is handled across it");
    assert!(reported(&processor.process(event, &unbounded()).await).is_empty());
    assert_eq!(processor.dead_letters().kept().len(), 1);
    assert_eq!(processor.handler().effects(), ["t-0@0", "t-0@2"]);
}

/// A record with this identity.
fn keyed(partition: i32, offset: i64, key: &str) -> Record {
    let name = Header { name: "idempotency-key".into(), value: Some(key.to_owned().into()) };
    Record::new("t", partition, offset).with_value(Some(b"{}".to_vec())).with_headers([name])
}

#[tokio::test]
async fn one_identity_is_handled_once_within_a_call_and_across_calls() {
    let records = [keyed(0, 0, "a"), keyed(0, 1, "b"), keyed(0, 2, "a"), keyed(1, 0, "b"), keyed(1, 1, "a")];
    for most in [1, 2, 10] {
        for ordering in [Ordering::Partition, Ordering::Unordered] {
            let started = Instant::now();
            let processor = processor_of_calls(Calls::new(most, all_done), ordering);
            let processed = processor.process(body(records.clone()), &unbounded()).await;
            assert!(reported(&processed).is_empty(), "{ordering:?} in calls of {most}");
            assert_eq!((metric(&processed, "RecordsDone"), metric(&processed, "Duplicates")), (2.0, 3.0));
            // Two calls that waited for each other's identities would give up after 500 ms.
            assert!(started.elapsed() < Duration::from_millis(400), "{:?}", started.elapsed());
        }
    }
}

#[tokio::test]
async fn calls_run_at_the_same_time_up_to_the_limit() {
    for (most, concurrency, expected) in [(2, 3, 3), (2, 16, 4), (8, 16, 1)] {
        let handler = Scripted::default();
        (0..8).for_each(|n| handler.plan(&format!("t-{n}@0"), &[Act::Slow(Duration::from_millis(30))]));
        let handler = ByKind::new(HandlerKind::InOrder(most), handler, Ordering::Partition);
        let settings = settings(Ordering::Partition, concurrency);
        let processor = BatchProcessor::new(handler, Letters::default(), MemoryStore::default(), settings);
        let processed = processor.process(body((0..8).flat_map(|n| partition(n, 1))), &unbounded()).await;
        assert!(reported(&processed).is_empty());
        assert_eq!(processor.handler().most_busy(), expected, "calls of {most}, CONCURRENCY={concurrency}");
    }
}
