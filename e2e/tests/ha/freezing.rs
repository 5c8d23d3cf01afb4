//! Environments that Lambda freezes between invocations.

use std::time::Duration;

use anyhow::ensure;
use futures_util::future::join_all;
use msk_e2e::lambda::{Environment, FunctionOptions};
use msk_e2e::load::Load;
use msk_e2e::proxy::{Cut, Faults};

use crate::shared_clusters::{CLIENTS, SharedClusters, ensure_all_succeeded, producer, producers, topic, verdict};

const MINUTE_MS: i64 = 60_000;

/// How far the wall clock moves while frozen, and what happened to the connections meanwhile. A forgotten connection
/// (stranded) takes minutes without traffic; brokers and load balancers reset at any time.
const NIGHTS: [(i64, Option<Cut>); 12] = [
    (0, None),
    (0, Some(Cut::Reset)),
    (6 * MINUTE_MS, None),
    (6 * MINUTE_MS, Some(Cut::Strand)),
    (20 * MINUTE_MS, Some(Cut::Reset)),
    (20 * MINUTE_MS, Some(Cut::Strand)),
    (120 * MINUTE_MS, None),
    (120 * MINUTE_MS, Some(Cut::Strand)),
    // Too short to count as a freeze, but in total longer than a token is valid.
    (4 * MINUTE_MS, None),
    (4 * MINUTE_MS, None),
    (4 * MINUTE_MS, None),
    (4 * MINUTE_MS, Some(Cut::Reset)),
];

pub(crate) async fn freeze_and_thaw(clusters: &SharedClusters) -> anyhow::Result<String> {
    let cluster = clusters.cluster().await?;
    let topic = topic(&cluster, "r10").await?;
    let options = FunctionOptions { movable_clock: true, ..producer(&cluster, &topic, &[]) };
    let environment = Environment::start(&options).await?;
    let load = Load::new(&topic);
    ensure!(load.send(&environment, 0, 1).await.is_success(), "{}", load.summary());
    let mut slowest = Duration::ZERO;
    let cycles = clusters.choose(30, 1_000);
    for cycle in 0..cycles {
        let (jump_ms, cut) = NIGHTS[cycle % NIGHTS.len()];
        environment.freeze().await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
        environment.advance_clock_ms(jump_ms)?;
        // The brokers use the same wall clock.
        cluster.iam().set_clock_offset_ms(environment.clock_offset_ms())?;
        if let Some(cut) = cut {
            cluster.proxies().for_each(|proxy| proxy.cut(cut));
        }
        let first = load.send(&environment, 0, 1).await;
        ensure!(first.is_success(), "cycle {cycle}: {first:?}\n{}", tail(&environment.log()));
        slowest = slowest.max(first.duration);
        for _ in 0..cycle % 3 {
            load.send(&environment, 0, 1).await;
        }
    }
    ensure_all_succeeded(&load)?;
    ensure!(slowest <= Duration::from_secs(3), "the first answer after a thaw took {slowest:.2?}");
    let figures = verdict(&cluster, &topic, &load).await?;
    let moved = environment.clock_offset_ms() / MINUTE_MS;
    Ok(format!("{cycles} cycles, clock moved {moved} min; slowest first answer {slowest:.2?}; {figures}"))
}

/// Longer than a token is valid, and longer than anything on the way keeps an idle connection.
const REAL_FREEZE: Duration = Duration::from_secs(16 * 60);

/// Five environments that really are frozen for as long, at the same time.
pub(crate) async fn real_freezes(clusters: &SharedClusters) -> anyhow::Result<String> {
    let cluster = clusters.cluster().await?;
    let topic = topic(&cluster, "r10").await?;
    let environments = producers(&cluster, &topic, 5, &[]).await?;
    let load = Load::new(&topic);
    for (number, environment) in environments.iter().enumerate() {
        ensure!(load.send(environment, number, 1).await.is_success(), "{}", load.summary());
        environment.freeze().await?;
    }
    tokio::time::sleep(REAL_FREEZE).await;
    let mut slowest = Duration::ZERO;
    for (number, environment) in environments.iter().enumerate() {
        let first = load.send(environment, number, 1).await;
        ensure!(first.is_success(), "environment {number}: {first:?}\n{}", tail(&environment.log()));
        slowest = slowest.max(first.duration);
    }
    ensure!(slowest <= Duration::from_secs(3), "the first answer after a thaw took {slowest:.2?}");
    let figures = verdict(&cluster, &topic, &load).await?;
    Ok(format!("5 environments frozen for {REAL_FREEZE:?}; slowest first answer {slowest:.2?}; {figures}"))
}

pub(crate) async fn no_zombies(clusters: &SharedClusters) -> anyhow::Result<String> {
    let cluster = clusters.cluster().await?;
    let topic = topic(&cluster, "r11").await?;
    let environments = producers(&cluster, &topic, CLIENTS + 1, &[("DELIVERY_TIMEOUT_MS", "1500")]).await?;
    let load = Load::new(&topic);
    let rounds = clusters.choose(50, 500) / environments.len();
    for round in 0..rounds {
        // Records that were sent and not answered, and records that never left the process.
        let fault = if round % 2 == 0 {
            Faults { blackhole: true, ..Faults::default() }
        } else {
            Faults { refuse: true, ..Faults::default() }
        };
        for proxy in cluster.proxies() {
            proxy.set(fault.clone());
            if fault.refuse {
                proxy.cut(Cut::Reset);
            }
        }
        let timed_out = join_all(environments.iter().enumerate().map(|(number, one)| load.send(one, number, 1))).await;
        ensure!(timed_out.iter().all(|answer| !answer.is_success()), "a 2xx without brokers: {}", load.summary());
        for environment in &environments {
            environment.freeze().await?;
        }
        cluster.proxies().for_each(|proxy| proxy.set(Faults::default()));
        tokio::time::sleep(Duration::from_millis(100)).await;
        // The thaw gives every thread of the client its chance to write what it should have dropped.
        join_all(environments.iter().enumerate().map(|(number, one)| load.send(one, number, 1))).await;
    }
    // Anything that is still pending has 3 s to appear.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let summary = load.summary();
    ensure!(summary.failures.is_empty(), "a request had no answer: {summary}");
    ensure!(summary.with_persisted("no") > 0, "nothing was answered `no`: {summary}");
    let figures = verdict(&cluster, &topic, &load).await?;
    Ok(format!("{rounds} rounds of {}; {figures}", environments.len()))
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
