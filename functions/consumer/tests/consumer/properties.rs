//! Ordering and answers hold for any batch and any failures; damaged events never panic the processor.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};

use msk_consumer::lanes::{self, Ordering};
use msk_shared::event::{MskEvent, Record, Verdict, judge};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::kinds::{HandlerKind, lane_name};
use crate::support::{Act, Scripted, body, processor_by, record, settings, unbounded};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap()
}

fn orderings() -> impl Strategy<Value = Ordering> {
    prop_oneof![Just(Ordering::Partition), Just(Ordering::Key), Just(Ordering::Unordered)]
}

/// Records over 3 partitions and 4 keys, offsets rising in each partition.
fn batches() -> impl Strategy<Value = Vec<Record>> {
    vec((0..3_i32, prop::sample::select(vec!["a", "b", "c", ""])), 0..30).prop_map(|places| {
        let mut next: HashMap<i32, i64> = HashMap::new();
        let mut place = |(partition, key): (i32, &str)| {
            let offset = next.entry(partition).or_default();
            *offset += 1;
            if key.is_empty() { Record::new("t", partition, *offset) } else { record(partition, *offset, key) }
        };
        places.into_iter().map(&mut place).collect()
    })
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    vec(
        prop_oneof![
            8 => Just(Act::Done), 1 => Just(Act::Skip), 1 => Just(Act::Retry), 1 => Just(Act::Poison), 1 => Just(Act::Panic)
        ],
        30,
    )
}

fn kinds() -> impl Strategy<Value = HandlerKind> {
    prop_oneof![Just(HandlerKind::Single), (1..40_usize).prop_map(HandlerKind::InOrder)]
}

#[test]
fn for_any_batch_order_is_kept_and_the_answer_is_exact() {
    let runtime = runtime();
    let strategy = (batches(), orderings(), kinds(), 1..20_usize, acts(), any::<bool>());
    let config = Config { cases: 3_000, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&strategy, |(records, ordering, kind, concurrency, acts, letters_down)| {
            let handler = Scripted::default();
            let event = MskEvent::new(records);
            let ids: Vec<String> = event.records().map(|record| record.id().to_string()).collect();
            ids.iter().zip(&acts).for_each(|(id, act)| handler.plan(id, &[*act]));
            let processor = processor_by(kind, handler, settings(ordering, concurrency));
            processor.dead_letters().set_down(letters_down);
            let processed = runtime.block_on(processor.process(body(event.records().cloned()), &unbounded()));
            let answer = processed.answer.unwrap();

            // Identifiers are always valid, and there is one exactly if something failed.
            let failed: Vec<String> = match judge(&event, &serde_json::to_vec(&answer).unwrap()) {
                Verdict::AllDone => Vec::new(),
                Verdict::Failed(ids) => ids.iter().map(ToString::to_string).collect(),
                Verdict::RetryAll(mistake) => return Err(TestCaseError::fail(mistake.to_string())),
            };
            prop_assert_eq!(answer.is_empty(), failed.is_empty());

            // In each lane: a settled part, then the first failure and all that follows it.
            let mut lanes: BTreeMap<_, Vec<usize>> = BTreeMap::new();
            for (index, record) in event.records().enumerate() {
                let name = lane_name(record, ordering).ok_or(index);
                lanes.entry(name.map_err(|index| index as i64)).or_default().push(index);
            }
            let fails = |act: Act| act == Act::Retry || (letters_down && matches!(act, Act::Poison | Act::Panic));
            let (started, effects) = (processor.handler().started(), processor.handler().effects());
            for lane in lanes.values() {
                let first_failure = lane.iter().position(|index| fails(acts[*index])).unwrap_or(lane.len());
                for (place, index) in lane.iter().enumerate() {
                    prop_assert_eq!(failed.contains(&ids[*index]), place >= first_failure, "{}", ids[*index]);
                    let (is_before, is_started) = (place < first_failure, started.contains(&ids[*index]));
                    prop_assert!(is_started || place > first_failure, "{}", ids[*index]);
                    // A call of several records does not know yet whether a poison record's letter is kept.
                    if kind == HandlerKind::Single || !letters_down || is_before {
                        let times = effects.iter().filter(|id| **id == ids[*index]).count();
                        let is_effect = is_before && acts[*index] == Act::Done;
                        prop_assert_eq!(times, usize::from(is_effect), "effects of {}", ids[*index]);
                        prop_assert!(!is_started || place <= first_failure, "{}", ids[*index]);
                    }
                }
                let order: Vec<usize> =
                    started.iter().filter_map(|id| lane.iter().position(|i| ids[*i] == *id)).collect();
                prop_assert!(order.is_sorted(), "{:?}", order);
            }
            Ok(())
        })
        .unwrap();
}

