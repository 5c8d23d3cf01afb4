//! What networks and brokers do to requests on their way.

use std::time::Duration;

use anyhow::ensure;
use msk_e2e::{
    kafka::{Cluster, Listener, cluster::BROKERS},
    load::{Load, Plan},
    proxy::{Cut, Falsehood, Faults, Loss},
    summary::Answer,
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};

use crate::{
    availability::{SETTLING, last_requests, recovery},
    sabotage,
    stage::{CLIENTS, LIMIT, Stage, ensure_all_succeeded, producers, topic, verdict},
};

/// From the end of a network partition to the last failed answer.
const RECOVERY: Duration = Duration::from_secs(10);

/// A second, by which an environment that knows better fails, and as much for two busy cores; one that waits takes
/// its `DELIVERY_TIMEOUT_MS` of 3 s.
const FAST: Duration = Duration::from_secs(2);

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

pub(crate) async fn lost_responses(stage: &Stage) -> anyhow::Result<String> {
    let cluster = stage.cluster().await?;
    let topic = topic(&cluster, "r6").await?;
    let environments = producers(&cluster, &topic, CLIENTS, &[]).await?;
    let load = Load::new(&topic);
    let lose = Loss { every: 40, cut: Cut::Reset };
    // Proxies count from the cluster's start, over all scenarios.
    let lost = || cluster.proxies().map(|proxy| proxy.stats().produce_responses_lost).sum::<u64>();
    let before = lost();
    set_all(&cluster, &Faults { lose_produce_responses: Some(lose), ..Faults::default() });
    let plan = Plan { requests: stage.choose(1_000, 10_000) / CLIENTS as u64, ..Plan::default() };
    load.run(&environments, plan).await;
    set_all(&cluster, &Faults::default());
    let lost = lost() - before;
    ensure!(lost >= 15, "only {lost} responses were lost");
    ensure_all_succeeded(&load)?;
    Ok(format!("{lost} produce responses lost; {}", verdict(&cluster, &topic, &load).await?))
}

pub(crate) async fn partitions(stage: &Stage) -> anyhow::Result<String> {
    let cluster = stage.cluster().await?;
    let topic = topic(&cluster, "r7").await?;
    let environments = producers(&cluster, &topic, CLIENTS, &[("DELIVERY_TIMEOUT_MS", "3000")]).await?;
    let mut figures = Vec::new();
    let loads = [
        (format!("from one broker for {} s", stage.choose(15, 20)), vec![BROKERS[0]], stage.choose(15, 20)),
        (format!("from all for {} s", stage.choose(15, 60)), BROKERS.to_vec(), stage.choose(15, 60)),
    ];
    for (what, brokers, seconds) in loads {
        let load = Load::new(&topic);
        let fault = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let from = load.now();
            for &id in &brokers {
                cluster.proxy(id, Listener::Iam)?.set(Faults { blackhole: true, ..Faults::default() });
            }
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            set_all(&cluster, &Faults::default());
            let back = load.now();
            tokio::time::sleep(SETTLING).await;
            anyhow::Ok((from, back))
        };
        let plan = Plan { pause: Duration::from_millis(20), ..Plan::default() };
        let (from, back) = load.run_until(&environments, plan, fault).await?;
        last_requests(&load, &environments, back + RECOVERY).await;
        let answers = load.answers();
        let recovery = recovery(&answers, back)?;
        ensure!(recovery <= RECOVERY, "{what}: 2xx again only after {recovery:.1?}");
        if brokers.len() == BROKERS.len() {
            ensure_fails_fast(&answers, from, back)?;
        }
        let verdict = verdict_of_part(&cluster, &topic, &load).await?;
        figures.push(format!("{what}: recovery {recovery:.1?}, {verdict}"));
    }
    Ok(figures.join(" | "))
}

