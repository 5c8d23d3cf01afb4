//! What networks and brokers do to requests on their way.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use msk_e2e::kafka::cluster::BROKERS;
use msk_e2e::kafka::{Cluster, Listener};
use msk_e2e::lambda::Environment;
use msk_e2e::load::{Load, Plan};
use msk_e2e::proxy::{Cut, Falsehood, Faults, Loss};
use msk_e2e::summary::{RequestResult, Summary};
use msk_e2e::wait::wait_until;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};

use crate::availability::{LONGEST_STALL, SETTLING, STEADY, last_requests, recovery};
use crate::sabotage;
use crate::shared_clusters::{CLIENTS, LIMIT, SharedClusters, ensure_all_succeeded, producers, topic, verdict};

/// From the end of a network partition to the last failed answer.
const RECOVERY: Duration = Duration::from_secs(10);

/// Failures in a row after which requests to an environment, or to a partition whose leader is cut off, fail fast.
const FAILURES: usize = 3;

/// From then on a request fails within this time; one that waits takes its `DELIVERY_TIMEOUT_MS` of 3 s.
const FAST: Duration = Duration::from_secs(1);

/// The same for the slowest of them: two busy cores may stall for a second.
const FAST_ENOUGH: Duration = Duration::from_secs(2);

/// Kafka's `OUT_OF_ORDER_SEQUENCE_NUMBER`: fatal to librdkafka's idempotent producer.
const OUT_OF_ORDER: i16 = 45;

fn set_all(cluster: &Cluster, faults: &Faults) {
    if sabotage::proxy_passes_everything() {
        return;
    }
    for proxy in cluster.proxies() {
        proxy.set(faults.clone());
    }
}

pub(crate) async fn lost_responses(clusters: &SharedClusters) -> anyhow::Result<String> {
    let cluster = clusters.cluster().await?;
    let topic = topic(&cluster, "r6").await?;
    let environments = producers(&cluster, &topic, CLIENTS, &[]).await?;
    let load = Load::new(&topic);
    let lose = Loss { every: 40, cut: Cut::Reset };
    // Proxies count from the cluster's start, over all scenarios.
    let lost = || cluster.proxies().map(|proxy| proxy.stats().produce_responses_lost).sum::<u64>();
    let before = lost();
    set_all(&cluster, &Faults { lose_produce_responses: Some(lose), ..Faults::default() });
    let plan = Plan { requests: clusters.choose(1_000, 10_000) / CLIENTS as u64, ..Plan::default() };
    load.run(&environments, plan).await;
    set_all(&cluster, &Faults::default());
    let lost = lost() - before;
    ensure!(lost >= 15, "only {lost} responses were lost");
    ensure_all_succeeded(&load)?;
    Ok(format!("{lost} produce responses lost; {}", verdict(&cluster, &topic, &load).await?))
}

pub(crate) async fn partitions(clusters: &SharedClusters) -> anyhow::Result<String> {
    let cluster = clusters.cluster().await?;
    let topic = topic(&cluster, "r7").await?;
    let environments = producers(&cluster, &topic, CLIENTS + 1, &[("DELIVERY_TIMEOUT_MS", "3000")]).await?;
    let load = Load::new(&topic);
    let one = from_one_broker(&cluster, &topic, &load, &environments, clusters.choose(15, 20)).await?;
    let all = from_all_brokers(&cluster, &load, &environments[..CLIENTS], clusters.choose(15, 60)).await?;
    // Of both parts together: what was answered `no` in the first must not be written in the second either.
    let figures = verdict(&cluster, &topic, &load).await?;
    Ok(format!("{one} | {all} | in all: {figures}"))
}

/// The clients use all partitions. The last environment asks for two in turn, one that the hidden broker leads and one
/// that it does not: the first must fail fast, and the second not fail at all.
async fn from_one_broker(
    cluster: &Cluster,
    topic: &str,
    load: &Load,
    environments: &[Environment],
    seconds: u64,
) -> anyhow::Result<String> {
    let hidden = BROKERS[0];
    let partitions = cluster.admin().partitions(topic).await?;
    let led = partitions.iter().find(|partition| partition.leader == Some(hidden)).context("it leads nothing")?.id;
    let other = partitions.iter().find(|partition| partition.leader != Some(hidden)).context("it leads all")?.id;
    let (prober, clients) = environments.split_last().context("no environments")?;
    let begun = load.now();
    let fault = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let from = load.now();
        cluster.proxy(hidden, Listener::Iam)?.set(Faults { blackhole: true, ..Faults::default() });
        let (mut failures, mut others) = (Vec::new(), Vec::new());
        while load.now() < from + Duration::from_secs(seconds) {
            failures.push(load.send_to(prober, clients.len(), led).await);
            others.push(load.send_to(prober, clients.len(), other).await);
        }
        set_all(cluster, &Faults::default());
        let back = load.now();
        tokio::time::sleep(SETTLING).await;
        anyhow::Ok((failures, others, back))
    };
    let (failures, others, back) = load.run_until(clients, STEADY, fault).await?;
    last_requests(load, environments, back + RECOVERY).await;
    let what = format!("from one broker for {seconds} s");
    let fast = ensure_fails_fast(&failures).with_context(|| what.clone())?;
    let failed = others.iter().find(|answer| !answer.is_success());
    ensure!(failed.is_none(), "{what}: a partition of another broker failed: {failed:?}");
    part(&what, load, begun, back, &fast)
}

