//! Environments that Lambda freezes between invocations.

use std::time::Duration;

use anyhow::ensure;
use futures_util::future::join_all;
use msk_e2e::{
    lambda::{Environment, FunctionOptions},
    load::Load,
    proxy::{Cut, Faults},
};

use crate::stage::{CLIENTS, Stage, ensure_all_succeeded, producer, producers, topic, verdict};

const MINUTE_MS: i64 = 60_000;

pub(crate) async fn freeze_and_thaw(stage: &Stage) -> anyhow::Result<String> {
    let cluster = stage.cluster().await?;
    let topic = topic(&cluster, "r10").await?;
    let options = FunctionOptions { movable_clock: true, ..producer(&cluster, &topic, &[]) };
    let environment = Environment::start(&options).await?;
    let load = Load::new(&topic);
    ensure!(load.send(&environment, 0, 1).await.is_success(), "{}", load.summary());
    let mut slowest = Duration::ZERO;
    let cycles = stage.choose(30, 1_000);
    // How far the calendar moves while frozen, and what became of the connections meanwhile.
    let jumps = [0, 6 * MINUTE_MS, 20 * MINUTE_MS, 120 * MINUTE_MS];
    let cuts = [None, Some(Cut::Strand), Some(Cut::Reset)];
    for cycle in 0..cycles {
        environment.freeze().await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
        environment.advance_clock_ms(jumps[cycle % jumps.len()])?;
        // The brokers live on the same calendar.
        cluster.iam().set_clock_offset_ms(environment.clock_offset_ms())?;
        if let Some(cut) = cuts[cycle % cuts.len()] {
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

pub(crate) async fn no_zombies(stage: &Stage) -> anyhow::Result<String> {
    let cluster = stage.cluster().await?;
    let topic = topic(&cluster, "r11").await?;
    let environments = producers(&cluster, &topic, CLIENTS + 1, &[("DELIVERY_TIMEOUT_MS", "1500")]).await?;
    let load = Load::new(&topic);
    let rounds = stage.choose(50, 500) / environments.len();
    for _ in 0..rounds {
        cluster.proxies().for_each(|proxy| proxy.set(Faults { blackhole: true, ..Faults::default() }));
        let timed_out = join_all(environments.iter().enumerate().map(|(number, one)| load.send(one, number, 1))).await;
        ensure!(timed_out.iter().all(|answer| !answer.is_success()), "a 2xx through a blackhole: {}", load.summary());
        for environment in &environments {
            environment.freeze().await?;
        }
        cluster.proxies().for_each(|proxy| proxy.set(Faults::default()));
        tokio::time::sleep(Duration::from_millis(100)).await;
        // The thaw gives every thread of the client its chance to write what it was told to forget.
        join_all(environments.iter().enumerate().map(|(number, one)| load.send(one, number, 1))).await;
    }
    // Whatever still lingers has 3 s to show itself.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let summary = load.summary();
    ensure!(summary.failures.is_empty(), "a request had no answer: {summary}");
    let figures = verdict(&cluster, &topic, &load).await?;
    Ok(format!("{rounds} rounds of {}; {figures}", environments.len()))
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
