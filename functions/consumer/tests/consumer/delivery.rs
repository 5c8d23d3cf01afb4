//! What an event source mapping does to a consumer: duplicates, overlaps, reordered redelivery.
//! A crash in the middle of a batch is tried too, but rarely hits one: `crashes` in the printed line says how often.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use msk_consumer::lanes::Ordering;
use msk_consumer::{BatchProcessor, BatchSettings, InvocationContext};
use msk_shared::deadline::Deadline;
use msk_shared::event::{Header, MskEvent, Record, TombstoneStyle, Verdict, judge};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::kinds::{ByKind, HandlerKind};
use crate::support::{Act, Letters, Scripted, Store, settings};

const PARTITIONS: i32 = 6;
const KEYS: u32 = 50;

/// A topic, and how far each partition is committed.
struct Topic {
    records: Vec<Vec<Record>>,
    committed: Vec<usize>,
}

impl Topic {
    /// Records over all partitions. Some are a client's second try of the one before: same key, same `idempotency-key`.
    fn filled(count: usize, rng: &mut StdRng) -> Self {
        let mut records: Vec<Vec<Record>> = (0..PARTITIONS).map(|_| Vec::new()).collect();
        let mut number = 0;
        while number < count {
            let key = rng.random_range(0..KEYS);
            let partition = key as i32 % PARTITIONS;
            let tries = if rng.random_bool(0.03) { 2 } else { 1 };
            for _ in 0..tries {
                let log = &mut records[partition as usize];
                // Offsets have gaps, as transactions leave them.
                let offset = log.last().map_or(0, |last| last.offset() + if rng.random_bool(0.05) { 2 } else { 1 });
                let name = Header { name: "idempotency-key".into(), value: Some(number.to_string().into()) };
                log.push(
                    Record::new("t", partition, offset)
                        .with_key(Some(key.to_string()))
                        .with_value(Some(number.to_string()))
                        .with_headers([name]),
                );
            }
            number += 1;
        }
        Self { committed: vec![0; records.len()], records }
    }

    fn is_finished(&self) -> bool {
        self.records.iter().zip(&self.committed).all(|(log, committed)| *committed == log.len())
    }

    /// The next batch: from some partitions, sometimes from before what is committed, in any order of partitions.
    fn batch(&self, rng: &mut StdRng) -> Vec<(usize, std::ops::Range<usize>)> {
        let mut parts = Vec::new();
        for (partition, log) in self.records.iter().enumerate() {
            if rng.random_bool(0.3) {
                continue;
            }
            let back = if rng.random_bool(0.15) { rng.random_range(0..40) } else { 0 };
            let from = self.committed[partition].saturating_sub(back);
            let to = (from + rng.random_range(1..60)).min(log.len());
            if from < to {
                let at = rng.random_range(0..=parts.len());
                parts.insert(at, (partition, from..to));
            }
        }
        parts
    }

    fn event(&self, parts: &[(usize, std::ops::Range<usize>)]) -> MskEvent {
        MskEvent::new(
            parts.iter().flat_map(|(partition, range)| self.records[*partition][range.clone()].iter().cloned()),
        )
    }
}

/// What happened besides the deliveries.
#[derive(Debug, Default)]
struct Story {
    deliveries: usize,
    crashes: usize,
    failures: usize,
}

/// Delivers until all is committed. AWS's rules decide what a failed answer means; `whole_batch` is a mapping without partial batches.
async fn deliver(
    topic: &mut Topic,
    (kind, handler): (HandlerKind, Arc<Scripted>),
    letters: Arc<Letters>,
    settings: &BatchSettings,
    rng: &mut StdRng,
) -> Story {
    let store = Store::default();
    let mut story = Story::default();
    let environment = || {
        let handler = ByKind::new(kind, Arc::clone(&handler), settings.ordering);
        BatchProcessor::new(handler, Arc::clone(&letters), store.clone(), settings.clone())
    };
    let mut processor = environment();
    let give_up = Instant::now() + Duration::from_secs(120);
    while !topic.is_finished() {
        assert!(Instant::now() < give_up, "not finished after 120 s: {story:?}");
        let parts = topic.batch(rng);
        let mut event = topic.event(&parts);
        loop {
            story.deliveries += 1;
            letters.set_down(rng.random_bool(0.1));
            let crash = rng.random_bool(0.03).then(|| Duration::from_micros(rng.random_range(0..3_000)));
            let invocation = InvocationContext {
                request_id: "r".into(),
                deadline: crash.map(|_| Deadline::after(Duration::from_millis(200))),
            };
            let work = processor.process(event.to_json(TombstoneStyle::Omit), &invocation);
            let answer = match crash {
                None => work.await.answer,
                Some(after) => match tokio::time::timeout(after, work).await {
                    Ok(processed) => processed.answer,
                    Err(_) => {
                        // The environment is gone; the next one knows only what the store knows.
                        story.crashes += 1;
                        processor = environment();
                        continue;
                    }
                },
            };
            let verdict = match answer {
                Ok(answer) => judge(&event, &serde_json::to_vec(&answer).unwrap()),
                Err(_) => {
                    story.failures += 1;
                    continue;
                }
            };
            match verdict {
                Verdict::AllDone => break,
                Verdict::RetryAll(mistake) => panic!("{mistake}"),
                Verdict::Failed(ids) => {
                    story.failures += 1;
                    // The named ones only, as documented; sometimes all of them again.
                    if rng.random_bool(0.5) {
                        let named: BTreeSet<_> = ids.into_iter().collect();
                        event = MskEvent::new(event.records().filter(|record| named.contains(&record.id())).cloned());
                    }
                }
            }
        }
        for (partition, range) in parts {
            topic.committed[partition] = topic.committed[partition].max(range.end);
        }
    }
    story
}

