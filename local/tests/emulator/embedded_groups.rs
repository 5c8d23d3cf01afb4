//! Consumer groups of the embedded brokers, with the members that librdkafka makes.

use std::time::{Duration, Instant};

use msk_local::brokers::EmbeddedBrokers;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::embedded_brokers::{client, consumer_of, started};
use super::harness::{TIMEOUT, TOPIC};

/// A member of the group `shared`, of four partitions; whether it is a static one, which does not leave when it ends.
pub(crate) struct Member(pub(crate) BaseConsumer, bool);

impl Member {
    pub(crate) fn joining(brokers: &EmbeddedBrokers, settings: &[(&str, &str)]) -> Self {
        let mut config = client(brokers);
        config.set("group.id", "shared").set("auto.offset.reset", "earliest");
        // The broker's answer to a member that fell silent; a heartbeat each second would be enough for 6.
        config.set("session.timeout.ms", "6000").set("heartbeat.interval.ms", "200");
        settings.iter().for_each(|(name, value)| _ = config.set(*name, *value));
        let member: BaseConsumer = config.create().unwrap();
        member.subscribe(&[TOPIC]).unwrap();
        Self(member, settings.iter().any(|(name, _)| *name == "group.instance.id"))
    }

    fn partitions(&self) -> Vec<i32> {
        let assignment = self.0.assignment().unwrap();
        let mut partitions: Vec<i32> = assignment.elements().iter().map(|element| element.partition()).collect();
        partitions.sort_unstable();
        partitions
    }
}

impl Drop for Member {
    /// Leaves, and takes what the group still had to say: the client's own end waits for ever for an assignment that it finds then.
    fn drop(&mut self) {
        if !self.1 {
            self.0.unsubscribe();
        }
        let started = Instant::now();
        loop {
            drop(self.0.poll(Duration::from_millis(100)));
            if self.1 || self.partitions().is_empty() || started.elapsed() > TIMEOUT {
                return;
            }
        }
    }
}

/// Polls until each member has so many partitions, and together they have each of four once.
pub(crate) fn until_shared(members: &[&Member], counts: &[usize]) {
    let started = Instant::now();
    loop {
        members.iter().for_each(|member| drop(member.0.poll(Duration::from_millis(20))));
        let shares: Vec<Vec<i32>> = members.iter().map(|member| member.partitions()).collect();
        let mut all = shares.concat();
        all.sort_unstable();
        if shares.iter().map(Vec::len).eq(counts.iter().copied()) && all == [0, 1, 2, 3] {
            return;
        }
        assert!(started.elapsed() < TIMEOUT, "{shares:?}");
    }
}

/// Members learn the names of topics from their ids.
#[test]
fn a_group_of_two_members_shares_the_partitions_with_the_newer_protocol() {
    let brokers = started(4);
    let member = || {
        let mut config = client(&brokers);
        config.set("group.id", "two").set("group.protocol", "consumer").set("auto.offset.reset", "earliest");
        let member: BaseConsumer = config.create().unwrap();
        member.subscribe(&[TOPIC]).unwrap();
        Member(member, false)
    };
    until_shared(&[&member(), &member()], &[2, 2]);
}

/// Whatever the assignor, eager or cooperative: one comes, one leaves, one falls silent.
#[test]
fn members_of_a_classic_group_share_the_partitions_as_they_come_and_go() {
    for assignor in ["range", "roundrobin", "cooperative-sticky"] {
        let brokers = started(4);
        let member = || Member::joining(&brokers, &[("partition.assignment.strategy", assignor)]);
        let first = member();
        until_shared(&[&first], &[4]);
        let second = member();
        until_shared(&[&first, &second], &[2, 2]);
        let third = member();
        let started = Instant::now();
        while [&first, &second, &third].iter().any(|member| !(1..=2).contains(&member.partitions().len())) {
            assert!(started.elapsed() < TIMEOUT, "{assignor}: no share for the third member");
            [&first, &second, &third].iter().for_each(|member| drop(member.0.poll(Duration::from_millis(20))));
        }
        // It says that it leaves.
        drop(third);
        until_shared(&[&first, &second], &[2, 2]);
        drop(first);
        until_shared(&[&second], &[4]);
    }
}

/// A static member says nothing when it ends: its partitions are shared when its time is over, or it comes back within it.
#[test]
fn a_static_member_that_comes_back_keeps_its_partitions_and_one_that_does_not_loses_them() {
    let brokers = started(4);
    let member = |instance| Member::joining(&brokers, &[("group.instance.id", instance)]);
    let (first, second) = (member("a"), member("b"));
    until_shared(&[&first, &second], &[2, 2]);
    drop(second);
    let second = member("b");
    until_shared(&[&first, &second], &[2, 2]);
    let left = Instant::now();
    drop(second);
    until_shared(&[&first], &[4]);
    // Of the 6 s some had passed since its last heartbeat.
    assert!(left.elapsed() > Duration::from_secs(3), "{:?}", left.elapsed());
}

/// The group outlives the broker that coordinates it: members go on at another one with what they had, and their commits count.
#[test]
fn a_classic_group_goes_on_at_another_coordinator() {
    let brokers = started(4);
    // Neither is taken for silent while it looks for the new one, however busy the machine is.
    let member = || Member::joining(&brokers, &[("session.timeout.ms", "60000")]);
    let (first, second) = (member(), member());
    until_shared(&[&first, &second], &[2, 2]);
    let shares = [first.partitions(), second.partitions()];
    brokers.fail_over(1).unwrap();
    let mut position = TopicPartitionList::new();
    position.add_partition_offset(TOPIC, first.partitions()[0], Offset::Offset(7)).unwrap();
    let started = Instant::now();
    while first.0.commit(&position, CommitMode::Sync).is_err() {
        assert!(started.elapsed() < TIMEOUT, "the commit is refused");
        [&first, &second].iter().for_each(|member| drop(member.0.poll(Duration::from_millis(20))));
    }
    assert_eq!([first.partitions(), second.partitions()], shares);
}

/// A member of a generation that is over must not move the group's position.
#[test]
fn a_commit_of_an_older_generation_is_refused() {
    let brokers = started(4);
    let old = Member::joining(&brokers, &[("max.poll.interval.ms", "6000")]);
    until_shared(&[&old], &[4]);
    let new = Member::joining(&brokers, &[]);
    // The old one polls no more: it is sent away when its time is over.
    until_shared(&[&new], &[4]);
    let mut position = TopicPartitionList::new();
    position.add_partition_offset(TOPIC, 0, Offset::Offset(7)).unwrap();
    let refused = old.0.commit(&position, CommitMode::Sync);
    let codes = [
        RDKafkaErrorCode::UnknownMemberId,
        RDKafkaErrorCode::IllegalGeneration,
        RDKafkaErrorCode::AssignmentLost,
        RDKafkaErrorCode::NoOffset,
    ];
    assert!(matches!(&refused, Err(KafkaError::ConsumerCommit(code)) if codes.contains(code)), "{refused:?}");
    let committed = consumer_of(&brokers, "shared").committed_offsets(position, TIMEOUT).unwrap();
    assert_eq!(committed.elements()[0].offset(), Offset::Invalid);
}
