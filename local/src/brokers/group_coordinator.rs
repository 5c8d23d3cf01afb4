//! The classic consumer groups of the cluster (Kafka protocol, "Group Membership API"): the crate's own have one member, each that joins
//! replaces the one before. What the crate needs to know of them, for commits and to describe groups, is written into its state.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError, Weak};
use std::time::Duration;

use krafka::testing::{ClusterState, FakeBroker};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::classic_group::ClassicGroup;
use super::group_frames::{GroupAnswer, GroupError, GroupRequest};

/// What comes back once the group has come to an answer.
pub(super) type PendingAnswer = oneshot::Receiver<GroupAnswer>;

/// How often members that fell silent are looked for.
pub(super) const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// All groups of the cluster: they outlive the broker that coordinates them, as they do in Kafka.
pub(super) struct GroupCoordinator {
    cluster: Weak<FakeBroker>,
    groups: Mutex<HashMap<String, ClassicGroup>>,
}

impl GroupCoordinator {
    pub(super) fn new(cluster: Weak<FakeBroker>) -> Self {
        Self { cluster, groups: Mutex::default() }
    }

    /// Takes a request that came to the broker with this id.
    pub(super) fn take(&self, broker: i32, client: &str, request: GroupRequest) -> PendingAnswer {
        let (sender, receiver) = oneshot::channel();
        let Some(cluster) = self.cluster.upgrade() else { return receiver };
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        cluster.with_state(|state| {
            if let Some(error) = refusal(state, request.group(), broker) {
                let _ = sender.send(request.refused(error));
                return;
            }
            let name = request.group().to_owned();
            let group = groups.entry(name.clone()).or_default();
            group.take(client, request, sender, Instant::now());
            group.show(state, &name);
        });
        receiver
    }

    /// Ends what has taken too long: silent members, and waiting for those that do not join again.
    pub(super) fn expire(&self) {
        let Some(cluster) = self.cluster.upgrade() else { return };
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        for (name, group) in groups.iter_mut() {
            if group.expire(now) {
                cluster.with_state(|state| group.show(state, name));
            }
        }
    }
}

/// Why this broker has no say in the group.
fn refusal(state: &ClusterState, group: &str, broker: i32) -> Option<GroupError> {
    let coordinator = state.group_coordinator(group);
    if coordinator != broker {
        let is_online = state.broker(coordinator).is_some_and(|broker| broker.online);
        return Some(if is_online { GroupError::NotCoordinator } else { GroupError::CoordinatorNotAvailable });
    }
    // Kafka 4 moves a group from one protocol to the other; these brokers do not.
    let has_newer = state.groups.get(group).is_some_and(|group| !group.consumer_members.is_empty());
    has_newer.then_some(GroupError::InconsistentGroupProtocol)
}
