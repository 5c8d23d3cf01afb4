//! `warm` and `batch`: `POST /topics/{topic}` with one record, and with 100, as API Gateway sends it.

use anyhow::Result;

use crate::payloads;
use crate::report::Measured;
use crate::rounds;
use crate::settings::{Benchmark, Settings};
use crate::subject::{Load, Subject};

/// Records of a request of `batch`.
const BATCH: usize = 100;
/// How many different requests are made in turn.
const DISTINCT_REQUESTS: usize = 16;

pub(crate) fn measure(settings: &Settings, benchmark: Benchmark) -> Result<Vec<Measured>> {
    let (records, requests) = match benchmark {
        Benchmark::Batch => (BATCH, settings.requests.div_ceil(4)),
        _ => (1, settings.requests),
    };
    let mut subjects = Vec::new();
    for (name, build) in settings.builds() {
        subjects.push(Subject::producer(name, build, settings)?);
    }
    subjects.push(Subject::raw(settings)?);
    let events = (0..DISTINCT_REQUESTS).map(|number| payloads::gateway_event(&settings.topic, number, records));
    let events: Vec<Vec<u8>> = events.collect::<Result<_>>()?;
    let load = Load {
        records,
        event: Box::new(move |number| events[number % DISTINCT_REQUESTS].clone()),
        check: Box::new(move |response| payloads::check_gateway_response(response, records)),
    };
    rounds::measure(benchmark.name(), subjects, &load, requests)
}
