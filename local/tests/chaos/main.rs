//! The emulator and the consumer, each as a process, while the emulator makes faults and both are killed again and again: no record
//! is lost, each one's effect happens once, the first processing of each key keeps its order, and every poison record is in the
//! dead-letter topic, once but for kills of the function. The effects are the keys that the consumer's store completes, in their
//! order: as if an effect and its key were written in one transaction. (With a store beside the effect, a kill between the two
//! repeats that one effect.)
//!
//! | Module | Contains |
//! |---|---|
//! | `run` | one run: brokers, records, both processes, kills |
//! | `invoke_endpoint` | the Invoke endpoint: one environment with the consumer, and what happens around its invocations |
//! | `verdict` | what must hold afterwards |
//! | `soak` | memory over ten minutes |
//! | `throughput` | records a second by the size of batches |

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "measured figures belong into the tests' output")]

mod invoke_endpoint;
mod run;
mod soak;
mod throughput;
mod verdict;

use invoke_endpoint::Plant;
use run::{Run, Story};

/// Runs the story and returns what is wrong afterwards.
async fn problems(story: Story) -> Vec<String> {
    let run = Run::to_the_end(&story).await;
    println!("{story:?}: {run}");
    run.verdict().problems()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_effect_happens_once_in_order_of_partitions() {
    assert_eq!(problems(Story::short(1)).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_effect_happens_once_in_order_of_keys() {
    assert_eq!(problems(Story::short(2)).await, [""; 0]);
}

/// Seeds 1 to 10, or those of the variable `MSK_CHAOS_SEEDS`, comma separated.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes some 40 minutes: cargo xtask test chaos"]
async fn every_effect_of_fifty_thousand_records_happens_once_with_any_seed() {
    let seeds = std::env::var("MSK_CHAOS_SEEDS").unwrap_or_else(|_| "1,2,3,4,5,6,7,8,9,10".to_owned());
    for seed in seeds.split(',').map(|seed| seed.trim().parse().unwrap()) {
        assert_eq!(problems(Story::long(seed)).await, [""; 0], "seed {seed}");
    }
}

/// A test that cannot fail proves nothing: with a promise broken, the problem is found and named.
async fn finds(plant: Plant, problem: &str) {
    let found = problems(Story::planted(plant)).await;
    assert!(found.iter().any(|found| found.contains(problem)), "{plant:?}: {found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_skipped_record_is_found() {
    finds(Plant::SkipsARecord, "(0, 5) is lost").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forgotten_effect_is_found() {
    finds(Plant::ForgetsWhatIsDone, "happened 2 times").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_order_is_found() {
    finds(Plant::ReversesRecords, "after a later record of its key").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_dead_letter_is_found() {
    finds(Plant::LosesDeadLetters, "is not in the dead-letter topic").await;
}
