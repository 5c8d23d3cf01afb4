use super::*;

const SESSION: Duration = Duration::from_secs(6);
const REBALANCE: Duration = Duration::from_secs(60);

fn ask(group: &mut ClassicGroup, request: GroupRequest, now: Instant) -> oneshot::Receiver<GroupAnswer> {
    let (waiting, answer) = oneshot::channel();
    group.take("app", request, waiting, now);
    answer
}

fn request_to_join(member: &str, instance: Option<&str>, protocols: &[&str]) -> GroupRequest {
    GroupRequest::Join(Join {
        group: "g".to_owned(),
        session_timeout: SESSION,
        rebalance_timeout: REBALANCE,
        gets_id_first: true,
        member: member.to_owned(),
        instance: instance.map(str::to_owned),
        protocol_type: "consumer".to_owned(),
        protocols: protocols.iter().map(|name| ((*name).to_owned(), name.as_bytes().to_vec())).collect(),
    })
}

/// The id that a new member is to ask with, and its answer to come.
fn join(group: &mut ClassicGroup, protocols: &[&str], now: Instant) -> (String, oneshot::Receiver<GroupAnswer>) {
    let mut offered = ask(group, request_to_join("", None, protocols), now);
    let Ok(GroupAnswer::Join(Err((GroupError::MemberIdRequired, id)))) = offered.try_recv() else {
        panic!("no id is offered");
    };
    let answer = ask(group, request_to_join(&id, None, protocols), now);
    (id, answer)
}

fn joined(answer: &mut oneshot::Receiver<GroupAnswer>) -> Joined {
    match answer.try_recv() {
        Ok(GroupAnswer::Join(Ok(joined))) => joined,
        other => panic!("{other:?}"),
    }
}

fn heartbeat(group: &mut ClassicGroup, joined: &Joined, now: Instant) -> Result<(), GroupError> {
    let (name, instance) = ("g".to_owned(), None);
    let (generation, member) = (joined.generation, joined.member.clone());
    group.heartbeat(&Heartbeat { group: name, generation, member, instance }, now)
}

fn sync(
    group: &mut ClassicGroup,
    joined: &Joined,
    assignments: &[(&str, &str)],
    now: Instant,
) -> oneshot::Receiver<GroupAnswer> {
    let assignments = assignments.iter().map(|(id, what)| ((*id).to_owned(), what.as_bytes().to_vec())).collect();
    let (generation, member) = (joined.generation, joined.member.clone());
    let request = Sync { group: "g".to_owned(), generation, member, instance: None, assignments };
    ask(group, GroupRequest::Sync(request), now)
}

#[test]
fn the_leader_learns_of_all_members_and_says_who_gets_what() {
    let (mut group, now) = (ClassicGroup::default(), Instant::now());
    let (first, mut first_answer) = join(&mut group, &["range", "roundrobin"], now);
    let alone = joined(&mut first_answer);
    assert_eq!((alone.generation, alone.leader.as_str(), alone.protocol.as_str()), (1, first.as_str(), "range"));
    let (second, mut second_answer) = join(&mut group, &["roundrobin"], now);
    assert!(second_answer.try_recv().is_err());
    assert_eq!(heartbeat(&mut group, &alone, now), Err(GroupError::RebalanceInProgress));
    let again = request_to_join(&first, None, &["range", "roundrobin"]);
    let (leader, other) = (joined(&mut ask(&mut group, again, now)), joined(&mut second_answer));
    // The only one that both support.
    assert_eq!((leader.protocol.as_str(), leader.generation, other.generation), ("roundrobin", 2, 2));
    let members: Vec<_> = leader.members.iter().map(|(id, _, subscription)| (id, subscription.as_slice())).collect();
    assert_eq!(members, [(&first, &b"roundrobin"[..]), (&second, b"roundrobin")]);
    assert!(other.members.is_empty() && other.leader == first);
    let mut waiting = sync(&mut group, &other, &[], now);
    assert!(waiting.try_recv().is_err());
    let mut given = sync(&mut group, &leader, &[(&first, "0"), (&second, "1")], now);
    assert_eq!(given.try_recv(), Ok(GroupAnswer::Sync(Ok(b"0".to_vec()))));
    assert_eq!(waiting.try_recv(), Ok(GroupAnswer::Sync(Ok(b"1".to_vec()))));
    assert_eq!(heartbeat(&mut group, &alone, now), Err(GroupError::IllegalGeneration));
    assert_eq!(heartbeat(&mut group, &leader, now), Ok(()));
}