async fn from_all_brokers(
    cluster: &Cluster,
    load: &Load,
    environments: &[Environment],
    seconds: u64,
) -> anyhow::Result<String> {
    let begun = load.now();
    let fault = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let from = load.now();
        set_all(cluster, &Faults { blackhole: true, ..Faults::default() });
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        set_all(cluster, &Faults::default());
        let back = load.now();
        tokio::time::sleep(SETTLING).await;
        (from, back)
    };
    let (from, back) = load.run_until(environments, STEADY, fault).await;
    last_requests(load, environments, back + RECOVERY).await;
    let what = format!("from all for {seconds} s");
    let mut slowest = Vec::new();
    for client in 0..environments.len() {
        let mut during = load.answers_since(from);
        during.retain(|answer| answer.client == client && answer.sent_at + FAST_ENOUGH < back);
        during.sort_by_key(|answer| answer.sent_at);
        slowest.push(ensure_fails_fast(&during).with_context(|| format!("{what}: client {client}"))?);
    }
    part(&what, load, begun, back, &slowest.join(", "))
}

/// The figures of a part that started at `begun` and whose fault ended at `back`.
fn part(what: &str, load: &Load, begun: Duration, back: Duration, fast: &str) -> anyhow::Result<String> {
    let answers = load.answers_since(begun);
    let recovery = recovery(&answers, back)?;
    ensure!(recovery <= RECOVERY, "{what}: 2xx again only after {recovery:.1?}");
    let summary = Summary::new(&answers);
    Ok(format!("{what}: recovery {recovery:.1?}; after the third failure in a row {fast}; {summary}"))
}

/// After the third failure in a row, requests no longer wait: all of these, sent one after the other, must fail,
/// quickly from the fourth one on.
fn ensure_fails_fast(failures: &[RequestResult]) -> anyhow::Result<String> {
    let success = failures.iter().find(|answer| answer.is_success());
    ensure!(success.is_none(), "no failure: {success:?}");
    ensure!(failures.len() > FAILURES, "asked only {} times", failures.len());
    let late = Summary::new(&failures[FAILURES..]);
    ensure!(late.longest <= FAST_ENOUGH && late.median <= FAST, "after the third failure in a row: {late}");
    Ok(format!("p50 {:.2?}, longest {:.2?} of {}", late.median, late.longest, late.requests))
}

pub(crate) async fn random_faults(clusters: &SharedClusters) -> anyhow::Result<String> {
    let mut figures = Vec::new();
    let seeds: &[u64] = clusters.choose(&[1], &[1, 2, 3, 4, 5]);
    for &seed in seeds {
        let cluster = clusters.cluster().await?;
        let topic = topic(&cluster, "r8").await?;
        let environments = producers(&cluster, &topic, CLIENTS, &[("DELIVERY_TIMEOUT_MS", "10000")]).await?;
        let load = Load::new(&topic);
        let rounds = clusters.choose(60, 300) / 5;
        let faults = async {
            let names = nemesis(&cluster, seed, rounds).await?;
            clusters.heal().await?;
            cluster.admin().wait_in_sync(&topic, 2, LIMIT).await?;
            let back = load.now();
            tokio::time::sleep(SETTLING).await;
            anyhow::Ok((names.join(" "), back))
        };
        let (names, back) = load.run_until(&environments, STEADY, faults).await?;
        last_requests(&load, &environments, back + LONGEST_STALL).await;
        let summary = load.summary();
        ensure!(
            summary.failed * 2 <= summary.requests,
            "seed {seed}: more than half of the requests failed: {summary}"
        );
        let recovery = recovery(&load.answers(), back)?;
        ensure!(recovery <= LONGEST_STALL, "seed {seed}: 2xx again only {recovery:.1?} after the last fault");
        let figures_of_seed = verdict(&cluster, &topic, &load).await?;
        figures.push(format!("seed {seed} ({names}): recovery {recovery:.1?}; {figures_of_seed}"));
    }
    Ok(figures.join(" | "))
}

