//! Brokers that die, restart, stop and come back.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context as _, ensure};
use futures_util::future::join_all;
use msk_e2e::kafka::Cluster;
use msk_e2e::kafka::cluster::{BROKERS, BrokerId};
use msk_e2e::lambda::Environment;
use msk_e2e::load::{Load, Plan};
use msk_e2e::summary::{RequestResult, Summary};

use crate::shared_clusters::{
    CLIENTS, ClusterKind, LIMIT, SharedClusters, ensure_all_succeeded, producers, topic, verdict,
};

/// A dead broker's session ends after 9 s; election, metadata and one retry follow.
pub(crate) const LONGEST_STALL: Duration = Duration::from_secs(15);

/// Traffic after a fault, before each environment's last request.
pub(crate) const SETTLING: Duration = Duration::from_secs(4);

/// Steady traffic that leaves enough CPU time for the brokers.
pub(crate) const STEADY: Plan =
    Plan { records: 1, pause: Duration::from_millis(20), every: Duration::ZERO, requests: u64::MAX, retry: false };

pub(crate) async fn healthy(clusters: &SharedClusters) -> anyhow::Result<String> {
    healthy_on(clusters, ClusterKind::Kafka3).await
}

pub(crate) async fn healthy_on_kafka_4(clusters: &SharedClusters) -> anyhow::Result<String> {
    healthy_on(clusters, ClusterKind::Kafka4).await
}

async fn healthy_on(clusters: &SharedClusters, kind: ClusterKind) -> anyhow::Result<String> {
    let cluster = clusters.cluster_of(kind).await?;
    let topic = topic(&cluster, "r1").await?;
    let environments = producers(&cluster, &topic, CLIENTS, &[]).await?;
    let load = Load::new(&topic);
    let clients = CLIENTS as u64;
    let singles = Plan { requests: clusters.choose(5_000, 20_000) / clients, pause: Duration::ZERO, ..Plan::default() };
    load.run(&environments, singles).await;
    let batches = Plan { records: 50, requests: clusters.choose(100, 2_000) / clients, ..singles };
    load.run(&environments, batches).await;
    ensure_all_succeeded(&load)?;
    verdict(&cluster, &topic, &load).await
}

pub(crate) async fn kill_the_leader(clusters: &SharedClusters) -> anyhow::Result<String> {
    kill_the_leader_on(clusters, ClusterKind::Kafka3, clusters.choose(3, 20)).await
}

pub(crate) async fn kill_the_leader_on_kafka_4(clusters: &SharedClusters) -> anyhow::Result<String> {
    kill_the_leader_on(clusters, ClusterKind::Kafka4, clusters.choose(3, 20)).await
}

async fn kill_the_leader_on(clusters: &SharedClusters, kind: ClusterKind, times: usize) -> anyhow::Result<String> {
    let cluster = clusters.cluster_of(kind).await?;
    let topic = topic(&cluster, "r2").await?;
    let environments = producers(&cluster, &topic, CLIENTS, &[]).await?;
    let load = Load::new(&topic);
    let kills = async {
        for _ in 0..times {
            // The current leader: each time the one that took over before.
            let leader = cluster.admin().leader(&topic, 0).await?;
            cluster.kill(leader)?;
            wait_for_another_leader(&cluster, &topic, leader).await?;
            cluster.restart(leader)?;
            cluster.wait_ready(LIMIT).await?;
            cluster.admin().wait_in_sync(&topic, 3, LIMIT).await?;
        }
        anyhow::Ok(())
    };
    load.run_until(&environments, STEADY, kills).await?;
    ensure_all_succeeded(&load)?;
    ensure_no_stall(&load, &environments)?;
    Ok(format!("{times} kills; {}", verdict(&cluster, &topic, &load).await?))
}

pub(crate) async fn rolling_restart(clusters: &SharedClusters) -> anyhow::Result<String> {
    let cluster = clusters.cluster().await?;
    let topic = topic(&cluster, "r3").await?;
    let environments = producers(&cluster, &topic, CLIENTS, &[]).await?;
    let load = Load::new(&topic);
    let rounds = clusters.choose(1, 3);
    let restarts = async {
        for id in (0..rounds).flat_map(|_| BROKERS) {
            cluster.terminate(id).await?;
            cluster.restart(id)?;
            cluster.wait_ready(LIMIT).await?;
            // As operators and MSK do it: the next one only once all replicas are in sync again.
            cluster.admin().wait_in_sync(&topic, 3, LIMIT).await?;
        }
        anyhow::Ok(())
    };
    load.run_until(&environments, STEADY, restarts).await?;
    ensure_all_succeeded(&load)?;
    ensure_no_stall(&load, &environments)?;
    Ok(format!("{rounds} x 3 restarts; {}", verdict(&cluster, &topic, &load).await?))
}