#[test]
fn a_member_that_supports_nothing_in_common_and_one_nobody_knows_are_refused() {
    let (mut group, now) = (ClassicGroup::default(), Instant::now());
    let (_, mut answer) = join(&mut group, &["range"], now);
    let known = joined(&mut answer);
    let (id, mut answer) = join(&mut group, &["sticky"], now);
    let refused = GroupAnswer::Join(Err((GroupError::InconsistentGroupProtocol, id)));
    assert_eq!(answer.try_recv(), Ok(refused));
    let mut answer = ask(&mut group, request_to_join("stranger", None, &["range"]), now);
    let refused = GroupAnswer::Join(Err((GroupError::UnknownMemberId, "stranger".to_owned())));
    assert_eq!(answer.try_recv(), Ok(refused));
    // Neither has disturbed the group.
    assert_eq!(heartbeat(&mut group, &known, now), Ok(()));
}

#[test]
fn members_that_know_nothing_of_ids_join_at_once_and_a_session_is_their_time_to_join_again() {
    let (mut group, now) = (ClassicGroup::default(), Instant::now());
    let old = |member: &str| match request_to_join(member, None, &["range"]) {
        GroupRequest::Join(join) => {
            GroupRequest::Join(Join { gets_id_first: false, rebalance_timeout: Duration::ZERO, ..join })
        }
        other => other,
    };
    let alone = joined(&mut ask(&mut group, old(""), now));
    assert_eq!((alone.generation, alone.members.len()), (1, 1));
    assert_eq!(group.longest_rebalance(), SESSION);
    // A second one is another member, and takes nobody's place.
    let mut second = ask(&mut group, old(""), now);
    assert_eq!(heartbeat(&mut group, &alone, now), Err(GroupError::RebalanceInProgress));
    let first = joined(&mut ask(&mut group, old(&alone.member), now));
    let second = joined(&mut second);
    assert_eq!((first.members.len(), &second.leader), (2, &alone.member));
    assert_ne!(first.member, second.member);
}

#[test]
fn whoever_falls_silent_or_does_not_join_again_is_left_behind() {
    let (mut group, start) = (ClassicGroup::default(), Instant::now());
    let (first, mut answer) = join(&mut group, &["range"], start);
    let mut leader = joined(&mut answer);
    let (_, mut second_answer) = join(&mut group, &["range"], start);
    // The first one does not join again, although it is there: the second has waited long enough.
    for seconds in (5..60).step_by(5) {
        let now = start + Duration::from_secs(seconds);
        assert_eq!(heartbeat(&mut group, &leader, now), Err(GroupError::RebalanceInProgress));
        assert!(!group.expire(now) && second_answer.try_recv().is_err(), "{seconds} s");
    }
    let now = start + REBALANCE;
    assert!(group.expire(now));
    let second = joined(&mut second_answer);
    assert_eq!((second.leader.as_str(), second.members.len()), (second.member.as_str(), 1));
    assert_eq!(heartbeat(&mut group, &leader, now), Err(GroupError::UnknownMemberId));
    // It says who gets what, and then nothing more.
    assert!(sync(&mut group, &second, &[(&second.member, "all")], now).try_recv().is_ok());
    (_, answer) = join(&mut group, &["range"], now);
    assert!(!group.expire(now + SESSION) && answer.try_recv().is_err());
    assert!(group.expire(now + SESSION + Duration::from_millis(1)));
    leader = joined(&mut answer);
    assert!(leader.leader == leader.member && leader.member != first);
}