/// After its third failure an environment knows better than to wait.
fn ensure_fails_fast(answers: &[Answer], from: Duration, back: Duration) -> anyhow::Result<()> {
    for client in 0..CLIENTS {
        let mut during: Vec<&Answer> = answers
            .iter()
            .filter(|answer| answer.client == client && answer.sent_at > from && answer.sent_at + FAST < back)
            .collect();
        during.sort_by_key(|answer| answer.sent_at);
        ensure!(during.len() > 3, "client {client} asked only {} times", during.len());
        let slow = during[3..].iter().find(|answer| answer.is_success() || answer.duration > FAST);
        ensure!(slow.is_none(), "client {client}, after three failures: {slow:?}");
        let fastest = during[3..].iter().map(|answer| answer.duration).min();
        ensure!(
            fastest <= Some(Duration::from_secs(1)),
            "client {client}: nothing failed within a second: {fastest:?}"
        );
    }
    Ok(())
}

/// The verdict over one load of several on a topic: the others' messages are no strangers.
async fn verdict_of_part(cluster: &Cluster, topic: &str, load: &Load) -> anyhow::Result<String> {
    let mut log = msk_e2e::log_reader::find_messages(cluster, topic).await?;
    let ids: std::collections::BTreeSet<String> =
        load.history.attempts().into_iter().map(|attempt| attempt.id).collect();
    log.retain(|found| ids.contains(&found.id));
    let verdict = load.history.check(&log);
    ensure!(verdict.is_valid(), "the history is not valid: {verdict}; {verdict:?}");
    Ok(format!("{}; {verdict}", load.summary()))
}

pub(crate) async fn random_faults(stage: &Stage) -> anyhow::Result<String> {
    let mut figures = Vec::new();
    let seeds: &[u64] = stage.choose(&[1], &[1, 2, 3, 4, 5]);
    for &seed in seeds {
        let cluster = stage.cluster().await?;
        let topic = topic(&cluster, "r8").await?;
        let environments = producers(&cluster, &topic, CLIENTS, &[("DELIVERY_TIMEOUT_MS", "10000")]).await?;
        let load = Load::new(&topic);
        let rounds = stage.choose(60, 300) / 5;
        let plan = Plan { pause: Duration::from_millis(20), ..Plan::default() };
        let names = load.run_until(&environments, plan, nemesis(&cluster, seed, rounds)).await?;
        stage.heal().await?;
        figures.push(format!("seed {seed} ({}): {}", names.join(" "), verdict(&cluster, &topic, &load).await?));
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

pub(crate) async fn fatal_errors(stage: &Stage) -> anyhow::Result<String> {
    let cluster = stage.cluster().await?;
    let topic = topic(&cluster, "r16").await?;
    let environments = producers(&cluster, &topic, 1, &[]).await?;
    let environment = &environments[0];
    let load = Load::new(&topic);
    ensure!(load.send(environment, 0, 1).await.is_success(), "{}", load.summary());
    let [descriptors, threads] = footprint(environment.id())?;
    let lie = Falsehood { every: 1, error_code: OUT_OF_ORDER };
    let mut slowest = Duration::ZERO;
    let times = stage.choose(20, 100);
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
    // Old clients are dropped off the request path: wait for the last one. Each that stays would hold several of both.
    let wait = msk_e2e::wait::wait_until("as many descriptors and threads as before", LIMIT, || async {
        let [files, tasks] = footprint(environment.id()).unwrap_or([usize::MAX; 2]);
        let seen = format!("descriptors {descriptors} -> {files}, threads {threads} -> {tasks}");
        if files <= descriptors + 4 && tasks <= threads + 4 { Ok(seen) } else { Err(seen) }
    });
    let after = wait.await?;
    let figures = verdict(&cluster, &topic, &load).await?;
    Ok(format!("{times} fatal errors; slowest next answer {slowest:.2?}; {after}; {figures}"))
}

/// Open files, sockets among them, and threads of a process.
fn footprint(id: u32) -> anyhow::Result<[usize; 2]> {
    let count = |what: &str| Ok::<_, std::io::Error>(std::fs::read_dir(format!("/proc/{id}/{what}"))?.count());
    Ok([count("fd")?, count("task")?])
}
