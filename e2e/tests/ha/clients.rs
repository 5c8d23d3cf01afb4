//! Many environments at once, and little time.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures_util::future::join_all;
use msk_e2e::functions;
use msk_e2e::kafka::admin::Partition;
use msk_e2e::kafka::cluster::BROKERS;
use msk_e2e::kafka::{Cluster, Listener, iam};
use msk_e2e::lambda::{Environment, FunctionOptions};
use msk_e2e::load::{Load, Plan};
use msk_e2e::proxy::{Faults, Proxy, Wire};
use rand::Rng as _;

use crate::availability::{SETTLING, last_requests, recovery};
use crate::shared_clusters::{
    CLIENTS, ClusterKind, LIMIT, PARTITIONS, SharedClusters, producer, producers, topic, verdict,
};

/// API Gateway's deadline is 30 s; the answer must leave this much earlier than the function's.
const MARGIN: Duration = Duration::from_millis(300);

/// With less than 2 s left a request is answered `no`, and nothing is enqueued; some of it has passed when the function looks.
const TOO_LATE: Duration = Duration::from_millis(1_900);

/// How long the brokers say nothing.
const SILENCE: Duration = Duration::from_secs(5);

/// From the restart of all brokers to the last failed answer.
const RECOVERY: Duration = Duration::from_secs(15);

/// For the first answers of all environments that start at once.
const ALL_STARTED: Duration = Duration::from_secs(10);

/// MSK's limits of new connections a second and broker: most sizes, and `t3.small`.
const LIMITS: [usize; 2] = [100, 4];

/// librdkafka's idempotent producer waits 500 ms for its producer id unless brokers are up when it is asked for.
const PENALTY: Duration = Duration::from_millis(450);

/// From the start of the process to its first acknowledgement when one of three bootstrap servers is bad: p50 and maximum.
const FROM_THE_OTHERS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));

