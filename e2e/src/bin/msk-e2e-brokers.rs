//! Three Apache Kafka brokers and a controller for `cargo xtask up --kafka real`.
//!
//! Prints one JSON line when the topics exist, and ends on Ctrl-C, on SIGTERM, and when standard input closes: the
//! kernel closes it however the parent ends.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the ready line, and progress")]

use std::{collections::HashSet, convert::Infallible, io, time::Duration};

use anyhow::{Context as _, Result};
use clap::Parser;
use futures_util::future::try_join_all;
use msk_e2e::kafka::{Cluster, ClusterOptions, KafkaVersion, Listener, cluster::BROKERS, distribution::Distribution};
use msk_shared::topic_spec::TopicSpec;
use msk_test_kit::watchdog::start_no_child;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// How often to check whether a broker has ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// Three Apache Kafka brokers and a controller, without TLS, until Ctrl-C or the end of standard input.
#[derive(Debug, Parser)]
#[command(name = "msk-e2e-brokers")]
struct Cli {
    /// Topics to create, `NAME` or `NAME:PARTITIONS`, comma separated; `:compact` behind one that is compacted.
    #[arg(long, value_delimiter = ',', value_name = "TOPICS", required = true)]
    topics: Vec<TopicSpec>,
}

#[tokio::main]
async fn main() {
    let topics = distinct(Cli::parse().topics);
    let ended = tokio::select! {
        // Listens for signals before anything is started that would have to be ended.
        biased;
        stopped = stopped() => stopped,
        Err(error) = serve(&topics) => Err(error),
    };
    if let Err(error) = &ended {
        eprintln!("error: {error:#}");
    }
    // The thread that fetches may be about to start Maven.
    let _nothing_starts = start_no_child();
    std::process::exit(i32::from(ended.is_err()))
}

/// Each name once, as it was first given.
fn distinct(mut topics: Vec<TopicSpec>) -> Vec<TopicSpec> {
    let mut seen = HashSet::new();
    topics.retain(|topic| seen.insert(topic.name.clone()));
    topics
}

async fn serve(topics: &[TopicSpec]) -> Result<Infallible> {
    let version = KafkaVersion::V3_9;
    if !Distribution::is_fetched(version)? {
        eprintln!("fetching Apache Kafka {version} from Maven Central (once) ...");
    }
    fetch(version).await?;
    eprintln!("starting three Apache Kafka {version} brokers and a controller (about 10 s; longer the first time) ...");
    let cluster = Cluster::start(&ClusterOptions { version, ..ClusterOptions::default() }).await?;
    let admin = cluster.admin();
    try_join_all(topics.iter().map(|topic| {
        let settings: &[(&str, &str)] = if topic.compacted { &[("cleanup.policy", "compact")] } else { &[] };
        admin.create_topic(topic.name.as_str(), topic.partitions, settings)
    }))
    .await?;
    println!("{}", ready(&cluster, version, topics));
    report_ends(&cluster).await
}

/// Fetches on its own thread, so that signals are still noticed. A task's blocking thread would not do: the
/// runtime waits for it at the end.
async fn fetch(version: KafkaVersion) -> Result<()> {
    let (done, fetched) = oneshot::channel();
    std::thread::spawn(move || done.send(Distribution::fetch(version)));
    fetched
        .await
        .context("the thread that fetches Apache Kafka has panicked")?
        .context("cannot get Apache Kafka. The first run needs the network, later runs do not")?;
    Ok(())
}

fn ready(cluster: &Cluster, version: KafkaVersion, topics: &[TopicSpec]) -> serde_json::Value {
    let ids = cluster.process_ids();
    // The controller comes first.
    let brokers = ids.iter().skip(1).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    json!({
        "ready": true,
        "bootstrap_servers": cluster.bootstrap(Listener::Plaintext),
        "topics": topics.iter().map(|topic| topic.name.as_str()).collect::<Vec<_>>(),
        "note": format!(
            "Apache Kafka {version}: three brokers (processes {brokers}) and a controller; replication factor 3, at least two \
             in-sync replicas required, no TLS, no authentication; data in {}, deleted at the end",
            cluster.folder().display()
        ),
    })
}

/// Reports when a broker has ended. The others continue: killing one to see what happens is what this cluster is for.
async fn report_ends(cluster: &Cluster) -> Result<Infallible> {
    let mut running = BROKERS.to_vec();
    let mut look = tokio::time::interval(LOOK_INTERVAL);
    loop {
        look.tick().await;
        let mut still = Vec::with_capacity(running.len());
        for id in running {
            if cluster.is_running(id)? {
                still.push(id);
            } else {
                eprintln!("broker {id} has ended");
            }
        }
        anyhow::ensure!(!still.is_empty(), "every broker has ended");
        running = still;
    }
}

/// Returns when it is time to end.
async fn stopped() -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let (closed, input_closed) = oneshot::channel();
    // Reading blocks, so it has its own thread, which ends with the process.
    std::thread::spawn(move || {
        // An error on standard input also counts as its end.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        closed.send(())
    });
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = input_closed => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_named_twice_is_created_once_as_it_was_named_first() {
        let topics = ["orders:6", "orders.dlq", "orders.dlq:1", "orders"].map(|topic| topic.parse::<TopicSpec>());
        let distinct = distinct(topics.into_iter().map(Result::unwrap).collect());
        let created: Vec<_> = distinct.iter().map(|topic| (topic.name.as_str(), topic.partitions)).collect();
        assert_eq!(created, [("orders", 6), ("orders.dlq", 3)]);
    }
}
