//! The event model: what it reads, what it writes, how answers are judged.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a failing test may panic, and figures are printed"
)]

mod decoding;
mod judgement;
mod properties;
mod reading;
mod samples;
mod schemas;
mod writing;

use msk_shared::event::{MskEvent, Record};

/// Reads an event from text.
fn parse(json: &str) -> MskEvent {
    MskEvent::parse(json.as_bytes().to_vec()).unwrap()
}

/// An event of one partition `t-0` with the given record texts.
fn event_of(records: &[&str]) -> MskEvent {
    parse(&format!(r#"{{"eventSource":"aws:kafka","records":{{"t-0":[{}]}}}}"#, records.join(",")))
}

/// The only record of an event with the given members besides its coordinates.
fn record_with(members: &str) -> Record {
    let comma = if members.is_empty() { "" } else { "," };
    let event = event_of(&[&format!(r#"{{"topic":"t","partition":0,"offset":5{comma}{members}}}"#)]);
    event.records().next().unwrap().clone()
}

/// A file of `events/`.
fn sample(name: &str) -> Vec<u8> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../events").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