/// From the start of the process to the acknowledgement of its first record, one cold start after the other.
pub(crate) async fn first_acknowledgement(clusters: &SharedClusters) -> anyhow::Result<String> {
    let cluster = clusters.cluster().await?;
    let topic = topic(&cluster, "f1").await?;
    let options = producer(&cluster, &topic, &[]);
    let load = Load::new(&topic);
    let count = clusters.choose(20, 100);
    let (mut inits, mut requests, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..=count {
        let environment = Environment::start(&options).await?;
        let answer = load.send(&environment, 0, 1).await;
        ensure!(answer.is_success(), "{answer:?}");
        if number == 0 {
            let steps = ["token_ms", "first_answer_ms", "producer_id_ms"];
            let log = environment.log();
            ensure!(steps.iter().all(|step| log.contains(&format!("\"{step}\":"))), "no step of the init in:\n{log}");
            // The brokers' first handshake loads their classes, for seconds: not the function's time.
            continue;
        }
        inits.push(environment.init_duration());
        requests.push(answer.duration);
        whole.push(environment.init_duration() + answer.duration);
    }
    let [init, request, whole] = [inits, requests, whole].map(|mut times: Vec<Duration>| {
        times.sort_unstable();
        (times[count / 2], times[count - 1])
    });
    // The median, because a busy machine delays single starts; with the penalty every one would be above.
    ensure!(whole.0 < PENALTY, "p50 {:.0?}: the wait for the producer id is back", whole.0);
    // The full column has the machine for itself: there not even one start may have waited.
    ensure!(!clusters.is_full() || whole.1 < PENALTY, "maximum {:.0?}: a start waited for the producer id", whole.1);
    Ok(format!(
        "{count} cold starts, TLS and IAM; process start to acknowledgement: p50 {:.0?}, maximum {:.0?}; \
         of these init: p50 {:.0?}, maximum {:.0?}; request: p50 {:.0?}, maximum {:.0?}",
        whole.0, whole.1, init.0, init.1, request.0, request.1
    ))
}

/// What is wrong with the first of the bootstrap servers.
const BAD_SERVERS: [(&str, BadServer); 4] = [
    ("refusing", BadServer::Faults(Faults { refuse: true, ..HEALTHY })),
    ("accepting and silent", BadServer::Faults(Faults { blackhole: true, ..HEALTHY })),
    // A handshake of some 3 kB in pieces: the second flight of the client is due after half a minute.
    ("never finishing TLS", BadServer::Slow(Faults { bytes_per_second: Some(20), ..HEALTHY })),
    // Last, for it takes seconds to come back.
    ("stopped", BadServer::Killed),
];

const HEALTHY: Faults = Faults {
    delay: Duration::ZERO,
    bytes_per_second: None,
    blackhole: false,
    refuse: false,
    new_connections_per_second: None,
    lose_produce_responses: None,
    falsify_produce_responses: None,
    hide_brokers: false,
    withhold_produce_responses: false,
};

enum BadServer {
    /// Of the proxy that the broker is reached through, also once its address is known from metadata.
    Faults(Faults),
    /// Of a proxy before that one: only the bootstrap address is bad.
    Slow(Faults),
    Killed,
}

/// A cold start whose first bootstrap server is bad is served by the other two.
pub(crate) async fn bad_bootstrap_server(clusters: &SharedClusters) -> anyhow::Result<String> {
    let cluster = clusters.cluster().await?;
    let topic = topic(&cluster, "r20").await?;
    let load = Load::new(&topic);
    let bad = BROKERS[0];
    let servers = cluster.bootstrap(Listener::Iam);
    let (first, others) = servers.split_once(',').context("one bootstrap server")?;
    let partitions = cluster.admin().partitions(&topic).await?;
    let led_by_others: Vec<i32> =
        partitions.iter().filter(|partition| partition.leader != Some(bad)).map(|partition| partition.id).collect();
    let slow = Proxy::start(0, first.parse()?, Wire::Bytes).await?;
    let (mut times, mut figures) = (Vec::new(), Vec::new());
    for (what, server) in &BAD_SERVERS {
        let mut bootstrap = servers.clone();
        match server {
            BadServer::Faults(faults) => cluster.proxy(bad, Listener::Iam)?.set(faults.clone()),
            BadServer::Slow(faults) => {
                slow.set(faults.clone());
                bootstrap = format!("127.0.0.1:{},{others}", slow.port());
            }
            BadServer::Killed => {
                cluster.kill(bad)?;
                // Until the cluster has noticed, no write is acknowledged by anybody: the replica still counts as in sync.
                let gone = |it: &Partition| it.leader.is_some_and(|id| id != bad) && !it.in_sync.contains(&bad);
                cluster.admin().wait_partitions("the others alone in sync", &topic, LIMIT, gone).await?;
            }
        }
        let options = producer(&cluster, &topic, &[("KAFKA_BOOTSTRAP_SERVERS", &bootstrap)]);
        let mut slowest = Duration::ZERO;
        for number in 0..clusters.choose(1, 20) {
            let environment = Environment::start(&options).await.with_context(|| format!("init with it {what}"))?;
            let partition = led_by_others[number % led_by_others.len()];
            let answer = load.send_to(&environment, 0, partition).await;
            ensure!(answer.is_success(), "{what}: {answer:?}");
            let whole = environment.init_duration() + answer.duration;
            ensure!(whole <= FROM_THE_OTHERS.1, "{what}: acknowledged only after {whole:.1?}");
            slowest = slowest.max(whole);
            times.push(whole);
        }
        cluster.proxy(bad, Listener::Iam)?.set(Faults::default());
        figures.push(format!("{what} {slowest:.0?}"));
    }
    times.sort_unstable();
    let p50 = times[times.len() / 2];
    ensure!(p50 <= FROM_THE_OTHERS.0, "p50 {p50:.0?}: {}", figures.join(", "));
    cluster.restart(bad)?;
    cluster.wait_ready(LIMIT).await?;
    let verdict = verdict(&cluster, &topic, &load).await?;
    Ok(format!("process start to acknowledgement, slowest of each: {}; p50 {p50:.0?}; {verdict}", figures.join(", ")))
}

/// Kafka's number of the metadata request.
const METADATA: i16 = 3;

/// A partition is used as soon as it is there, and callers who name one that is not make no storm of metadata requests.
pub(crate) async fn added_partitions(clusters: &SharedClusters) -> anyhow::Result<String> {
    let cluster = clusters.cluster().await?;
    let topic = topic(&cluster, "f2").await?;
    let environment = Environment::start(&producer(&cluster, &topic, &[])).await?;
    let load = Load::new(&topic);
    let beyond = PARTITIONS;
    let asked =
        || cluster.proxies().map(|proxy| proxy.stats().requests.get(&METADATA).copied().unwrap_or(0)).sum::<u64>();
    let (before, start) = (asked(), Instant::now());
    for _ in 0..10 {
        let answer = load.send_to(&environment, 0, beyond).await;
        ensure!(answer.status == 404, "a partition that is not there: {answer:?}");
    }
    let (requests, took) = (asked() - before, start.elapsed());
    // Two a second, the first at once, and one of the client's own.
    let most = took.as_millis() as u64 / 500 + 2;
    ensure!(requests <= most, "{requests} metadata requests in {took:.1?}");
    cluster.admin().add_partitions(&topic, usize::try_from(PARTITIONS)? + 1).await?;
    let answer = load.send_to(&environment, 0, beyond).await;
    ensure!(answer.is_success(), "a partition that was added: {answer:?}");
    let first = answer.duration;
    let again = load.send_to(&environment, 0, beyond).await;
    ensure!(again.is_success(), "{again:?}");
    Ok(format!(
        "10 denials in {took:.1?} with {requests} metadata requests; the added partition written after {first:.0?}, then {:.0?}",
        again.duration
    ))
}

pub(crate) async fn cold_starts(clusters: &SharedClusters) -> anyhow::Result<String> {
    let cluster = clusters.cluster().await?;
    let count = clusters.choose(50, 200);
    let mut figures = Vec::new();
    for limit in LIMITS {
        let topic = topic(&cluster, "r14").await?;
        let options = producer(&cluster, &topic, &[]);
        let before: u64 = cluster.proxies().map(|proxy| proxy.stats().connections_over_limit).sum();
        let faults = Faults { new_connections_per_second: Some(limit), ..Faults::default() };
        cluster.proxies().for_each(|proxy| proxy.set(faults.clone()));
        let load = Load::new(&topic);
        let start = Instant::now();
        let started = join_all((0..count).map(|number| cold_start(&options, &load, number))).await;
        let took = start.elapsed();
        cluster.proxies().for_each(|proxy| proxy.set(Faults::default()));
        let environments: Vec<Environment> = started.into_iter().collect::<anyhow::Result<_>>()?;
        let refused: u64 = cluster.proxies().map(|proxy| proxy.stats().connections_over_limit).sum::<u64>() - before;
        let summary = load.summary();
        ensure!(summary.failures.is_empty(), "at {limit}/s: {summary}");
        ensure!(environments.iter().all(|environment| !environment.has_ended()), "at {limit}/s one crashed");
        if limit == LIMITS[0] {
            ensure!(summary.failed == 0, "at {limit}/s: {summary}");
            ensure!(took <= ALL_STARTED, "at {limit}/s the last of {count} was answered after {took:.1?}");
        }
        // At most one try a second and broker of each environment, or it is a storm.
        let most = count as u64 * 3 * (took.as_secs() + 1);
        ensure!(refused <= most, "at {limit}/s {refused} connections were refused, more than {most}");
        let figure = verdict(&cluster, &topic, &load).await?;
        figures.push(format!("{limit}/s: all {count} answered after {took:.1?}, {refused} refused; {figure}"));
    }
    Ok(figures.join(" | "))
}

async fn cold_start(options: &FunctionOptions, load: &Load, number: usize) -> anyhow::Result<Environment> {
    let environment = Environment::start(options).await?;
    load.send(&environment, number, 1).await;
    Ok(environment)
}

pub(crate) async fn deadlines(clusters: &SharedClusters) -> anyhow::Result<String> {
    let cluster = clusters.cluster().await?;
    let topic = topic(&cluster, "r17").await?;
    let environments = producers(&cluster, &topic, CLIENTS * 2, &[]).await?;
    let load = Load::new(&topic);
    let each = clusters.choose(200, 1_000_usize).div_ceil(environments.len());
    // Most of the time the brokers are silent: only the function's own clock ends a request then.
    let weather = async {
        loop {
            cluster.proxies().for_each(|proxy| proxy.set(Faults { blackhole: true, ..Faults::default() }));
            tokio::time::sleep(SILENCE).await;
            cluster.proxies().for_each(|proxy| proxy.set(Faults::default()));
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
    };
    let clients = join_all(environments.iter().enumerate().map(|(number, environment)| {
        let load = &load;
        async move {
            for _ in 0..each {
                // Most deadlines lie within the silence, where they matter.
                let longest = if rand::rng().random_bool(0.75) { SILENCE } else { Duration::from_secs(30) };
                let limit = Duration::from_millis(rand::rng().random_range(500..longest.as_millis() as u64));
                load.send_within(environment, number, limit).await;
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        }
    }));
    tokio::select! {
        _ = clients => {}
        () = weather => {}
    }
    cluster.proxies().for_each(|proxy| proxy.set(Faults::default()));
    let summary = load.summary();
    ensure!(summary.failures.is_empty(), "a request had no answer: {summary}");
    let let_in = load
        .answers()
        .into_iter()
        .find(|answer| answer.remaining + answer.duration < TOO_LATE && answer.persisted.as_deref() != Some("no"));
    ensure!(let_in.is_none(), "a request was let in too late: {let_in:?}");
    ensure!(summary.least_remaining >= MARGIN, "only {:?} before the deadline: {summary}", summary.least_remaining);
    ensure!(summary.with_persisted("unknown") > 0, "no deadline ended a request: {summary}");
    // Of the others some came with less.
    let let_in = load.answers().into_iter().filter(|answer| answer.persisted.as_deref() != Some("no"));
    let least = let_in.map(|answer| answer.remaining).min().unwrap_or_default();
    let figures = verdict(&cluster, &topic, &load).await?;
    Ok(format!("least time left at an answer to a request that was let in {least:.0?}; {figures}"))
}

pub(crate) async fn moved_brokers(clusters: &SharedClusters) -> anyhow::Result<String> {
    // A cluster of its own: the shared one keeps its addresses.
    let mut cluster = Cluster::start(&ClusterKind::Kafka3.options()).await?;
    cluster.iam().set_policy(iam::PRODUCER_ROLE, iam::producer_policy(&["*"]))?;
    let topic = topic(&cluster, "r15").await?;
    // The bootstrap names stay; what stands behind them moves.
    let mut names = Vec::new();
    for address in addresses(&cluster)? {
        names.push(Proxy::start(0, address, Wire::Bytes).await?);
    }
    let bootstrap: Vec<String> = names.iter().map(|name| format!("127.0.0.1:{}", name.port())).collect();
    let more = [("KAFKA_BOOTSTRAP_SERVERS", bootstrap.join(","))];
    let options = producer(&cluster, &topic, &more.each_ref().map(|(name, value)| (*name, value.as_str())));
    let environments = functions::start(&options, 2).await?;
    let load = Load::new(&topic);
    let mut slowest = Duration::ZERO;
    let times = clusters.choose(1, 10);
    for _ in 0..times {
        let plan = Plan { pause: Duration::from_millis(50), ..Plan::default() };
        let moved = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            cluster.move_brokers(Listener::Iam).await?;
            for (name, address) in names.iter().zip(addresses(&cluster)?) {
                name.redirect(address);
            }
            let back = load.now();
            tokio::time::sleep(SETTLING).await;
            anyhow::Ok(back)
        };
        let back = load.run_until(&environments, plan, moved).await?;
        last_requests(&load, &environments, back + RECOVERY).await;
        slowest = slowest.max(recovery(&load.answers(), back)?);
    }
    ensure!(slowest <= RECOVERY, "2xx again only {slowest:.1?} after the move");
    ensure!(environments.iter().all(|environment| !environment.has_ended()), "a process ended");
    let figures = verdict(&cluster, &topic, &load).await?;
    Ok(format!("{times} moves; slowest recovery {slowest:.1?}, same processes; {figures}"))
}

/// Where the brokers' IAM listeners are reached now.
fn addresses(cluster: &Cluster) -> anyhow::Result<Vec<std::net::SocketAddr>> {
    let ports = BROKERS.iter().map(|&id| Ok(cluster.proxy(id, Listener::Iam)?.port()));
    ports.map(|port: anyhow::Result<u16>| Ok((Ipv4Addr::LOCALHOST, port?).into())).collect()
}
