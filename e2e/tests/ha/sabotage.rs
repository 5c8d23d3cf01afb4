//! Scenarios that must fail: each runs with one promise broken, or with a part of the test bed made blind, and its error
//! is what must appear. A check that cannot fail checks nothing.

use std::future::Future;

use anyhow::{bail, ensure};
use msk_e2e::history::Found;

use crate::{availability, clients, faults, shared_clusters::SharedClusters};

/// What is broken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Broken {
    /// The producer, by a switch of `shared/src/kafka/sabotage.rs`.
    Producer(&'static str),
    /// The final read: one record of the log is overlooked.
    LogReader,
    /// The proxy: it passes everything.
    Proxy,
}

tokio::task_local! {
    static BROKEN: Broken;
}

fn broken() -> Option<Broken> {
    BROKEN.try_with(|broken| *broken).ok()
}

/// The switch that the producer is to be started with.
pub(crate) fn producer_switch() -> Option<&'static str> {
    match broken() {
        Some(Broken::Producer(switch)) => Some(switch),
        _ => None,
    }
}

/// Whether faults are not to be set.
pub(crate) fn proxy_passes_everything() -> bool {
    broken() == Some(Broken::Proxy)
}

/// Overlooks a record, if that is what is broken.
pub(crate) fn plant_loss(log: &mut Vec<Found>) {
    if broken() == Some(Broken::LogReader) {
        log.pop();
    }
}

/// The scenario's error, which must be the expected one.
async fn caught(
    what: Broken,
    is_right: impl Fn(&str) -> bool,
    scenario: impl Future<Output = anyhow::Result<String>>,
) -> anyhow::Result<String> {
    match BROKEN.scope(what, scenario).await {
        Ok(figures) => bail!("not noticed: {figures}"),
        Err(error) => {
            let complaint = format!("{error:#}");
            ensure!(is_right(&complaint), "another complaint than expected: {complaint}");
            Ok(format!("noticed: {}", complaint.chars().take(300).collect::<String>()))
        }
    }
}

/// With `acks=1` in-sync replicas are not required: with two of three brokers down, requests still get a 2xx.
pub(crate) async fn leader_alone(clusters: &SharedClusters) -> anyhow::Result<String> {
    caught(
        Broken::Producer("acks-one"),
        |complaint| complaint.starts_with("2xx: "),
        availability::two_brokers_down(clusters),
    )
    .await
}

fn duplicated(complaint: &str) -> bool {
    complaint.contains(" duplicated, ") && !complaint.contains(" 0 duplicated, ")
}

/// Without sequence numbers a lost response becomes a duplicate.
pub(crate) async fn no_idempotence(clusters: &SharedClusters) -> anyhow::Result<String> {
    caught(Broken::Producer("no-idempotence"), duplicated, faults::lost_responses(clusters)).await
}

/// A client that had a fatal error never writes again.
pub(crate) async fn no_rebuild(clusters: &SharedClusters) -> anyhow::Result<String> {
    caught(
        Broken::Producer("no-rebuild"),
        |complaint| complaint.starts_with("after fatal error"),
        faults::fatal_errors(clusters),
    )
    .await
}

/// A request that is admitted regardless of the time left may be written after its caller has given up.
pub(crate) async fn no_admission(clusters: &SharedClusters) -> anyhow::Result<String> {
    caught(
        Broken::Producer("no-admission"),
        |complaint| complaint.starts_with("a request was let in too late"),
        clients::deadlines(clusters),
    )
    .await
}

/// A log that misses a record is a loss.
pub(crate) async fn planted_loss(clusters: &SharedClusters) -> anyhow::Result<String> {
    caught(Broken::LogReader, |complaint| complaint.contains("; 1 lost,"), faults::lost_responses(clusters)).await
}

/// A proxy that loses nothing tests nothing.
pub(crate) async fn blind_proxy(clusters: &SharedClusters) -> anyhow::Result<String> {
    caught(Broken::Proxy, |complaint| complaint.ends_with("responses were lost"), faults::lost_responses(clusters))
        .await
}
