//! One classic consumer group: who is in it, what generation it is in, who waits for what. As in Kafka a generation ends when a member
//! comes, goes or falls silent; the next one begins when all others have joined again, or their time is over.

use std::collections::HashMap;
use std::time::Duration;

use krafka::testing::{ClassicGroupState, ClusterState, GroupMember};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::group_frames::{GroupAnswer, GroupError, GroupRequest, Heartbeat, Join, Joined, Leave, Left, Sync};

/// Takes the answer once there is one.
pub(super) type AnswerSender = oneshot::Sender<GroupAnswer>;

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Phase {
    #[default]
    Empty,
    /// Members are to join again, until this time.
    Joining(Instant),
    /// The leader is to say who gets what, until this time.
    AwaitingAssignment(Instant),
    Stable,
}

struct Member {
    id: String,
    instance: Option<String>,
    client: String,
    session_timeout: Duration,
    rebalance_timeout: Duration,
    protocols: Vec<(String, Vec<u8>)>,
    last_seen: Instant,
    joining: Option<AnswerSender>,
    syncing: Option<AnswerSender>,
    assignment: Vec<u8>,
}

impl Member {
    fn has_joined(&self) -> bool {
        is_awaited(self.joining.as_ref())
    }

    /// Whether it waits for an answer: it is there, and silent because of that.
    fn waits(&self) -> bool {
        self.has_joined() || is_awaited(self.syncing.as_ref())
    }

    fn is_silent(&self, now: Instant) -> bool {
        now.duration_since(self.last_seen) > self.session_timeout
    }

    /// Ends what it waits for.
    fn refuse(&mut self, error: GroupError) {
        if let Some(waiting) = self.joining.take() {
            answer(waiting, GroupAnswer::Join(Err((error, self.id.clone()))));
        }
        if let Some(waiting) = self.syncing.take() {
            answer(waiting, GroupAnswer::Sync(Err(error)));
        }
    }

    fn subscription(&self, protocol: &str) -> &[u8] {
        self.protocols.iter().find(|(name, _)| name == protocol).map_or(&[], |(_, subscription)| subscription)
    }

    fn supports(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|(name, _)| name == protocol)
    }
}

/// Whether its connection is still there.
fn is_awaited(waiting: Option<&AnswerSender>) -> bool {
    waiting.is_some_and(|waiting| !waiting.is_closed())
}

#[derive(Default)]
pub(super) struct ClassicGroup {
    phase: Phase,
    generation: i32,
    protocol_type: String,
    protocol: String,
    leader: String,
    /// In the order in which they came.
    members: Vec<Member>,
    /// Ids that were given out and not used yet, and when they end.
    offered: HashMap<String, Instant>,
    ids: u64,
}

impl ClassicGroup {
    pub(super) fn has_members(&self) -> bool {
        !self.members.is_empty()
    }

    pub(super) fn take(&mut self, client: &str, request: GroupRequest, waiting: AnswerSender, now: Instant) {
        let given = match request {
            GroupRequest::Join(join) => return self.join(client, join, waiting, now),
            GroupRequest::Sync(sync) => return self.sync(sync, waiting, now),
            GroupRequest::Heartbeat(heartbeat) => GroupAnswer::Heartbeat(self.heartbeat(&heartbeat, now)),
            GroupRequest::Leave(leave) => GroupAnswer::Leave(Ok(self.leave(leave, now))),
        };
        answer(waiting, given);
    }

    fn join(&mut self, client: &str, mut join: Join, waiting: AnswerSender, now: Instant) {
        let known = match self.known_member(&mut join, client, now) {
            Ok(known) => known,
            Err(error) => return answer(waiting, GroupAnswer::Join(Err((error, join.member)))),
        };
        let others = self.members.iter().enumerate().filter(|(index, _)| Some(*index) != known);
        let others: Vec<&Member> = others.map(|(_, member)| member).collect();
        let is_other_type = !others.is_empty() && self.protocol_type != join.protocol_type;
        let is_supported = |name: &str| others.iter().all(|member| member.supports(name));
        if is_other_type || !join.protocols.iter().any(|(name, _)| is_supported(name)) {
            return answer(waiting, GroupAnswer::Join(Err((GroupError::InconsistentGroupProtocol, join.member))));
        }
        self.protocol_type = join.protocol_type;
        let mut member = Member {
            id: join.member,
            instance: join.instance,
            client: client.to_owned(),
            session_timeout: join.session_timeout,
            rebalance_timeout: if join.rebalance_timeout.is_zero() {
                join.session_timeout
            } else {
                join.rebalance_timeout
            },
            protocols: join.protocols,
            last_seen: now,
            joining: None,
            syncing: None,
            assignment: Vec::new(),
        };
        let index = known.unwrap_or(self.members.len());
        let is_same = match self.members.get_mut(index) {
            None => {
                self.members.push(member);
                false
            }
            Some(before) => {
                let is_same = before.id == member.id && before.protocols == member.protocols;
                member.assignment = std::mem::take(&mut before.assignment);
                if before.id != member.id {
                    before.refuse(GroupError::FencedInstanceId);
                }
                if self.leader == before.id {
                    self.leader.clone_from(&member.id);
                }
                *before = member;
                is_same
            }
        };
        let is_leader = self.leader == self.members[index].id;
        match self.phase {
            Phase::AwaitingAssignment(_) if is_same => answer(waiting, self.joined(&self.members[index])),
            Phase::Stable if is_same && !is_leader => answer(waiting, self.joined(&self.members[index])),
            Phase::Joining(_) => self.members[index].joining = Some(waiting),
            _ => {
                self.members[index].joining = Some(waiting);
                self.rebalance(now);
            }
        }
        self.complete_when_all_joined(now);
    }

