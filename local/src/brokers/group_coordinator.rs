//! The classic consumer groups of the cluster (Kafka protocol, "Group Membership API"): the crate's own have one member, each that joins
//! replaces the one before. What the crate needs to know of them, for commits and to describe groups, is written into its state.

use std::collections::HashMap;
use std::ops::RangeInclusive;
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

/// Kafka's `group.min.session.timeout.ms` and `group.max.session.timeout.ms`.
const SESSION_TIMEOUTS: RangeInclusive<Duration> = Duration::from_secs(6)..=Duration::from_secs(1_800);

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
            if let Some(error) = refusal(state, &request, broker) {
                let _ = sender.send(request.refused(error));
                return;
            }
            let name = request.group().to_owned();
            // Nothing but a member makes a group.
            if !groups.contains_key(&name) && !matches!(request, GroupRequest::Join(_)) {
                let _ = sender.send(request.refused(GroupError::UnknownMemberId));
                return;
            }
            let group = groups.entry(name.clone()).or_default();
            group.take(client, request, sender, Instant::now());
            group.show(state, &name);
        });
        receiver
    }

    /// Whether a member of the newer protocol must not join the group.
    pub(super) fn has_classic_members(&self, group: &str) -> bool {
        let groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        groups.get(group).is_some_and(ClassicGroup::has_members)
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

/// Why this broker does not take the request.
fn refusal(state: &ClusterState, request: &GroupRequest, broker: i32) -> Option<GroupError> {
    let group = request.group();
    let coordinator = state.group_coordinator(group);
    if coordinator != broker {
        let is_online = state.broker(coordinator).is_some_and(|broker| broker.online);
        return Some(if is_online { GroupError::NotCoordinator } else { GroupError::CoordinatorNotAvailable });
    }
    if matches!(request, GroupRequest::Join(join) if !SESSION_TIMEOUTS.contains(&join.session_timeout)) {
        return Some(GroupError::InvalidSessionTimeout);
    }
    // Kafka 4 moves a group from one protocol to the other; these brokers do not.
    let has_newer = state.groups.get(group).is_some_and(|group| !group.consumer_members.is_empty());
    (has_newer && matches!(request, GroupRequest::Join(_))).then_some(GroupError::InconsistentGroupProtocol)
}
