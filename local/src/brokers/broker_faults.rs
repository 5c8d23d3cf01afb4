//! Faults of the brokers on request: one crashes and comes back, leaders move, answers are lost after the records were written, answers
//! come late. Which faults, in what order and with what pauses depends on the seed alone; which record meets a lost or a late answer
//! depends on the seed and on how many requests came before it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use krafka::testing::{ClusterState, Control, FakeBroker, RequestInfo};
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::output::{BrokerChaosLine, Line, Reporter};
use crate::stable_hash::stable_hash;

/// The brokers: as many as MSK has across three availability zones, with MSK's ids.
pub(super) const IDS: [i32; 3] = [1, 2, 3];
/// Of a hundred requests that bring records, how many answers are lost, and how many are late.
const LOST_RESPONSE_PERCENT: u64 = 10;
const DELAY_PERCENT: u64 = 10;
/// How late, in milliseconds.
const DELAY_MS: std::ops::Range<u64> = 50..800;
/// Milliseconds between two faults of the cluster.
const PAUSE_MS: std::ops::Range<u64> = 1_000..4_000;
/// Milliseconds from a crash until other brokers lead, and from then until the broker is back. A controller takes up to 9 s to miss a
/// broker that crashed; one that is restarted moves its leaders first.
const ELECTION_MS: std::ops::Range<u64> = 200..2_000;
const OUTAGE_MS: std::ops::Range<u64> = 1_000..4_000;

/// What the faults depend on, and who is told of them.
pub struct BrokerChaos {
    /// What all decisions depend on.
    pub seed: u64,
    /// What prints a line for each fault.
    pub reporter: Arc<Reporter>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BrokerFault {
    /// A broker is gone, with every connection.
    Crash,
    /// It is back.
    Restart,
    /// Other brokers lead partitions.
    LeaderMove,
    /// Records are written, and the connection ends without an answer.
    LostResponse,
    /// The answer comes late.
    Delay,
}

impl BrokerFault {
    fn name(self) -> &'static str {
        match self {
            Self::Crash => "crash",
            Self::Restart => "restart",
            Self::LeaderMove => "leader_move",
            Self::LostResponse => "lost_response",
            Self::Delay => "delay",
        }
    }
}

/// The faults of one cluster.
pub(super) struct RequestFaults {
    chaos: BrokerChaos,
    /// Requests with records so far.
    requests: AtomicU64,
    first_request: Notify,
    is_over: AtomicBool,
}

impl RequestFaults {
    pub(super) fn new(chaos: BrokerChaos) -> Self {
        Self { chaos, requests: AtomicU64::new(0), first_request: Notify::new(), is_over: AtomicBool::new(false) }
    }

    /// Makes no more of them; a broker that is down comes back.
    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::SeqCst);
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    /// A number that each decision has of its own.
    fn draw(&self, what: &str, number: u64) -> u64 {
        stable_hash(&[&self.chaos.seed.to_le_bytes(), what.as_bytes(), &number.to_le_bytes()])
    }

    fn draw_within(&self, range: &std::ops::Range<u64>, what: &str, number: u64) -> u64 {
        range.start + self.draw(what, number) % (range.end - range.start)
    }

    async fn pause(&self, range: &std::ops::Range<u64>, what: &str, number: u64) {
        sleep(Duration::from_millis(self.draw_within(range, what, number))).await;
    }

    fn tell(&self, fault: BrokerFault, broker: i32, detail: BrokerChaosLine) {
        self.chaos.reporter.line(&Line::BrokerChaos(BrokerChaosLine { fault: fault.name(), broker, ..detail }));
    }
}

/// What happens to a request with records.
pub(super) fn control(faults: Option<&RequestFaults>, request: &RequestInfo) -> Control {
    let Some(faults) = faults.filter(|faults| !faults.is_over()) else { return Control::Pass };
    let number = faults.requests.fetch_add(1, Ordering::Relaxed);
    if number == 0 {
        faults.first_request.notify_one();
    }
    let percent = faults.draw("request", number) % 100;
    if percent < LOST_RESPONSE_PERCENT {
        faults.tell(BrokerFault::LostResponse, request.node_id, BrokerChaosLine::default());
        Control::ApplyThen(Box::new(Control::Disconnect))
    } else if percent < LOST_RESPONSE_PERCENT + DELAY_PERCENT {
        let delay_ms = faults.draw_within(&DELAY_MS, "delay", number);
        let detail = BrokerChaosLine { delay_ms: Some(delay_ms), ..BrokerChaosLine::default() };
        faults.tell(BrokerFault::Delay, request.node_id, detail);
        Control::ApplyThen(Box::new(Control::Delay(Duration::from_millis(delay_ms))))
    } else {
        Control::Pass
    }
}

/// Makes faults of the cluster from the first record on: crashes and moved leaders by turns, one broker down at a time.
pub(super) async fn disturb(cluster: &FakeBroker, faults: Option<Arc<RequestFaults>>) {
    let Some(faults) = faults else { return std::future::pending().await };
    faults.first_request.notified().await;
    for number in 0.. {
        faults.pause(&PAUSE_MS, "pause", number).await;
        if faults.is_over() {
            return std::future::pending().await;
        }
        if number % 2 == 0 {
            move_one_leader(cluster, &faults, number);
        } else {
            crash_and_restart(cluster, &faults, number).await;
        }
    }
}

