//! The dead-letter sink or the store is down: the records are reported, nothing is lost, and processing recovers.

use msk_consumer::lanes::Ordering;

use crate::kinds::HandlerKind;
use crate::support::{Act, Scripted, body, metric, partition, processor_by, reported, settings, unbounded};

#[tokio::test]
async fn a_dead_letter_that_is_down_delays_the_poison_and_loses_nothing() {
    for kind in [HandlerKind::Single, HandlerKind::InOrder(1)] {
        let handler = Scripted::new(&[("t-0@1", &[Act::Poison]), ("t-1@0", &[Act::Panic])]);
        let processor = processor_by(kind, handler, settings(Ordering::Partition, 16));
        let whole = body(partition(0, 3).chain(partition(1, 2)));
        processor.dead_letters().set_down(true);
        for _ in 0..2 {
            let processed = processor.process(whole.clone(), &unbounded()).await;
            assert_eq!(reported(&processed), ["t-0@1", "t-0@2", "t-1@0", "t-1@1"]);
            assert_eq!((metric(&processed, "RecordsPoisoned"), metric(&processed, "DeadLettered")), (2.0, 0.0));
        }
        processor.dead_letters().set_down(false);
        assert!(reported(&processor.process(whole.clone(), &unbounded()).await).is_empty());
        assert!(reported(&processor.process(whole, &unbounded()).await).is_empty());

        let letters = processor.dead_letters().kept();
        let mut ids: Vec<_> = letters.iter().map(|letter| (letter.id.as_str(), letter.attempts)).collect();
        ids.sort_unstable();
        assert_eq!(ids, [("t-0@1", 3), ("t-1@0", 3)], "once each, with its failed attempts");
        let mut effects = processor.handler().effects();
        effects.sort();
        assert_eq!(effects, ["t-0@0", "t-0@2", "t-1@1"], "once each");
    }
}

#[tokio::test]
async fn a_store_that_is_down_stops_the_handling_and_loses_nothing() {
    for kind in HandlerKind::ONCE {
        let processor = processor_by(kind, Scripted::default(), settings(Ordering::Partition, 16));
        let whole = body(partition(0, 3).chain(partition(1, 3)));
        processor.store().set_down(true);
        let processed = processor.process(whole.clone(), &unbounded()).await;
        assert_eq!(reported(&processed).len(), 6);
        assert!(processor.handler().started().is_empty(), "nothing is handled that could not be claimed");
        processor.store().set_down(false);
        assert!(reported(&processor.process(whole.clone(), &unbounded()).await).is_empty());
        assert!(reported(&processor.process(whole, &unbounded()).await).is_empty());
        assert_eq!(processor.handler().effects().len(), 6, "once each");
    }
}

#[tokio::test]
async fn a_lost_completion_is_tried_again_and_a_lost_store_does_not_undo_the_effect() {
    for kind in HandlerKind::ONCE {
        let processor = processor_by(kind, Scripted::default(), settings(Ordering::Partition, 1));
        processor.store().fail_completions(1);
        assert!(reported(&processor.process(body(partition(0, 1)), &unbounded()).await).is_empty());
        let again = processor.process(body(partition(0, 1)), &unbounded()).await;
        assert_eq!(metric(&again, "Duplicates"), 1.0, "the second try was remembered");

        processor.store().fail_completions(2);
        let processed = processor.process(body(partition(1, 1)), &unbounded()).await;
        assert!(reported(&processed).is_empty(), "the effect stands");
    }
}

#[tokio::test]
async fn a_store_that_is_down_while_a_record_fails_does_not_lose_the_record() {
    for kind in HandlerKind::ONCE {
        let processor =
            processor_by(kind, Scripted::new(&[("t-0@0", &[Act::Retry, Act::Done])]), settings(Ordering::Partition, 1));
        assert_eq!(reported(&processor.process(body(partition(0, 1)), &unbounded()).await), ["t-0@0"]);
        assert!(reported(&processor.process(body(partition(0, 1)), &unbounded()).await).is_empty());
        assert_eq!(processor.handler().effects(), ["t-0@0"]);
    }
}
