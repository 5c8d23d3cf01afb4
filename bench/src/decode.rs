//! `decode`: the consumer and its default handler with events of 1,000 records. There is no raw librdkafka in it: on AWS the
//! event source mapping has fetched the records.

use anyhow::Result;

use crate::payloads;
use crate::report::Measured;
use crate::rounds;
use crate::settings::{Benchmark, Settings};
use crate::subject::{Load, Subject};

/// Records of an event: with values of 1 KB it has 1.5 MB; Lambda takes up to 6 MB.
const RECORDS: usize = 1000;

pub(crate) fn measure(settings: &Settings) -> Result<Vec<Measured>> {
    let mut subjects = Vec::new();
    for (name, build) in settings.builds() {
        subjects.push(Subject::consumer(name, build, settings)?);
    }
    let topic = settings.topic.clone();
    let load = Load {
        records: RECORDS,
        event: Box::new(move |number| payloads::mapping_event(&topic, number, RECORDS)),
        check: Box::new(payloads::check_batch_response),
    };
    let mut measured = rounds::measure(Benchmark::Decode.name(), subjects, &load, settings.requests.div_ceil(20))?;
    // Only the digits of offsets differ.
    let bytes = (load.event)(0).len();
    measured.iter_mut().for_each(|figures| figures.bytes_per_request = bytes);
    Ok(measured)
}
