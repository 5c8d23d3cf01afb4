//! Hours in small: what grows when nothing breaks.

use std::{fs, time::Duration};

use anyhow::{Context as _, ensure};
use msk_e2e::load::{Load, Plan};

use crate::stage::{CLIENTS, Stage, ensure_all_succeeded, producers, topic, verdict};

/// Caches and pools fill up first.
const WARM: Duration = Duration::from_secs(5 * 60);
const SOAK: Duration = Duration::from_secs(55 * 60);

/// Of each process: resident memory in KiB, and open descriptors.
struct Footprint {
    memory: u64,
    descriptors: usize,
}

pub(crate) async fn soak(stage: &Stage) -> anyhow::Result<String> {
    let cluster = stage.cluster().await?;
    let topic = topic(&cluster, "r18").await?;
    let environments = producers(&cluster, &topic, CLIENTS, &[]).await?;
    let ids: Vec<u32> = environments.iter().map(msk_e2e::lambda::Environment::id).collect();
    let load = Load::new(&topic);
    // Four clients, each with an answer of some milliseconds and this pause: 100 requests a second.
    let plan = Plan { pause: Duration::from_millis(35), ..Plan::default() };
    let measured = async {
        tokio::time::sleep(WARM).await;
        let before = footprints(&ids)?;
        tokio::time::sleep(SOAK).await;
        anyhow::Ok((before, footprints(&ids)?))
    };
    let (before, after) = load.run_until(&environments, plan, measured).await?;
    ensure_all_succeeded(&load)?;
    let mut worst: f64 = f64::MIN;
    for (before, after) in before.iter().zip(&after) {
        let growth = (after.memory as f64 / before.memory as f64 - 1.0) * 100.0;
        worst = worst.max(growth);
        ensure!(growth < 5.0, "memory grew by {growth:.1} %: {} to {} KiB", before.memory, after.memory);
        let descriptors = (before.descriptors, after.descriptors);
        ensure!(descriptors.1 <= descriptors.0 + 2, "descriptors grew: {descriptors:?}");
    }
    let figures = verdict(&cluster, &topic, &load).await?;
    Ok(format!("memory of the worst process {worst:+.1} % in {} min, descriptors flat; {figures}", SOAK.as_secs() / 60))
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
