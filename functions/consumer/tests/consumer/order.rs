//! Lanes: what is handled in order, what at the same time, and what is reported after a failure.

use std::time::Duration;

use msk_consumer::InvocationError;
use msk_consumer::lanes::{self, Ordering};
use msk_shared::event::{MskEvent, Record};

use crate::kinds::HandlerKind;
use crate::support::{
    Act, Scripted, body, metric, partition, processor, processor_by, record, reported, settings, unbounded,
};

fn event() -> MskEvent {
    let keyless = |offset| Record::new("t", 0, offset);
    MskEvent::new([record(0, 0, "a"), record(0, 1, "b"), record(1, 0, "a"), record(0, 2, "a"), keyless(3), keyless(4)])
}

#[test]
fn lanes_are_partitions_or_keys_or_single_records() {
    // In the event's order, grouped by partition: t-0 has positions 0 to 4, t-1 has 5.
    let table: [(Ordering, &[&[usize]]); 3] = [
        (Ordering::Partition, &[&[0, 1, 2, 3, 4], &[5]]),
        (Ordering::Key, &[&[0, 2], &[1], &[3], &[4], &[5]]),
        (Ordering::Unordered, &[&[0], &[1], &[2], &[3], &[4], &[5]]),
    ];
    for (ordering, expected) in table {
        assert_eq!(lanes::split(&event(), ordering), expected, "{ordering:?}");
    }
    assert!(lanes::split(&MskEvent::default(), Ordering::Key).is_empty());
}

#[tokio::test]
async fn a_failed_record_and_the_later_ones_of_its_partition_are_reported_and_no_other() {
    for kind in HandlerKind::ONCE {
        let processor =
            processor_by(kind, Scripted::new(&[("t-0@3", &[Act::Retry])]), settings(Ordering::Partition, 16));
        let processed = processor.process(body(partition(0, 6).chain(partition(1, 6))), &unbounded()).await;
        assert_eq!(reported(&processed), ["t-0@3", "t-0@4", "t-0@5"]);
        assert_eq!(processor.handler().effects().len(), 9);
        assert!(!processor.handler().started().contains(&"t-0@4".to_owned()), "a later record must not overtake");
        assert_eq!(metric(&processed, "RecordsRetried"), 3.0);
        assert_eq!(metric(&processed, "RecordsDone"), 9.0);
    }
}

#[tokio::test]
async fn with_order_by_key_only_the_keys_later_records_wait() {
    for kind in HandlerKind::ONCE {
        let records = [record(0, 0, "a"), record(0, 1, "b"), record(0, 2, "a"), record(0, 3, "b"), record(0, 4, "a")];
        let processor = processor_by(kind, Scripted::new(&[("t-0@2", &[Act::Retry])]), settings(Ordering::Key, 16));
        let processed = processor.process(body(records), &unbounded()).await;
        assert_eq!(reported(&processed), ["t-0@2", "t-0@4"]);
        assert_eq!(processor.handler().effects().len(), 3);
    }
}

#[tokio::test]
async fn without_order_only_the_failed_records_are_reported() {
    for kind in HandlerKind::ONCE {
        let plan: [(&str, &[Act]); 2] = [("t-0@1", &[Act::Retry]), ("t-0@4", &[Act::Retry])];
        let processor = processor_by(kind, Scripted::new(&plan), settings(Ordering::Unordered, 3));
        let processed = processor.process(body(partition(0, 6)), &unbounded()).await;
        assert_eq!(reported(&processed), ["t-0@1", "t-0@4"]);
        assert_eq!(processor.handler().effects().len(), 4);
    }
}

#[tokio::test]
async fn what_was_reported_is_done_when_it_comes_again_and_the_rest_is_not_repeated() {
    for kind in HandlerKind::ONCE {
        let processor = processor_by(
            kind,
            Scripted::new(&[("t-0@1", &[Act::Retry, Act::Done])]),
            settings(Ordering::Partition, 16),
        );
        let whole = body(partition(0, 4));
        assert_eq!(reported(&processor.process(whole.clone(), &unbounded()).await), ["t-0@1", "t-0@2", "t-0@3"]);
        let again = processor.process(whole, &unbounded()).await;
        assert!(reported(&again).is_empty());
        assert_eq!(processor.handler().effects(), ["t-0@0", "t-0@1", "t-0@2", "t-0@3"]);
        assert_eq!((metric(&again, "Duplicates"), metric(&again, "RecordsDone")), (1.0, 3.0));
    }
}

#[tokio::test]
async fn without_partial_batches_a_failure_fails_the_invocation_and_the_done_ones_are_remembered() {
    for kind in HandlerKind::ONCE {
        let settings =
            msk_consumer::BatchSettings { report_batch_item_failures: false, ..settings(Ordering::Partition, 16) };
        let processor = processor_by(kind, Scripted::new(&[("t-0@1", &[Act::Retry, Act::Done])]), settings);
        let whole = body(partition(0, 3).chain(partition(1, 2)));
        match processor.process(whole.clone(), &unbounded()).await.answer {
            Err(InvocationError::RecordsFailed { failed, received, first }) => {
                assert_eq!((failed, received, first.to_string().as_str()), (2, 5, "t-0@1"));
            }
            other => panic!("{other:?}"),
        }
        assert!(processor.process(whole, &unbounded()).await.answer.unwrap().is_empty());
        let mut effects = processor.handler().effects();
        effects.sort();
        assert_eq!(effects, ["t-0@0", "t-0@1", "t-0@2", "t-1@0", "t-1@1"], "each once");
    }
}

#[tokio::test]
async fn lanes_run_at_the_same_time_up_to_the_limit() {
    for (concurrency, expected) in [(1, 1), (3, 3), (16, 8)] {
        let slow = [Act::Slow(Duration::from_millis(30))];
        let handler = Scripted::default();
        (0..8).for_each(|n| handler.plan(&format!("t-{n}@0"), &slow));
        let processor = processor(handler, settings(Ordering::Partition, concurrency));
        let processed = processor.process(body((0..8).flat_map(|n| partition(n, 1))), &unbounded()).await;
        assert!(reported(&processed).is_empty());
        assert_eq!(processor.handler().most_busy(), expected, "CONCURRENCY={concurrency}");
    }
}

#[tokio::test]
async fn outcomes_are_counted_under_the_names_that_alarms_watch() {
    for kind in HandlerKind::ONCE {
        let plan: [(&str, &[Act]); 3] = [("t-0@0", &[Act::Skip]), ("t-1@0", &[Act::Poison]), ("t-2@0", &[Act::Retry])];
        let processor = processor_by(kind, Scripted::new(&plan), settings(Ordering::Partition, 16));
        let text = body((0..4).flat_map(|n| partition(n, 1)));
        let processed = processor.process(text.clone(), &unbounded()).await;
        for (name, value) in [
            ("RecordsReceived", 4.0),
            ("RecordsDone", 1.0),
            ("RecordsSkipped", 1.0),
            ("RecordsRetried", 1.0),
            ("RecordsPoisoned", 1.0),
            ("DeadLettered", 1.0),
            ("DecodeErrors", 0.0),
            ("Duplicates", 0.0),
        ] {
            assert_eq!(metric(&processed, name), value, "{name}");
        }
        assert_eq!(metric(&processed, "BatchBytes"), text.len() as f64);
    }
}