/// A fault every five seconds, on one broker at a time or on none; each ends before the next begins.
pub(crate) async fn nemesis(cluster: &Cluster, seed: u64, rounds: usize) -> anyhow::Result<Vec<&'static str>> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut names = Vec::new();
    for _ in 0..rounds {
        let id = *BROKERS.choose(&mut rng).unwrap_or(&BROKERS[0]);
        let proxy = cluster.proxy(id, Listener::Iam)?;
        let time = Duration::from_secs(5);
        let name = ["none", "kill", "stop", "blackhole", "resets", "losses", "slow", "refuse"][rng.random_range(0..8)];
        names.push(name);
        match name {
            "kill" => {
                cluster.kill(id)?;
                tokio::time::sleep(time).await;
                cluster.restart(id)?;
            }
            "stop" => {
                cluster.pause(id)?;
                tokio::time::sleep(time).await;
                cluster.resume(id)?;
            }
            "resets" => {
                for _ in 0..10 {
                    proxy.cut(Cut::Reset);
                    tokio::time::sleep(time / 10).await;
                }
            }
            _ => {
                proxy.set(lasting(name));
                tokio::time::sleep(time).await;
                proxy.set(Faults::default());
            }
        }
    }
    Ok(names)
}

fn lasting(name: &str) -> Faults {
    let none = Faults::default();
    match name {
        "blackhole" => Faults { blackhole: true, ..none },
        "losses" => Faults { lose_produce_responses: Some(Loss { every: 5, cut: Cut::Strand }), ..none },
        "slow" => Faults { delay: Duration::from_millis(500), ..none },
        "refuse" => Faults { refuse: true, ..none },
        _ => none,
    }
}

pub(crate) async fn fatal_errors(clusters: &SharedClusters) -> anyhow::Result<String> {
    let cluster = clusters.cluster().await?;
    let topic = topic(&cluster, "r16").await?;
    let environments = producers(&cluster, &topic, 1, &[]).await?;
    let environment = &environments[0];
    let load = Load::new(&topic);
    ensure!(load.send(environment, 0, 1).await.is_success(), "{}", load.summary());
    let [descriptors, threads] = footprint(environment.id())?;
    let lie = Falsehood { every: 1, error_code: OUT_OF_ORDER };
    let mut slowest = Duration::ZERO;
    let times = clusters.choose(20, 100);
    let falsified = || cluster.proxies().map(|proxy| proxy.stats().produce_responses_falsified).sum::<u64>();
    let before = falsified();
    for number in 0..times {
        set_all(&cluster, &Faults { falsify_produce_responses: Some(lie), ..Faults::default() });
        let fatal = load.send(environment, 0, 1).await;
        set_all(&cluster, &Faults::default());
        ensure!(fatal.failure.is_none(), "fatal error {number} had no answer: {fatal:?}");
        let next = load.send(environment, 0, 1).await;
        ensure!(next.is_success(), "after fatal error {number}: {next:?}");
        slowest = slowest.max(next.duration);
    }
    ensure!(slowest <= Duration::from_secs(5), "a request after a fatal error took {slowest:.1?}");
    let falsified = falsified() - before;
    ensure!(falsified >= times, "only {falsified} responses were falsified");
    ensure!(environment.log().contains("\"fatal"), "librdkafka took none of them for fatal");
    // Old clients are dropped outside the request path, so wait for the last one. Each that remains would have several of both.
    let wait = wait_until("as many descriptors and threads as before", LIMIT, || async {
        let [files, tasks] = footprint(environment.id()).unwrap_or([usize::MAX; 2]);
        let seen = format!("descriptors {descriptors} -> {files}, threads {threads} -> {tasks}");
        if files <= descriptors + 4 && tasks <= threads + 4 { Ok(seen) } else { Err(seen) }
    });
    let after = wait.await?;
    let figures = verdict(&cluster, &topic, &load).await?;
    Ok(format!("{times} fatal errors; slowest next answer {slowest:.2?}; {after}; {figures}"))
}