proptest! {
    #![proptest_config(Config { cases: 500, failure_persistence: None, ..Config::default() })]

    #[test]
    fn every_record_is_in_one_lane_and_lanes_keep_the_events_order(records in batches(), ordering in orderings()) {
        let event = MskEvent::new(records);
        let lanes = lanes::split(&event, ordering);
        prop_assert!(lanes.iter().all(|lane| lane.is_sorted() && !lane.is_empty()));
        let mut all: Vec<usize> = lanes.concat();
        all.sort_unstable();
        prop_assert_eq!(all, (0..event.len()).collect::<Vec<_>>());
    }
}

#[test]
fn damaged_events_are_answered_or_refused_and_never_panic() {
    let runtime = runtime();
    let (answered, refused) = (Cell::new(0_u32), Cell::new(0_u32));
    let odd = prop::sample::select(vec!["null", "-1", "[]", "{}", "\"*\"", "true", "1e400", "\"\\u0000\"", "7"]);
    let member = prop::sample::select(vec!["topic", "partition", "offset", "timestamp", "value", "headers", "records"]);
    let damage = (member, odd, any::<prop::sample::Index>(), 0..10_u8);
    let strategy = (batches(), damage, orderings(), kinds());
    let config = Config { cases: 10_000, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&strategy, |(records, (member, odd, at, damage), ordering, kind)| {
            let mut text = body(records);
            let at = at.index(text.len());
            match damage {
                0 => text.truncate(at),
                1 => text[at] ^= 0x20,
                2 => drop(text.splice(at..at, odd.bytes())),
                _ => text = replace(&text, member, odd, at),
            }
            let processor = processor_by(kind, Scripted::default(), settings(ordering, 2));
            let processed = runtime.block_on(processor.process(text.clone(), &unbounded()));
            let side = match processed.answer {
                Ok(answer) => {
                    let event = MskEvent::parse(text).map_err(|e| TestCaseError::fail(e.to_string()))?;
                    let verdict = judge(&event, &serde_json::to_vec(&answer).unwrap());
                    prop_assert!(!matches!(verdict, Verdict::RetryAll(_)), "{:?}", verdict);
                    &answered
                }
                Err(_) => &refused,
            };
            side.set(side.get() + 1);
            Ok(())
        })
        .unwrap();
    let (answered, refused) = (answered.get(), refused.get());
    eprintln!("damaged events through the processor: 10000 cases, {answered} answered, {refused} refused");
    assert!(answered > 100 && refused > 100);
}

/// Puts `odd` in the place of a member's value: the first at or after `from`.
fn replace(text: &[u8], member: &str, odd: &str, from: usize) -> Vec<u8> {
    let text = String::from_utf8(text.to_vec()).unwrap();
    let name = format!("\"{member}\":");
    let Some(found) = text[from..].find(&name).map(|at| at + from).or_else(|| text.find(&name)) else {
        return text.into_bytes();
    };
    let start = found + name.len();
    let mut values = serde_json::Deserializer::from_str(&text[start..]).into_iter::<serde::de::IgnoredAny>();
    values.next();
    format!("{}{odd}{}", &text[..start], &text[start + values.byte_offset()..]).into_bytes()
}