fn move_one_leader(cluster: &FakeBroker, faults: &RequestFaults, number: u64) {
    let moved = cluster.with_state(|state| {
        // In an order that does not change from run to run.
        let mut names: Vec<&String> = state.topics.keys().collect();
        names.sort_unstable();
        let topic = (*names.get(faults.draw("topic", number) as usize % names.len().max(1))?).clone();
        let partitions = &mut state.topics.get_mut(&topic)?.partitions;
        let index = faults.draw("partition", number) as usize % partitions.len().max(1);
        let partition = partitions.get_mut(index)?;
        let others: Vec<i32> = IDS.into_iter().filter(|id| *id != partition.leader).collect();
        partition.leader = *others.get(faults.draw("leader", number) as usize % others.len().max(1))?;
        partition.leader_epoch += 1;
        Some((topic, index, partition.leader))
    });
    if let Some((topic, index, leader)) = moved {
        let partition = i32::try_from(index).ok();
        let detail = BrokerChaosLine { topic: Some(topic), partition, ..BrokerChaosLine::default() };
        faults.tell(BrokerFault::LeaderMove, leader, detail);
    }
}

async fn crash_and_restart(cluster: &FakeBroker, faults: &RequestFaults, number: u64) {
    let broker = IDS[faults.draw("broker", number) as usize % IDS.len()];
    cluster.crash(broker);
    faults.tell(BrokerFault::Crash, broker, BrokerChaosLine::default());
    faults.pause(&ELECTION_MS, "election", number).await;
    let moved = cluster.with_state(|state| elect(state, broker));
    let detail = BrokerChaosLine { moved: Some(moved), ..BrokerChaosLine::default() };
    faults.tell(BrokerFault::LeaderMove, broker, detail);
    faults.pause(&OUTAGE_MS, "outage", number).await;
    cluster.with_state(|state| set_online(state, broker, true));
    cluster.restart(broker);
    faults.tell(BrokerFault::Restart, broker, BrokerChaosLine::default());
}

/// Gives each partition of a broker that is gone to another one, by turns; returns how many.
pub(super) fn elect(state: &mut ClusterState, gone: i32) -> usize {
    set_online(state, gone, false);
    let others: Vec<i32> = IDS.into_iter().filter(|id| *id != gone).collect();
    let mut leaders = others.iter().cycle();
    let partitions = state.topics.values_mut().flat_map(|topic| &mut topic.partitions);
    let led = partitions.filter(|partition| partition.leader == gone);
    led.map(|partition| {
        partition.leader = leaders.next().copied().unwrap_or(gone);
        partition.leader_epoch += 1;
    })
    .count()
}

/// A broker that is offline is in no partition's set of replicas in sync, and coordinates no group.
pub(super) fn set_online(state: &mut ClusterState, id: i32, online: bool) {
    for broker in state.brokers.iter_mut().filter(|broker| broker.node_id == id) {
        broker.online = online;
    }
    state.controller_id = state.default_coordinator();
    for partition in state.topics.values_mut().flat_map(|topic| &mut topic.partitions) {
        partition.isr.retain(|replica| *replica != id);
        if online && partition.replicas.contains(&id) {
            partition.isr.push(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use msk_test_kit::KeptLines;
    use serde_json::Value;

    use super::*;
    use crate::output::Format;

    /// Where leaders move in twenty turns, which broker crashes in each, and what becomes of two hundred requests.
    async fn decided(seed: u64) -> (Vec<Value>, Vec<u64>, Vec<u64>) {
        let told = KeptLines::default();
        let reporter = Arc::new(Reporter::new(Format::Json, false, false, Box::new(told.clone())));
        let faults = RequestFaults::new(BrokerChaos { seed, reporter });
        let cluster = FakeBroker::start_cluster(IDS.len() + 1).await.unwrap();
        for topic in ["orders", "audit", "payments"] {
            cluster.create_topic(topic, 6);
        }
        (0..20).for_each(|number| move_one_leader(&cluster, &faults, number));
        let crashes = (0..20).map(|number| faults.draw("broker", number) % 3).collect();
        let requests = (0..200).map(|number| faults.draw("request", number) % 100).collect();
        (told.lines(), crashes, requests)
    }

    #[tokio::test]
    async fn a_seed_repeats_its_faults_and_another_has_others() {
        let (lines, crashes, requests) = decided(7).await;
        assert_eq!(lines.len(), 20);
        assert_eq!(decided(7).await, (lines.clone(), crashes.clone(), requests.clone()));
        let other = decided(8).await;
        assert!(other.0 != lines && other.1 != crashes && other.2 != requests);
        // The same on every machine, and in every version.
        assert_eq!(crashes[..8], [1, 0, 2, 0, 0, 2, 0, 1]);
        let lost = requests.iter().filter(|percent| **percent < LOST_RESPONSE_PERCENT).count();
        assert!((10..=30).contains(&lost), "{lost} of 200");
    }
}
