//! Whole batches: events in, effects, dead letters and answers out.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a failing test may panic, and figures are printed"
)]

mod batches;
mod deadline;
mod delivery;
mod faults;
mod kinds;
mod order;
mod poison;
mod properties;
mod samples;
mod support;
