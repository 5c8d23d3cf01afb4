//! The first acknowledgement of a producer that has just been started.

use std::time::{Duration, Instant};

use crate::test_bed::TestBed;

const RUNS: usize = 50;
/// librdkafka's idempotent producer waits 500 ms for its producer id unless brokers are up when it is asked for. Below
/// this that wait cannot have happened.
const LONGEST: Duration = Duration::from_millis(450);

#[test]
#[ignore = "drives packaged functions: run `cargo xtask test e2e`"]
fn the_first_acknowledgement_of_a_cold_producer_comes_soon() {
    // One run of a series may be slow where the machine stands still for a moment; without what is tested each is.
    const SERIES: usize = 3;
    let bed = TestBed::start(&["orders:3"]);
    let mut slowest = Vec::new();
    while slowest.len() < SERIES && slowest.last().is_none_or(|slowest| *slowest >= LONGEST) {
        slowest.push(slowest_of_a_series(&bed));
    }
    assert!(slowest.last() < Some(&LONGEST), "the slowest of each series: {slowest:?}");
}

fn slowest_of_a_series(bed: &TestBed) -> Duration {
    let mut times = Vec::with_capacity(RUNS);
    for run in 0..RUNS {
        // From the start of the process, its init included, to the answer: the request waits for the function.
        let started = Instant::now();
        let _producer = bed.producer(&[]);
        let (status, answer) = bed.post("/messages", "application/json", format!("{{\"run\":{run}}}"));
        assert_eq!(status, 200, "{answer}");
        times.push(started.elapsed());
    }
    times.sort_unstable();
    let (median, longest) = (times[RUNS / 2], times[RUNS - 1]);
    println!("first acknowledgement of a cold producer, {RUNS} runs: p50 {median:.0?}, maximum {longest:.0?}");
    longest
}