pub(crate) async fn stopped_nodes(clusters: &SharedClusters) -> anyhow::Result<String> {
    let cluster = clusters.cluster().await?;
    let topic = topic(&cluster, "r4").await?;
    let environments = producers(&cluster, &topic, CLIENTS, &[]).await?;
    let load = Load::new(&topic);
    let pauses: &[u64] = clusters.choose(&[10], &[5, 15, 60]);
    let stops = async {
        for &seconds in pauses {
            let leader = cluster.admin().leader(&topic, 0).await?;
            cluster.pause(leader)?;
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            cluster.resume(leader)?;
            // One fault at a time: a stopped controller cannot tell the broker that it is no longer the leader.
            cluster.admin().wait_settled(&topic, 3, LIMIT).await?;
            cluster.pause_controller()?;
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            cluster.resume_controller()?;
            // It finds every session too old, fences all brokers and readmits them: elections, with requests in flight.
            cluster.admin().wait_settled(&topic, 3, LIMIT).await?;
        }
        anyhow::Ok(())
    };
    load.run_until(&environments, STEADY, stops).await?;
    ensure_all_succeeded(&load)?;
    ensure_no_stall(&load, &environments)?;
    Ok(format!("stopped for {pauses:?} s each; {}", verdict(&cluster, &topic, &load).await?))
}

pub(crate) async fn two_brokers_down(clusters: &SharedClusters) -> anyhow::Result<String> {
    let cluster = clusters.cluster().await?;
    let topic = topic(&cluster, "r5").await?;
    // Every broker must know it: one that is still catching up after R4 would answer that there is no such topic.
    cluster.admin().wait_settled(&topic, 3, LIMIT).await?;
    // With the default of 22 s, requests would wait until the outage is over; here their failures are of interest.
    let environments = producers(&cluster, &topic, CLIENTS + 1, &[("DELIVERY_TIMEOUT_MS", "5000")]).await?;
    let (prober, clients) = environments.split_last().context("no environments")?;
    let load = Load::new(&topic);
    let (down, left) = ([BROKERS[0], BROKERS[1]], BROKERS[2]);
    let led = cluster.admin().partitions(&topic).await?.into_iter().find(|partition| partition.leader == Some(left));
    let led = led.context("the broker that stays leads nothing")?.id;
    let outage = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        for id in down {
            cluster.kill(id)?;
        }
        // The remaining broker appends, and waits for replicas that it does not yet know to be dead.
        let unanswered = load.send_to(prober, CLIENTS, led).await;
        let alone = |partition: &msk_e2e::kafka::admin::Partition| partition.in_sync == [left];
        cluster.admin().wait_partitions("one in-sync replica", &topic, LIMIT, alone).await?;
        let from = load.now();
        let said_before = cluster.log(left)?.len();
        // A broker reads a connection's next request only when the previous one is answered: what is waiting behind the
        // unanswered one may be `unknown` too.
        let mut refused = load.send_to(prober, CLIENTS, led).await;
        for _ in 0..2 {
            if refused.persisted.as_deref() == Some("unknown") {
                refused = load.send_to(prober, CLIENTS, led).await;
            }
        }
        // Only for that time: before and after it, other requests were refused.
        let said = cluster.log(left)?.get(said_before..).unwrap_or_default().to_owned();
        tokio::time::sleep(Duration::from_secs(clusters.choose(15, 30)).saturating_sub(load.now() - from)).await;
        let to = load.now();
        for id in down {
            cluster.restart(id)?;
        }
        cluster.admin().wait_in_sync(&topic, 2, LIMIT).await?;
        let back = load.now();
        tokio::time::sleep(SETTLING).await;
        anyhow::Ok((from, to, back, unanswered, refused, said))
    };
    let (from, to, back, unanswered, refused, said) = load.run_until(clients, STEADY, outage).await?;
    last_requests(&load, &environments, back + LONGEST_STALL).await;
    let answers = load.answers();
    let during = answered_between(&answers, from, to);
    let is_truthful = |answer: &RequestResult| {
        matches!(answer.status, 503 | 504) && matches!(answer.persisted.as_deref(), Some("no" | "unknown"))
    };
    ensure!(!during.is_empty() && during.iter().all(|answer| !answer.is_success()), "2xx: {}", Summary::new(&during));
    ensure!(during.iter().all(is_truthful), "during the outage: {}", Summary::new(&during));
    ensure!(unanswered.persisted.as_deref() == Some("unknown"), "appended, and not acknowledged: {unanswered:?}");
    ensure!(refused.persisted.as_deref() == Some("no"), "refused by the broker: {refused:?}");
    // The answer cannot name the cause: librdkafka retries until its time is over, and then reports only that.
    let of_partition = format!("for partition {topic}-{led}");
    let is_cause = |line: &str| line.contains("NotEnoughReplicasException") && line.contains(&of_partition);
    ensure!(said.lines().any(is_cause), "broker {left} says nothing of too few replicas {of_partition}: {refused:?}");
    let summary = Summary::new(&answers);
    ensure!(summary.failures.is_empty(), "a request had no answer: {summary}");
    let recovery = recovery(&answers, back)?;
    ensure!(recovery <= LONGEST_STALL, "2xx again only {recovery:.1?} after two replicas were in sync");
    let figures = verdict(&cluster, &topic, &load).await?;
    Ok(format!("during the outage: {}; recovery {recovery:.1?}; in all: {figures}", Summary::new(&during)))
}

