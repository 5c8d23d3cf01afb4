//! What a cluster refuses, on real brokers and through the producer's plain HTTP server: final for the record at fault, and
//! written for all others of its request and of other requests.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]
#![allow(clippy::print_stdout, reason = "the seed and the figures of a run are printed")]

mod examples;
mod mixtures;
mod server;

use msk_e2e::kafka::{Cluster, ClusterOptions};

use server::Server;

/// A topic and its settings.
type Topic = (&'static str, i32, &'static [(&'static str, &'static str)]);

/// Takes no record without a key.
const COMPACTED: &[(&str, &str)] = &[("cleanup.policy", "compact")];
/// Takes no batch above 2,000 bytes.
const SMALL: &[(&str, &str)] = &[("max.message.bytes", "2000")];
/// Takes no record older than a day.
const RECENT: &[(&str, &str)] = &[("message.timestamp.before.max.ms", "86400000")];
/// All three.
const STRICT: &[(&str, &str)] =
    &[("cleanup.policy", "compact"), ("max.message.bytes", "2000"), ("message.timestamp.before.max.ms", "86400000")];

/// Each example has a topic of its own: a producer remembers what a topic has refused.
const TOPICS: &[Topic] = &[
    ("one-keyless", 1, COMPACTED),
    ("two-keyless", 1, COMPACTED),
    ("all-keyless", 1, COMPACTED),
    ("one-key", 1, COMPACTED),
    ("shared-compacted", 1, COMPACTED),
    ("fits-alone", 1, SMALL),
    ("one-large", 1, SMALL),
    ("shared-small", 1, SMALL),
    ("old", 1, RECENT),
    ("old-2", 1, RECENT),
    ("old-3", 1, RECENT),
    ("old-4", 1, RECENT),
    ("two-kinds", 1, STRICT),
    ("messages", 1, STRICT),
    ("mixtures", 3, STRICT),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_final_for_the_record_at_fault_and_for_no_other() {
    let cluster = Cluster::start(&ClusterOptions::default()).await.unwrap();
    for (topic, partitions, settings) in TOPICS {
        cluster.admin().create_topic(topic, *partitions, settings).await.unwrap();
    }
    let names: Vec<&str> = TOPICS.iter().map(|(name, ..)| *name).collect();
    let server = Server::start(&cluster, &names.join(","));
    examples::one_request(&server);
    examples::many_requests_at_once(&server);
    mixtures::good_and_bad_records(&cluster, &server).await;
    server.ensure_silent_on("msk-e2e-fill");
}