/// Each message's effect exactly once, or in the dead letter exactly once; the effects of a lane in order. What a batch handler
/// wrote behind a failure comes again: then the last effect counts, as it does in a sink that is written by key.
fn check(topic: &Topic, kind: HandlerKind, handler: &Scripted, letters: &Letters, ordering: Ordering) {
    let by_id: HashMap<String, &Record> =
        topic.records.iter().flatten().map(|record| (record.id().to_string(), record)).collect();
    let mut effects = handler.effects();
    if kind != HandlerKind::Single {
        let mut seen = HashSet::new();
        effects = effects.into_iter().rev().filter(|id| seen.insert(id.clone())).collect();
        effects.reverse();
    }
    let dead: Vec<String> = letters.kept().into_iter().map(|letter| letter.id).collect();
    assert!(dead.len() > 10, "{} dead letters", dead.len());
    let mut messages: Vec<String> =
        effects.iter().chain(&dead).map(|id| by_id[id].text().unwrap().into_owned()).collect();
    messages.sort();
    let mut expected: Vec<String> =
        topic.records.iter().flatten().map(|record| record.text().unwrap().into_owned()).collect();
    expected.sort();
    expected.dedup();
    assert_eq!(messages, expected, "each message once");
    let mut last: HashMap<(i32, String), i64> = HashMap::new();
    for id in &effects {
        let record = by_id[id];
        let lane = match ordering {
            Ordering::Partition => String::new(),
            Ordering::Key => String::from_utf8(record.key().unwrap().unwrap().into_owned()).unwrap(),
            Ordering::Unordered => continue,
        };
        let before = last.insert((record.partition(), lane), record.offset());
        assert!(before.is_none_or(|before| before < record.offset()), "{id} came after offset {before:?}");
    }
}

async fn scenario(kind: HandlerKind, ordering: Ordering, report_batch_item_failures: bool, count: usize, seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut topic = Topic::filled(count, &mut rng);
    let (handler, letters) = (Arc::new(Scripted::default()), Arc::new(Letters::default()));
    for record in topic.records.iter().flatten() {
        let acts: &[Act] = match rng.random_range(0..200) {
            0..=3 => &[Act::Retry, Act::Done],
            4 => &[Act::Retry, Act::Poison],
            5 => &[Act::Poison],
            6 => &[Act::Panic],
            _ => continue,
        };
        handler.plan(&record.id().to_string(), acts);
    }
    let settings = BatchSettings {
        report_batch_item_failures,
        min_time_to_start: Duration::from_millis(1),
        ..settings(ordering, 1 + (seed % 8) as usize)
    };
    let started = Instant::now();
    let story = deliver(&mut topic, (kind, Arc::clone(&handler)), Arc::clone(&letters), &settings, &mut rng).await;
    let took = started.elapsed();
    eprintln!(
        "{kind:?}, {ordering:?}, partial batches {report_batch_item_failures}, seed {seed}: {count} messages, {story:?}, {took:.1?}"
    );
    assert!(story.failures > 0 && story.deliveries > 10, "{story:?}");
    check(&topic, kind, &handler, &letters, ordering);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn effects_are_once_and_in_order_within_partitions() {
    scenario(HandlerKind::Single, Ordering::Partition, true, 5_000, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn effects_are_once_and_in_order_within_keys() {
    scenario(HandlerKind::Single, Ordering::Key, true, 5_000, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn effects_are_once_without_order() {
    scenario(HandlerKind::Single, Ordering::Unordered, true, 5_000, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn effects_are_once_and_in_order_when_whole_batches_are_retried() {
    scenario(HandlerKind::Single, Ordering::Partition, false, 2_000, 4).await;
    scenario(HandlerKind::Single, Ordering::Key, false, 2_000, 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_handlers_last_effects_are_once_and_in_order() {
    for (seed, kind) in (6..).zip([HandlerKind::InOrder(25), HandlerKind::Bulk(25), HandlerKind::Bulk(10_000)]) {
        scenario(kind, Ordering::Partition, true, 5_000, seed).await;
        scenario(kind, Ordering::Key, true, 5_000, seed + 10).await;
        scenario(kind, Ordering::Unordered, true, 5_000, seed + 20).await;
        scenario(kind, Ordering::Key, false, 2_000, seed + 30).await;
    }
}
