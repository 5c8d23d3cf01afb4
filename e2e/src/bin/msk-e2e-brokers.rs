//! Three Apache Kafka brokers and a controller for `cargo xtask up --kafka real`.
//!
//! Prints one JSON line when the topics exist, and ends on Ctrl-C, on SIGTERM, and when standard input closes: the
//! kernel closes it however the parent ends.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the ready line, and progress")]

use std::{
    collections::{BTreeMap, HashSet},
    convert::Infallible,
    fs::OpenOptions,
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context as _, Result};
use clap::Parser;
use futures_util::future::try_join_all;
use msk_e2e::functions::kafka_variables;
use msk_e2e::kafka::iam::{self, PRODUCER_ROLE};
use msk_e2e::kafka::{Cluster, ClusterOptions, KafkaVersion, Listener, cluster::BROKERS, distribution::Distribution};
use msk_shared::topic_spec::TopicSpec;
use msk_test_kit::watchdog::start_no_child;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// How often to check whether a broker has ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// Three Apache Kafka brokers and a controller until Ctrl-C or the end of standard input.
#[derive(Debug, Parser)]
#[command(name = "msk-e2e-brokers")]
struct Cli {
    /// Topics to create, `NAME` or `NAME:PARTITIONS`, comma separated; `:compact` behind one that is compacted.
    #[arg(long, value_delimiter = ',', value_name = "TOPICS", required = true)]
    topics: Vec<TopicSpec>,
    /// How clients show who they are.
    #[arg(long, value_enum, default_value = "none")]
    auth: Auth,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Auth {
    /// They do not, and there is no TLS.
    None,
    /// By MSK IAM tokens, over TLS.
    Iam,
}

#[tokio::main]
async fn main() {
    let Cli { topics, auth } = Cli::parse();
    let topics = distinct(topics);
    let ended = tokio::select! {
        // Listens for signals before anything is started that would have to be ended.
        biased;
        stopped = stopped() => stopped,
        Err(error) = serve(&topics, auth) => Err(error),
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

async fn serve(topics: &[TopicSpec], auth: Auth) -> Result<Infallible> {
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
    println!("{}", ready(&cluster, version, topics, auth)?);
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

fn ready(cluster: &Cluster, version: KafkaVersion, topics: &[TopicSpec], auth: Auth) -> Result<serde_json::Value> {
    let ids = cluster.process_ids();
    // The controller comes first.
    let brokers = ids.iter().skip(1).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let names: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
    let (listener, environment_file, access) = match auth {
        Auth::None => (Listener::Plaintext, None, "no TLS, no authentication".to_owned()),
        Auth::Iam => {
            cluster.iam().set_policy(PRODUCER_ROLE, iam::producer_policy(&names))?;
            let policies = cluster.iam().policies_file();
            let access = format!(
                "TLS, and MSK IAM tokens are verified: the functions sign as {PRODUCER_ROLE}, whose policy stands in {} \
                 (edit it: the brokers reread it)",
                policies.display()
            );
            (Listener::Iam, Some(write_environment(cluster)?), access)
        }
    };
    Ok(json!({
        "ready": true,
        "bootstrap_servers": cluster.bootstrap(listener),
        // What stands for AWS's own pollers reads here.
        "mapping_servers": cluster.bootstrap(Listener::Plaintext),
        "environment_file": environment_file,
        "topics": names,
        "note": format!(
            "Apache Kafka {version}: three brokers (processes {brokers}) and a controller; replication factor 3, at least two \
             in-sync replicas required; {access}; data in {}, deleted at the end",
            cluster.folder().display()
        ),
    }))
}

/// Writes the functions' variables, with an access key, to a file that only this user reads: what is printed ends in logs.
fn write_environment(cluster: &Cluster) -> Result<PathBuf> {
    let variables: BTreeMap<String, String> = kafka_variables(cluster, Listener::Iam).into_iter().collect();
    let path = cluster.folder().join("environment.json");
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    let file = file.with_context(|| format!("cannot create {}", path.display()))?;
    serde_json::to_writer(file, &variables).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
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