    /// Where the member is; `None` for a new one. Gives it an id if it may join without.
    fn known_member(&mut self, join: &mut Join, client: &str, now: Instant) -> Result<Option<usize>, GroupError> {
        if !join.member.is_empty() {
            self.check_instance(&join.member, join.instance.as_ref())?;
            let known = self.members.iter().position(|member| member.id == join.member);
            let is_new = known.is_none() && self.offered.remove(&join.member).is_some();
            return if known.is_some() || is_new { Ok(known) } else { Err(GroupError::UnknownMemberId) };
        }
        self.ids += 1;
        // Far below the longest text of a frame.
        join.member = format!("{}-{}", client.chars().take(255).collect::<String>(), self.ids);
        if join.instance.is_none() && join.gets_id_first {
            // One whose first answer got lost leaves no member behind (KIP-394).
            self.offered.insert(join.member.clone(), now + join.session_timeout);
            return Err(GroupError::MemberIdRequired);
        }
        let is_same = |member: &Member| join.instance.is_some() && member.instance == join.instance;
        Ok(self.members.iter().position(is_same))
    }

    fn sync(&mut self, sync: Sync, waiting: AnswerSender, now: Instant) {
        let index = match self.current_member(&sync.member, sync.instance.as_ref(), sync.generation, now) {
            Ok(index) => index,
            Err(error) => return answer(waiting, GroupAnswer::Sync(Err(error))),
        };
        match self.phase {
            Phase::Empty | Phase::Joining(_) => {
                answer(waiting, GroupAnswer::Sync(Err(GroupError::RebalanceInProgress)));
            }
            Phase::Stable => answer(waiting, GroupAnswer::Sync(Ok(self.members[index].assignment.clone()))),
            Phase::AwaitingAssignment(_) => {
                self.members[index].syncing = Some(waiting);
                if self.leader == sync.member {
                    self.assign(sync.assignments, now);
                }
            }
        }
    }

    fn assign(&mut self, assignments: Vec<(String, Vec<u8>)>, now: Instant) {
        let mut assignments: HashMap<_, _> = assignments.into_iter().collect();
        for member in &mut self.members {
            member.assignment = assignments.remove(&member.id).unwrap_or_default();
            if let Some(waiting) = member.syncing.take() {
                member.last_seen = now;
                answer(waiting, GroupAnswer::Sync(Ok(member.assignment.clone())));
            }
        }
        self.phase = Phase::Stable;
    }

    fn heartbeat(&mut self, heartbeat: &Heartbeat, now: Instant) -> Result<(), GroupError> {
        self.current_member(&heartbeat.member, heartbeat.instance.as_ref(), heartbeat.generation, now)?;
        if matches!(self.phase, Phase::Joining(_)) { Err(GroupError::RebalanceInProgress) } else { Ok(()) }
    }

    /// A member of this generation, which has been heard of.
    fn current_member(
        &mut self,
        id: &str,
        instance: Option<&String>,
        generation: i32,
        now: Instant,
    ) -> Result<usize, GroupError> {
        self.check_instance(id, instance)?;
        let index = self.members.iter().position(|member| member.id == id).ok_or(GroupError::UnknownMemberId)?;
        if generation != self.generation {
            return Err(GroupError::IllegalGeneration);
        }
        self.members[index].last_seen = now;
        Ok(index)
    }

    /// An error if another process has taken the place of this static member.
    fn check_instance(&self, id: &str, instance: Option<&String>) -> Result<(), GroupError> {
        let is_taken = |member: &Member| member.instance.as_ref() == instance && member.id != id;
        let is_fenced = instance.is_some() && self.members.iter().any(is_taken);
        if is_fenced { Err(GroupError::FencedInstanceId) } else { Ok(()) }
    }