/// They were silent because they waited.
#[test]
fn whoever_waited_has_a_whole_session_after_the_coordinator_went_down() {
    let (mut group, start) = (ClassicGroup::default(), Instant::now());
    let (_, mut answer) = join(&mut group, &["range"], start);
    let slow = joined(&mut answer);
    let (_, answer) = join(&mut group, &["range"], start);
    for seconds in 1..10 {
        let now = start + Duration::from_secs(seconds);
        assert_eq!(heartbeat(&mut group, &slow, now), Err(GroupError::RebalanceInProgress));
        assert!(!group.expire(now));
    }
    drop(answer);
    assert!(!group.expire(start + Duration::from_secs(10)) && group.members.len() == 2);
}

#[test]
fn who_leaves_while_it_waits_is_answered() {
    let (mut group, now) = (ClassicGroup::default(), Instant::now());
    let (_, mut answer) = join(&mut group, &["range"], now);
    joined(&mut answer);
    let (second, mut answer) = join(&mut group, &["range"], now);
    let left = group.leave(Leave { group: "g".to_owned(), members: vec![(second.clone(), None)] }, now);
    assert_eq!(left, [(second.clone(), None, None)]);
    assert_eq!(answer.try_recv(), Ok(GroupAnswer::Join(Err((GroupError::UnknownMemberId, second)))));
}

#[test]
fn a_leader_that_never_says_who_gets_what_is_left_behind() {
    let (mut group, start) = (ClassicGroup::default(), Instant::now());
    let (first, mut answer) = join(&mut group, &["range"], start);
    joined(&mut answer);
    let (_, mut second_answer) = join(&mut group, &["range"], start);
    let leader = joined(&mut ask(&mut group, request_to_join(&first, None, &["range"]), start));
    let other = joined(&mut second_answer);
    let mut waiting = sync(&mut group, &other, &[], start);
    for seconds in (5..60).step_by(5) {
        let now = start + Duration::from_secs(seconds);
        assert_eq!(heartbeat(&mut group, &leader, now), Ok(()));
        assert!(!group.expire(now));
    }
    assert!(group.expire(start + REBALANCE));
    assert_eq!(waiting.try_recv(), Ok(GroupAnswer::Sync(Err(GroupError::RebalanceInProgress))));
    assert_eq!(heartbeat(&mut group, &leader, start + REBALANCE), Err(GroupError::UnknownMemberId));
}

#[test]
fn a_static_member_takes_its_own_place_and_the_process_before_it_is_fenced() {
    let (mut group, now) = (ClassicGroup::default(), Instant::now());
    let mut answer = ask(&mut group, request_to_join("", Some("a"), &["range"]), now);
    let before = joined(&mut answer);
    let mut answer = ask(&mut group, request_to_join("", Some("a"), &["range"]), now);
    let after = joined(&mut answer);
    assert_eq!((after.members.len(), after.leader.as_str()), (1, after.member.as_str()));
    assert_ne!(before.member, after.member);
    let mut refused = ask(&mut group, request_to_join(&before.member, Some("a"), &["range"]), now);
    let fenced = GroupAnswer::Join(Err((GroupError::FencedInstanceId, before.member)));
    assert_eq!(refused.try_recv(), Ok(fenced));
}

#[test]
fn a_member_whose_connection_ended_is_not_waited_for_longer_than_its_session() {
    let (mut group, start) = (ClassicGroup::default(), Instant::now());
    let (_, mut answer) = join(&mut group, &["range"], start);
    let first = joined(&mut answer);
    drop(join(&mut group, &["range"], start));
    let again = request_to_join(&first.member, None, &["range"]);
    let mut answer = ask(&mut group, again, start + SESSION);
    assert!(answer.try_recv().is_err());
    assert!(group.expire(start + SESSION + Duration::from_millis(1)));
    assert_eq!(joined(&mut answer).members.len(), 1);
}
