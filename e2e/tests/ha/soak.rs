//! Hours of operation in a short time: what grows when nothing fails.

use std::{fs, time::Duration};

use anyhow::{Context as _, bail, ensure};
use msk_e2e::load::{Load, Plan};

use crate::shared_clusters::{CLIENTS, SharedClusters, ensure_all_succeeded, producers, topic, verdict};

/// Caches and pools fill up first.
const WARM: Duration = Duration::from_secs(5 * 60);
const SOAK: Duration = Duration::from_secs(55 * 60);
/// How often the processes are measured: continued growth looks different from growth that ends.
const LOOK: Duration = Duration::from_secs(5 * 60);
/// All clients together.
const REQUESTS_PER_SECOND: u32 = 100;

/// How many of these must have been answered: the figures are for this load and not a lighter one.
const LEAST_SHARE: f64 = 0.95;

/// Of each process: resident memory in KiB, and open descriptors.
struct Footprint {
    memory: u64,
    descriptors: usize,
}

pub(crate) async fn soak(clusters: &SharedClusters) -> anyhow::Result<String> {
    let cluster = clusters.cluster().await?;
    let topic = topic(&cluster, "r18").await?;
    let environments = producers(&cluster, &topic, CLIENTS, &[]).await?;
    let ids: Vec<u32> = environments.iter().map(msk_e2e::lambda::Environment::id).collect();
    let load = Load::new(&topic);
    let every = Duration::from_secs(1) * u32::try_from(CLIENTS)? / REQUESTS_PER_SECOND;
    let plan = Plan { pause: Duration::ZERO, every, ..Plan::default() };
    let measured = async {
        tokio::time::sleep(WARM).await;
        let mut looks = vec![footprints(&ids)?];
        let begun = tokio::time::Instant::now();
        for look in 1..=SOAK.as_secs() / LOOK.as_secs() {
            tokio::time::sleep_until(begun + LOOK * u32::try_from(look)?).await;
            looks.push(footprints(&ids)?);
            println!("  after {} min: {}", (WARM + LOOK * u32::try_from(look)?).as_secs() / 60, memory(&looks));
        }
        anyhow::Ok((looks, load.now()))
    };
    let (looks, end) = load.run_until(&environments, plan, measured).await?;
    ensure_all_succeeded(&load)?;
    let rate = load.summary().requests as f64 / end.as_secs_f64();
    ensure!(rate >= LEAST_SHARE * f64::from(REQUESTS_PER_SECOND), "only {rate:.1} requests a second");
    let (Some(before), Some(after)) = (looks.first(), looks.last()) else { bail!("no process was looked at") };
    let mut worst: f64 = f64::MIN;
    for (before, after) in before.iter().zip(after) {
        let growth = (after.memory as f64 / before.memory as f64 - 1.0) * 100.0;
        worst = worst.max(growth);
        ensure!(growth < 5.0, "memory grew by {growth:.1} %: {}", memory(&looks));
        let descriptors = (before.descriptors, after.descriptors);
        ensure!(descriptors.1 <= descriptors.0 + 2, "descriptors grew: {descriptors:?}");
    }
    let figures = verdict(&cluster, &topic, &load).await?;
    let minutes = SOAK.as_secs() / 60;
    Ok(format!(
        "{rate:.1} requests a second; memory of the worst process {worst:+.1} % in {minutes} min ({}), descriptors flat; {figures}",
        memory(&looks)
    ))
}

/// The total memory of the processes at each measurement.
fn memory(looks: &[Vec<Footprint>]) -> String {
    let sums = looks.iter().map(|look| look.iter().map(|footprint| footprint.memory).sum::<u64>().to_string());
    format!("{} KiB", sums.collect::<Vec<_>>().join(", "))
}

fn footprints(ids: &[u32]) -> anyhow::Result<Vec<Footprint>> {
    ids.iter()
        .map(|id| {
            let status = fs::read_to_string(format!("/proc/{id}/status"))?;
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
            let memory = line.split_whitespace().next().and_then(|text| text.parse().ok()).context("no number")?;
            Ok(Footprint { memory, descriptors: fs::read_dir(format!("/proc/{id}/fd"))?.count() })
        })
        .collect()
}
