//! End to end on a laptop: HTTP through `cargo lambda watch` to the packaged producer, the embedded brokers, the event
//! source mapping, the packaged consumer. Run by `cargo xtask test e2e`, which builds what is driven here.
//!
//! | Module | Shows |
//! |---|---|
//! | `acknowledged` | every acknowledged message is handled once and in order, and a second client reads back identical bytes |
//! | `poison` | a record that cannot be handled goes to the dead-letter topic and blocks nothing |
//! | `redelivery` | a failed record is redelivered with the later ones of its partition, and no others are |
//! | `outage` | all brokers down: a truthful answer in time; brokers back: the next request succeeds |
//! | `broker_faults_seen_by_api` | brokers crash, leaders move, answers are lost and late: nothing answered as written is lost, no answer is untrue |
//! | `cold_start` | the first acknowledgement of a cold producer comes without librdkafka's 500 ms timer |

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "measured figures belong into the tests' output")]

mod acknowledged;
mod broker_faults_seen_by_api;
mod cold_start;
mod outage;
mod poison;
mod redelivery;
mod second_client;
mod test_bed;