    fn leave(&mut self, leave: Leave, now: Instant) -> Vec<Left> {
        let left = leave.members.into_iter().map(|(id, instance)| {
            let is_meant = |member: &Member| {
                if id.is_empty() { instance.is_some() && member.instance == instance } else { member.id == id }
            };
            let index = self.members.iter().position(is_meant);
            let error = if index.is_none() { Some(GroupError::UnknownMemberId) } else { None };
            if let Some(index) = index {
                self.members.remove(index).refuse(GroupError::UnknownMemberId);
            }
            (id, instance, error)
        });
        let left: Vec<_> = left.collect();
        if left.iter().any(|(_, _, error)| error.is_none()) {
            self.go_on_without(now);
        }
        left
    }

    /// Members are gone: the others share what they had.
    fn go_on_without(&mut self, now: Instant) {
        if !matches!(self.phase, Phase::Joining(_)) {
            self.rebalance(now);
        }
        self.complete_when_all_joined(now);
    }

    fn rebalance(&mut self, now: Instant) {
        self.phase = Phase::Joining(now + self.longest_rebalance());
        for waiting in self.members.iter_mut().filter_map(|member| member.syncing.take()) {
            answer(waiting, GroupAnswer::Sync(Err(GroupError::RebalanceInProgress)));
        }
    }

    fn longest_rebalance(&self) -> Duration {
        self.members.iter().map(|member| member.rebalance_timeout).max().unwrap_or_default()
    }

    fn complete_when_all_joined(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Joining(_)) && self.members.iter().all(Member::has_joined) {
            self.complete(now);
        }
    }

    /// Begins the next generation with those that joined.
    fn complete(&mut self, now: Instant) {
        self.members.retain(Member::has_joined);
        self.generation += 1;
        let Some(first) = self.members.first() else {
            self.phase = Phase::Empty;
            self.leader.clear();
            return;
        };
        if !self.members.iter().any(|member| member.id == self.leader) {
            self.leader.clone_from(&first.id);
        }
        let is_common = |name: &str| self.members.iter().all(|member| member.supports(name));
        let chosen = first.protocols.iter().map(|(name, _)| name).find(|name| is_common(name));
        self.protocol = chosen.cloned().unwrap_or_default();
        self.phase = Phase::AwaitingAssignment(now + self.longest_rebalance());
        for index in 0..self.members.len() {
            self.members[index].last_seen = now;
            if let Some(waiting) = self.members[index].joining.take() {
                answer(waiting, self.joined(&self.members[index]));
            }
        }
    }

    /// The generation, as `member` learns of it.
    fn joined(&self, member: &Member) -> GroupAnswer {
        let seen = |member: &Member| {
            (member.id.clone(), member.instance.clone(), member.subscription(&self.protocol).to_vec())
        };
        let is_leader = member.id == self.leader;
        GroupAnswer::Join(Ok(Joined {
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            member: member.id.clone(),
            members: if is_leader { self.members.iter().map(seen).collect() } else { Vec::new() },
        }))
    }

    /// Whether anything changed.
    pub(super) fn expire(&mut self, now: Instant) -> bool {
        self.offered.retain(|_, end| now < *end);
        self.members.iter_mut().filter(|member| member.waits()).for_each(|member| member.last_seen = now);
        let before = self.members.len();
        let is_unassigned = matches!(self.phase, Phase::AwaitingAssignment(deadline) if deadline <= now);
        self.members.retain(|member| !member.is_silent(now) && (!is_unassigned || member.waits()));
        let is_late = matches!(self.phase, Phase::Joining(deadline) if deadline <= now);
        if self.members.len() != before {
            self.go_on_without(now);
        } else if is_late {
            self.complete(now);
        }
        self.members.len() != before || is_late
    }

    /// Writes into the crate's state what it answers itself with.
    pub(super) fn show(&self, state: &mut ClusterState, name: &str) {
        let shown = state.groups.entry(name.to_owned()).or_default();
        shown.generation_id = self.generation;
        shown.protocol_type.clone_from(&self.protocol_type);
        shown.protocol_name = Some(self.protocol.clone());
        shown.leader.clone_from(&self.leader);
        shown.state = match self.phase {
            Phase::Empty => ClassicGroupState::Empty,
            Phase::Joining(_) | Phase::AwaitingAssignment(_) => ClassicGroupState::CompletingRebalance,
            Phase::Stable => ClassicGroupState::Stable,
        };
        let members = self.members.iter().map(|member| GroupMember {
            member_id: member.id.clone(),
            group_instance_id: member.instance.clone(),
            metadata: member.subscription(&self.protocol).to_vec().into(),
            client_id: member.client.clone(),
            client_host: "/127.0.0.1".to_owned(),
        });
        shown.members = members.collect();
        let assignments = self.members.iter().map(|member| (member.id.clone(), member.assignment.clone().into()));
        shown.assignments = assignments.collect();
    }
}

/// A connection that is gone needs none.
fn answer(waiting: AnswerSender, answer: GroupAnswer) {
    let _ = waiting.send(answer);
}

#[cfg(test)]
mod tests;
