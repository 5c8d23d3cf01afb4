//! No record is started that could not be finished.

use std::time::{Duration, Instant};

use msk_consumer::BatchSettings;
use msk_consumer::lanes::Ordering;

use crate::kinds::HandlerKind;
use crate::support::{Act, Scripted, body, partition, processor, processor_by, reported, settings, unbounded, within};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn slow(count: i64, time: Duration) -> Scripted {
    let handler = Scripted::default();
    (0..count).for_each(|offset| handler.plan(&format!("t-0@{offset}"), &[Act::Slow(time)]));
    handler
}

fn guarded(guard: Duration) -> BatchSettings {
    BatchSettings { min_time_to_start: guard, ..settings(Ordering::Partition, 16) }
}

#[tokio::test]
async fn with_less_than_the_guard_left_nothing_is_started_and_all_is_reported() {
    for kind in HandlerKind::ONCE {
        let processor = processor_by(kind, Scripted::default(), settings(Ordering::Partition, 16));
        let processed = processor.process(body(partition(0, 3)), &within(ms(1900))).await;
        assert_eq!(reported(&processed), ["t-0@0", "t-0@1", "t-0@2"]);
        assert!(processor.handler().started().is_empty());
        let processed = processor.process(body(partition(0, 3)), &within(ms(10_000))).await;
        assert!(reported(&processed).is_empty());
    }
}

#[tokio::test]
async fn the_rest_is_reported_when_the_time_runs_out() {
    for kind in [HandlerKind::Single, HandlerKind::InOrder(3)] {
        let started = Instant::now();
        let processor = processor_by(kind, slow(50, ms(50)), guarded(ms(600)));
        let processed = processor.process(body(partition(0, 50)), &within(ms(1500))).await;
        let done = processor.handler().effects().len();
        assert!((1..=19).contains(&done), "{done} done in 900 ms");
        assert_eq!(reported(&processed).len(), 50 - done);
        assert!(started.elapsed() < ms(1500));
    }
}

#[tokio::test]
async fn the_guard_grows_to_three_times_the_slowest_record() {
    let processor = processor(slow(50, ms(300)), guarded(ms(1)));
    let processed = processor.process(body(partition(0, 50)), &within(ms(2100))).await;
    let done = processor.handler().effects().len();
    // A record is started while 900 ms are left: at 0, 300, 600, 900, 1200 at the latest.
    assert!((1..=5).contains(&done), "{done} done");
    assert_eq!(reported(&processed).len(), 50 - done);
}

#[tokio::test]
async fn a_handler_that_hangs_is_given_up_in_time_and_the_other_lanes_are_kept() {
    for kind in [HandlerKind::Single, HandlerKind::InOrder(3)] {
        let started = Instant::now();
        let processor = processor_by(kind, Scripted::new(&[("t-0@1", &[Act::Hang])]), guarded(ms(100)));
        let processed = processor.process(body(partition(0, 3).chain(partition(1, 3))), &within(ms(2000))).await;
        assert_eq!(reported(&processed), ["t-0@1", "t-0@2"]);
        assert_eq!(processor.handler().effects().len(), 4);
        assert!(started.elapsed() < ms(2000), "{:?}", started.elapsed());
    }
}

#[tokio::test]
async fn an_unknown_deadline_stops_nothing() {
    for kind in HandlerKind::ONCE {
        let processor = processor_by(kind, slow(3, ms(20)), guarded(ms(3_600_000)));
        let processed = processor.process(body(partition(0, 3)), &unbounded()).await;
        assert!(reported(&processed).is_empty());
    }
}