pub(crate) async fn wait_for_another_leader(cluster: &Cluster, topic: &str, dead: BrokerId) -> anyhow::Result<()> {
    let replaced = |partition: &msk_e2e::kafka::admin::Partition| partition.leader.is_some_and(|leader| leader != dead);
    Ok(cluster.admin().wait_partitions("another leader", topic, LIMIT, replaced).await?)
}

fn ensure_no_stall(load: &Load, environments: &[Environment]) -> anyhow::Result<()> {
    let answers = load.answers();
    let Some(slowest) = answers.iter().max_by_key(|answer| answer.duration) else { return Ok(()) };
    ensure!(
        slowest.duration <= LONGEST_STALL,
        "{slowest:?}: {}\nwhat the function logged beside its requests:\n{}",
        load.summary(),
        environments.get(slowest.client).map(without_requests).unwrap_or_default()
    );
    Ok(())
}

/// The end of an environment's log, without the lines for requests and metrics.
fn without_requests(environment: &Environment) -> String {
    let log = environment.log();
    let lines: Vec<&str> =
        log.lines().filter(|line| !line.contains("\"message\":\"request\"") && !line.contains("\"_aws\"")).collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}

/// Answers that arrived within the span, whenever the request was sent.
fn answered_between(answers: &[RequestResult], from: Duration, to: Duration) -> Vec<RequestResult> {
    let within = |answer: &&RequestResult| (from..to).contains(&(answer.sent_at + answer.duration));
    answers.iter().filter(within).cloned().collect()
}

/// Requests through each environment until one succeeds, so that one that does not recover is noticed; none begins after
/// `limit`, counted from the load's start.
pub(crate) async fn last_requests(load: &Load, environments: &[Environment], limit: Duration) {
    let last = environments.iter().enumerate().map(|(number, environment)| async move {
        while !load.send(environment, number, 1).await.is_success() && load.now() < limit {
            tokio::time::sleep(STEADY.pause).await;
        }
    });
    join_all(last).await;
}

/// How long after `back` the last failed answer came; an environment whose last answer is a failure has not recovered.
pub(crate) fn recovery(answers: &[RequestResult], back: Duration) -> anyhow::Result<Duration> {
    let ended = |answer: &RequestResult| answer.sent_at + answer.duration;
    let after = || answers.iter().filter(|answer| ended(answer) > back);
    ensure!(after().any(RequestResult::is_success), "no 2xx after the fault: {}", Summary::new(answers));
    let clients = answers.iter().map(|answer| answer.client).collect::<BTreeSet<_>>();
    for client in clients {
        let last = answers.iter().filter(|answer| answer.client == client).max_by_key(|answer| answer.sent_at);
        ensure!(last.is_some_and(RequestResult::is_success), "client {client} has not recovered: {last:?}");
    }
    let last_failure = after().filter(|answer| !answer.is_success()).map(ended).max().unwrap_or(back);
    let first_success = after().filter(|answer| answer.is_success()).map(ended).min().unwrap_or(back);
    Ok(last_failure.max(first_success).saturating_sub(back))
}