/// While the controller fences all brokers, one that is asked lists topics and no broker: librdkafka forgets them all, and
/// need not find one again by itself. Only what is under way then may fail.
pub(crate) async fn metadata_without_brokers(clusters: &SharedClusters) -> anyhow::Result<String> {
    let cluster = clusters.cluster().await?;
    let topic = topic(&cluster, "r24").await?;
    let environments = producers(&cluster, &topic, CLIENTS, &[]).await?;
    let load = Load::new(&topic);
    let times = clusters.choose(4, 20);
    let faults = async {
        let mut spans = Vec::new();
        for id in BROKERS.into_iter().cycle().take(times) {
            tokio::time::sleep(SETTLING).await;
            let (from, before) = (load.now(), answers_without_brokers(&cluster));
            // Only this broker can be asked, and a client asks when it has lost its connections.
            set_all(&cluster, &Faults { refuse: true, ..Faults::default() });
            cluster.proxy(id, Listener::Iam)?.set(Faults { hide_brokers: true, ..Faults::default() });
            cluster.proxies().for_each(|proxy| proxy.cut(Cut::Reset));
            let told = wait_until("an answer without brokers for each environment", LIMIT, || async {
                let answers = answers_without_brokers(&cluster) - before;
                if answers >= CLIENTS as u64 { Ok(()) } else { Err(format!("{answers} answers")) }
            });
            told.await?;
            set_all(&cluster, &Faults::default());
            // A request takes a moment.
            spans.push(from.saturating_sub(Duration::from_secs(1))..load.now() + Duration::from_secs(1));
        }
        tokio::time::sleep(SETTLING).await;
        anyhow::Ok(spans)
    };
    let spans = load.run_until(&environments, STEADY, faults).await?;
    last_requests(&load, &environments, load.now() + RECOVERY).await;
    let answers = load.answers();
    let later = |answer: &&RequestResult| !spans.iter().any(|span| span.contains(&answer.sent_at));
    let failed: Vec<_> = answers.iter().filter(|answer| !answer.is_success()).collect();
    ensure!(failed.len() <= CLIENTS, "more than one request of each client failed: {}", load.summary());
    let late = failed.iter().copied().find(later);
    ensure!(late.is_none(), "a request that was not under way then failed: {late:?}");
    Ok(format!("{times} times, {} under way failed; {}", failed.len(), verdict(&cluster, &topic, &load).await?))
}

/// What librdkafka has sent to a broker when it forgets that broker may be written, though it counts as not persisted there.
pub(crate) async fn forgotten_in_flight(clusters: &SharedClusters) -> anyhow::Result<String> {
    let cluster = clusters.cluster().await?;
    let topic = topic(&cluster, "r25").await?;
    let environments = producers(&cluster, &topic, 1, &[("DELIVERY_TIMEOUT_MS", "3000")]).await?;
    let load = Load::new(&topic);
    ensure!(load.send(&environments[0], 0, 1).await.is_success(), "{}", load.summary());
    let times = clusters.choose(3, 20);
    for id in BROKERS.into_iter().cycle().take(times) {
        let partitions = cluster.admin().partitions(&topic).await?;
        let led = partitions.iter().find(|partition| partition.leader == Some(id)).context("it leads nothing")?.id;
        let before = answers_without_brokers(&cluster);
        let leader = cluster.proxy(id, Listener::Iam)?;
        let withheld = leader.stats().produce_responses_lost;
        let hide = Faults { hide_brokers: true, ..Faults::default() };
        set_all(&cluster, &hide);
        leader.set(Faults { withhold_produce_responses: true, ..hide });
        let forget = async {
            let written = wait_until("a response that is withheld", LIMIT, || async {
                if leader.stats().produce_responses_lost > withheld { Ok(()) } else { Err("none yet".to_owned()) }
            });
            written.await?;
            // A client that connects again to another broker asks.
            for other in BROKERS.into_iter().filter(|other| *other != id) {
                cluster.proxy(other, Listener::Iam)?.cut(Cut::Reset);
            }
            anyhow::Ok(())
        };
        let (forgotten, answer) = tokio::join!(forget, load.send_to(&environments[0], 0, led));
        forgotten?;
        set_all(&cluster, &Faults::default());
        ensure!(answers_without_brokers(&cluster) > before, "the client did not ask: {answer:?}");
        ensure!(answer.persisted.as_deref() == Some("unknown"), "written, and not acknowledged: {answer:?}");
        last_requests(&load, &environments, load.now() + LIMIT).await;
    }
    Ok(format!("{times} times; {}", verdict(&cluster, &topic, &load).await?))
}

/// How many answers of the cluster's brokers listed no broker.
fn answers_without_brokers(cluster: &Cluster) -> u64 {
    cluster.proxies().map(|proxy| proxy.stats().metadata_responses_without_brokers).sum()
}

/// The number of open files, including sockets, and of threads of a process.
fn footprint(id: u32) -> anyhow::Result<[usize; 2]> {
    let count = |what: &str| Ok::<_, std::io::Error>(std::fs::read_dir(format!("/proc/{id}/{what}"))?.count());
    Ok([count("fd")?, count("task")?])
}
