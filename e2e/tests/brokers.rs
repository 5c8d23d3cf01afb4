//! The test bed's brokers: every listener works, every fault does what its name says, and nothing is left behind.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::path::Path;
use std::time::{Duration, Instant};

use msk_e2e::kafka::admin::Admin;
use msk_e2e::kafka::cluster::BROKERS;
use msk_e2e::kafka::{Cluster, ClusterOptions, KafkaVersion, Listener, iam};
use msk_e2e::proxy::Faults;
use msk_e2e::{client, log_reader};

/// Bounds waits for an election, a start or the end of a session: 9 s by Kafka's defaults, the rest for a slow machine.
const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kafka_3_9_serves_every_listener_and_survives_kills() {
    exercise(KafkaVersion::V3_9).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kafka_4_serves_every_listener_and_survives_kills() {
    exercise(KafkaVersion::V4).await;
}

async fn exercise(version: KafkaVersion) {
    let options = ClusterOptions { version, proxied: vec![Listener::Plaintext], ..ClusterOptions::default() };
    let cluster = Cluster::start(&options).await.unwrap();
    let folder = cluster.folder().to_owned();
    let processes = cluster.process_ids();
    assert_eq!(processes.len(), 4, "three brokers and a controller of its own");

    cluster.admin().create_topic("orders", 6, &[]).await.unwrap();
    cluster.iam().set_policy(iam::PRODUCER_ROLE, iam::producer_policy(&["orders"])).unwrap();
    every_listener_takes_a_record(&cluster).await;
    questions_are_answered_again_after_metadata_without_brokers(&cluster).await;
    a_killed_leader_is_replaced_and_returns(&cluster).await;
    a_stopped_leader_is_replaced_and_returns(&cluster).await;
    an_election_hides_nothing_from_the_final_read(&cluster).await;
    a_clean_end_leaves_no_partition_without_leader(&cluster).await;

    drop(cluster);
    for id in processes {
        assert!(!Path::new(&format!("/proc/{id}")).exists(), "process {id} is still there");
    }
    assert!(!folder.exists(), "{} is still there", folder.display());
}

async fn every_listener_takes_a_record(cluster: &Cluster) {
    for listener in Listener::ALL {
        let producer = client::producer(cluster, listener).unwrap();
        client::write(&producer, "orders", "key", "value")
            .await
            .unwrap_or_else(|error| panic!("{listener:?}: {error}"));
    }
    let log = BROKERS.map(|id| cluster.log(id).unwrap()).concat();
    assert!(log.contains("MSK IAM token accepted: principal=arn:aws:iam::123456789012:role/producer"));
}

async fn questions_are_answered_again_after_metadata_without_brokers(cluster: &Cluster) {
    let admin = Admin::new(&cluster.bootstrap(Listener::Plaintext)).unwrap();
    assert_eq!(admin.brokers().await.unwrap(), BROKERS);
    cluster.proxies().for_each(|proxy| proxy.set(Faults { hide_brokers: true, ..Faults::default() }));
    let told = || cluster.proxies().any(|proxy| proxy.stats().metadata_responses_without_brokers > 0);
    let until = Instant::now() + LIMIT;
    while !told() && Instant::now() < until {
        // Which fails once the client has forgotten them all.
        let _ = admin.partitions("orders").await;
    }
    cluster.proxies().for_each(|proxy| proxy.set(Faults::default()));
    admin.wait_brokers(&BROKERS, LIMIT).await.unwrap();
}

async fn a_killed_leader_is_replaced_and_returns(cluster: &Cluster) {
    let leader = cluster.admin().leader("orders", 0).await.unwrap();
    cluster.kill(leader).unwrap();
    let gone = |partition: &msk_e2e::kafka::admin::Partition| {
        partition.leader.is_some_and(|now| now != leader) && !partition.in_sync.contains(&leader)
    };
    cluster.admin().wait_partitions("another leader", "orders", LIMIT, gone).await.unwrap();
    cluster.restart(leader).unwrap();
    cluster.wait_ready(LIMIT).await.unwrap();
    cluster.admin().wait_in_sync("orders", 3, LIMIT).await.unwrap();
}

async fn a_stopped_leader_is_replaced_and_returns(cluster: &Cluster) {
    let leader = cluster.admin().leader("orders", 0).await.unwrap();
    cluster.pause(leader).unwrap();
    let replaced = |partition: &msk_e2e::kafka::admin::Partition| partition.leader.is_some_and(|now| now != leader);
    cluster.admin().wait_partitions("another leader", "orders", LIMIT, replaced).await.unwrap();
    assert!(cluster.is_running(leader).unwrap(), "a stopped broker is still a process");
    cluster.resume(leader).unwrap();
    cluster.admin().wait_settled("orders", 3, LIMIT).await.unwrap();
}

/// The remaining replica leads with an older high watermark, and while it is alone below `min.insync.replicas` that
/// does not change: a fetch reports an end without the last record.
async fn an_election_hides_nothing_from_the_final_read(cluster: &Cluster) {
    cluster.admin().create_topic("tail", 1, &[]).await.unwrap();
    let partition = cluster.admin().partitions("tail").await.unwrap().remove(0);
    let left = partition.replicas.iter().copied().rfind(|&id| Some(id) != partition.leader).unwrap();
    let others = BROKERS.into_iter().filter(|&id| id != left);
    let producer = client::producer(cluster, Listener::Plaintext).unwrap();
    let mut last = 0;
    for number in 0..20 {
        last = client::write(&producer, "tail", "key", &number.to_string()).await.unwrap().1;
    }
    others.clone().for_each(|id| cluster.kill(id).unwrap());
    let leads = |partition: &msk_e2e::kafka::admin::Partition| partition.leader == Some(left);
    cluster.admin().wait_partitions("the replica that is left as leader", "tail", LIMIT, leads).await.unwrap();
    let back = async {
        // Enough time for a reader that trusts such an end to stop there; a correct one waits for the others.
        tokio::time::sleep(Duration::from_secs(1)).await;
        others.for_each(|id| cluster.restart(id).unwrap());
        cluster.wait_ready(LIMIT).await.unwrap();
    };
    let (records, ()) = tokio::join!(log_reader::read_topic(cluster, "tail"), back);
    assert_eq!(records.unwrap().last().unwrap().offset, last);
    cluster.admin().wait_in_sync("orders", 3, LIMIT).await.unwrap();
}

async fn a_clean_end_leaves_no_partition_without_leader(cluster: &Cluster) {
    let leader = cluster.admin().leader("orders", 0).await.unwrap();
    cluster.terminate(leader).await.unwrap();
    // No waiting: a broker that ends cleanly hands over its leaderships before the process ends.
    let partitions = cluster.admin().partitions("orders").await.unwrap();
    assert!(partitions.iter().all(|partition| partition.leader.is_some_and(|now| now != leader)), "{partitions:?}");
    let producer = client::producer(cluster, Listener::Iam).unwrap();
    client::write(&producer, "orders", "key", "value").await.unwrap();
    cluster.restart(leader).unwrap();
    cluster.wait_ready(LIMIT).await.unwrap();
}
