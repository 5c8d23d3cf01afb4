//! The requests of members of classic consumer groups and their answers, at the versions that the crate's brokers offer: `JoinGroup` 5,
//! `SyncGroup` 3, `Heartbeat` 3, `LeaveGroup` 0 to 3 (Kafka protocol, "The Messages").

use std::time::Duration;

use super::frame_fields::Reader;

/// Keys and versions of the requests.
const JOIN: (i16, i16) = (11, 5);
const HEARTBEAT: (i16, i16) = (12, 3);
const LEAVE: (i16, i16) = (13, 3);
const SYNC: (i16, i16) = (14, 3);
/// The first version of a request to leave that names its members; those before it are of one.
const FIRST_LEAVE_OF_MEMBERS: i16 = LEAVE.1;
/// The key of requests to leave, their oldest and newest version.
pub(super) const LEAVE_VERSIONS: (i16, i16, i16) = (LEAVE.0, 0, LEAVE.1);

const NEWER_HEARTBEAT: (i16, i16) = (68, 1);
const GROUP_ID_NOT_FOUND: i16 = 69;

/// Why a member is refused, with Kafka's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i16)]
pub(super) enum GroupError {
    CoordinatorNotAvailable = 15,
    NotCoordinator = 16,
    IllegalGeneration = 22,
    InconsistentGroupProtocol = 23,
    UnknownMemberId = 25,
    InvalidSessionTimeout = 26,
    RebalanceInProgress = 27,
    MemberIdRequired = 79,
    FencedInstanceId = 82,
}

/// What a member asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum GroupRequest {
    Join(Join),
    Sync(Sync),
    Heartbeat(Heartbeat),
    Leave(Leave),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Join {
    pub(super) group: String,
    pub(super) session_timeout: Duration,
    /// Zero for one that has none of its own: it is as long as that of the session.
    pub(super) rebalance_timeout: Duration,
    /// Whether a new member is answered with its id, to ask again with it (KIP-394).
    pub(super) gets_id_first: bool,
    /// Empty for one that the group does not know yet.
    pub(super) member: String,
    /// Of a static member (KIP-345).
    pub(super) instance: Option<String>,
    pub(super) protocol_type: String,
    /// Names and subscriptions, the preferred first.
    pub(super) protocols: Vec<(String, Vec<u8>)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sync {
    pub(super) group: String,
    pub(super) generation: i32,
    pub(super) member: String,
    pub(super) instance: Option<String>,
    /// The leader's, for each member.
    pub(super) assignments: Vec<(String, Vec<u8>)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Heartbeat {
    pub(super) group: String,
    pub(super) generation: i32,
    pub(super) member: String,
    pub(super) instance: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leave {
    pub(super) group: String,
    /// Ids, empty for those that are named by their instance.
    pub(super) members: Vec<(String, Option<String>)>,
}

/// Who asks: what stands before each request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) version: i16,
    pub(super) correlation: i32,
    pub(super) client: String,
}

impl GroupRequest {
    /// `None` for every other frame.
    pub(super) fn read(frame: &[u8]) -> Option<(Header, Self)> {
        let mut reader = Reader::new(frame);
        let kind = (reader.int16()?, reader.int16()?);
        let is_leave_of_one = kind.0 == LEAVE.0 && (0..FIRST_LEAVE_OF_MEMBERS).contains(&kind.1);
        if !is_leave_of_one && ![JOIN, SYNC, HEARTBEAT, LEAVE].contains(&kind) {
            return None;
        }
        let header = Header { version: kind.1, correlation: reader.int32()?, client: reader.string()? };
        let request = match kind {
            JOIN => Self::Join(Join {
                group: reader.string()?,
                session_timeout: milliseconds(reader.int32()?),
                rebalance_timeout: milliseconds(reader.int32()?),
                gets_id_first: true,
                member: reader.string()?,
                instance: reader.nullable_string()?,
                protocol_type: reader.string()?,
                protocols: reader.array(named_bytes)?,
            }),
            SYNC => Self::Sync(Sync {
                group: reader.string()?,
                generation: reader.int32()?,
                member: reader.string()?,
                instance: reader.nullable_string()?,
                assignments: reader.array(named_bytes)?,
            }),
            HEARTBEAT => Self::Heartbeat(Heartbeat {
                group: reader.string()?,
                generation: reader.int32()?,
                member: reader.string()?,
                instance: reader.nullable_string()?,
            }),
            _ if is_leave_of_one => {
                Self::Leave(Leave { group: reader.string()?, members: vec![(reader.string()?, None)] })
            }
            _ => Self::Leave(Leave {
                group: reader.string()?,
                members: reader.array(|reader| Some((reader.string()?, reader.nullable_string()?)))?,
            }),
        };
        Some((header, request))
    }

    pub(super) fn group(&self) -> &str {
        match self {
            Self::Join(Join { group, .. })
            | Self::Sync(Sync { group, .. })
            | Self::Heartbeat(Heartbeat { group, .. })
            | Self::Leave(Leave { group, .. }) => group,
        }
    }

    /// The answer that refuses it.
    pub(super) fn refused(&self, error: GroupError) -> GroupAnswer {
        match self {
            Self::Join(join) => GroupAnswer::Join(Err((error, join.member.clone()))),
            Self::Sync(_) => GroupAnswer::Sync(Err(error)),
            Self::Heartbeat(_) => GroupAnswer::Heartbeat(Err(error)),
            Self::Leave(_) => GroupAnswer::Leave(Err(error)),
        }
    }
}

/// A member of the newer protocol that joins a group or stays in it: `ConsumerGroupHeartbeat` 1 (KIP-848).
pub(super) struct NewerHeartbeat {
    pub(super) group: String,
    correlation: i32,
}

impl NewerHeartbeat {
    /// `None` for every other frame, and for a member that leaves.
    pub(super) fn read(frame: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(frame);
        if (reader.int16()?, reader.int16()?) != NEWER_HEARTBEAT {
            return None;
        }
        let correlation = reader.int32()?;
        reader.nullable_string()?;
        reader.skip_tags()?;
        let group = String::from_utf8(reader.compact_bytes()?.to_vec()).ok()?;
        // The member.
        reader.compact_bytes()?;
        (reader.int32()? >= 0).then_some(Self { group, correlation })
    }

    /// The answer that its group is none of the newer protocol.
    pub(super) fn refused(&self) -> Vec<u8> {
        let mut frame = self.correlation.to_be_bytes().to_vec();
        // No tags, no throttling.
        frame.extend([0; 1 + 4]);
        frame.extend(GROUP_ID_NOT_FOUND.to_be_bytes());
        // No text, no member, epoch and interval; no assignment, no tags.
        frame.extend([0; 1 + 1 + 4 + 4]);
        frame.extend([0xff, 0]);
        frame
    }
}

fn milliseconds(number: i32) -> Duration {
    Duration::from_millis(u64::try_from(number).unwrap_or(0))
}

fn named_bytes(reader: &mut Reader<'_>) -> Option<(String, Vec<u8>)> {
    Some((reader.string()?, reader.bytes()?.to_vec()))
}

/// A generation as one of its members learns of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Joined {
    pub(super) generation: i32,
    pub(super) protocol: String,
    pub(super) leader: String,
    pub(super) member: String,
    /// For the leader alone: ids, instances and subscriptions.
    pub(super) members: Vec<(String, Option<String>, Vec<u8>)>,
}

/// One who was to leave: its id, its instance, and why it could not.
pub(super) type Left = (String, Option<String>, Option<GroupError>);

/// What a member is answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum GroupAnswer {
    /// An error comes with the member's id, or with the one that it is to ask with.
    Join(Result<Joined, (GroupError, String)>),
    /// The member's assignment.
    Sync(Result<Vec<u8>, GroupError>),
    Heartbeat(Result<(), GroupError>),
    /// What became of each member.
    Leave(Result<Vec<Left>, GroupError>),
}

impl GroupAnswer {
    /// The frame, without its length, as the answer to a request with this header.
    pub(super) fn write(&self, header: &Header) -> Vec<u8> {
        let mut frame = header.correlation.to_be_bytes().to_vec();
        if !matches!(self, Self::Leave(_) if header.version == 0) {
            // No throttling.
            frame.extend(0_i32.to_be_bytes());
        }
        match self {
            Self::Join(Ok(joined)) => {
                push_error(&mut frame, None);
                frame.extend(joined.generation.to_be_bytes());
                push_string(&mut frame, Some(&joined.protocol));
                push_string(&mut frame, Some(&joined.leader));
                push_string(&mut frame, Some(&joined.member));
                push_array(&mut frame, &joined.members, |frame, (id, instance, subscription)| {
                    push_string(frame, Some(id));
                    push_string(frame, instance.as_deref());
                    push_bytes(frame, subscription);
                });
            }
            Self::Join(Err((error, member))) => {
                push_error(&mut frame, Some(*error));
                frame.extend((-1_i32).to_be_bytes());
                push_string(&mut frame, Some(""));
                push_string(&mut frame, Some(""));
                push_string(&mut frame, Some(member));
                frame.extend(0_i32.to_be_bytes());
            }
            Self::Sync(answer) => {
                push_error(&mut frame, answer.as_ref().err().copied());
                push_bytes(&mut frame, answer.as_deref().unwrap_or_default());
            }
            Self::Heartbeat(answer) => push_error(&mut frame, answer.err()),
            Self::Leave(Ok(left)) if header.version < FIRST_LEAVE_OF_MEMBERS => {
                push_error(&mut frame, left.first().and_then(|(_, _, error)| *error));
            }
            Self::Leave(Err(error)) if header.version < FIRST_LEAVE_OF_MEMBERS => push_error(&mut frame, Some(*error)),
            Self::Leave(answer) => {
                push_error(&mut frame, answer.as_ref().err().copied());
                push_array(&mut frame, answer.as_deref().unwrap_or_default(), |frame, (id, instance, error)| {
                    push_string(frame, Some(id));
                    push_string(frame, instance.as_deref());
                    push_error(frame, *error);
                });
            }
        }
        frame
    }
}

fn push_error(frame: &mut Vec<u8>, error: Option<GroupError>) {
    frame.extend(error.map_or(0, |error| error as i16).to_be_bytes());
}

/// A text came in a frame, whose lengths have 15 bits.
fn push_string(frame: &mut Vec<u8>, text: Option<&str>) {
    let length = text.map_or(-1, |text| i16::try_from(text.len()).unwrap_or(i16::MAX));
    frame.extend(length.to_be_bytes());
    frame.extend(text.into_iter().flat_map(str::bytes).take(usize::from(length.unsigned_abs())));
}

fn push_bytes(frame: &mut Vec<u8>, bytes: &[u8]) {
    push_array(frame, bytes, |frame, byte| frame.push(*byte));
}

fn push_array<T>(frame: &mut Vec<u8>, items: &[T], push: impl Fn(&mut Vec<u8>, &T)) {
    frame.extend((items.len() as i32).to_be_bytes());
    items.iter().for_each(|item| push(frame, item));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A text as it stands in a frame.
    fn text(text: &str) -> Vec<u8> {
        [&(text.len() as u16).to_be_bytes()[..], text.as_bytes()].concat()
    }

    fn number(number: i32) -> Vec<u8> {
        number.to_be_bytes().to_vec()
    }

    fn frame((key, version): (i16, i16), fields: &[Vec<u8>]) -> Vec<u8> {
        let start = [&key.to_be_bytes()[..], &version.to_be_bytes(), &7_i32.to_be_bytes(), &text("app")].concat();
        [start, fields.concat()].concat()
    }

    fn join_frame() -> Vec<u8> {
        let names = [text("g"), number(6_000), number(-1), text("m"), vec![0xff; 2], text("consumer")].concat();
        frame(JOIN, &[names, number(1), text("range"), number(2), vec![1, 2]])
    }

    #[test]
    fn each_request_is_read_and_no_part_of_it_is_taken_for_the_whole() {
        let (group, member) = ("g".to_owned(), "m".to_owned());
        let join = Join {
            group: group.clone(),
            session_timeout: Duration::from_secs(6),
            rebalance_timeout: Duration::ZERO,
            gets_id_first: true,
            member: member.clone(),
            instance: None,
            protocol_type: "consumer".to_owned(),
            protocols: vec![("range".to_owned(), vec![1, 2])],
        };
        let instance = Some("i".to_owned());
        let current = [text("g"), number(3), text("m"), text("i")].concat();
        let sync = Sync {
            group: group.clone(),
            generation: 3,
            member: member.clone(),
            instance: instance.clone(),
            assignments: vec![(member.clone(), vec![9])],
        };
        let heartbeat = Heartbeat { group: group.clone(), generation: 3, member: member.clone(), instance };
        let leave = Leave { group, members: vec![(member, None)] };
        for (frame, expected) in [
            (join_frame(), GroupRequest::Join(join)),
            (frame(SYNC, &[current.clone(), number(1), text("m"), number(1), vec![9]]), GroupRequest::Sync(sync)),
            (frame(HEARTBEAT, &[current]), GroupRequest::Heartbeat(heartbeat)),
            (frame(LEAVE, &[text("g"), number(1), text("m"), vec![0xff; 2]]), GroupRequest::Leave(leave.clone())),
            (frame((LEAVE.0, 0), &[text("g"), text("m")]), GroupRequest::Leave(leave.clone())),
            (frame((LEAVE.0, 2), &[text("g"), text("m")]), GroupRequest::Leave(leave)),
        ] {
            let (header, read) = GroupRequest::read(&frame).unwrap();
            assert_eq!((header.correlation, header.client.as_str(), read), (7, "app", expected));
            assert_eq!(i16::from_be_bytes([frame[2], frame[3]]), header.version);
            for length in 0..frame.len() {
                assert_eq!(GroupRequest::read(&frame[..length]), None, "{length}");
            }
        }
        assert_eq!(GroupRequest::read(&frame((3, 12), &[])), None);
    }

    #[test]
    fn a_newer_member_is_known_by_its_group_and_refused_by_its_code() {
        use kafka_protocol::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};
        use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

        for (epoch, is_read) in [(0, true), (5, true), (-1, false)] {
            let request = ConsumerGroupHeartbeatRequest::default()
                .with_group_id(StrBytes::from_static_str("g").into())
                .with_member_id(StrBytes::from_static_str("m"))
                .with_member_epoch(epoch);
            let mut frame = vec![0, 68, 0, 1, 0, 0, 0, 9, 0xff, 0xff, 0];
            request.encode(&mut frame, 1).unwrap();
            let read = NewerHeartbeat::read(&frame);
            assert_eq!(read.as_ref().map(|newer| newer.group.as_str()), is_read.then_some("g"));
            let Some(newer) = read else { continue };
            let answer = newer.refused();
            assert_eq!(answer[..5], [0, 0, 0, 9, 0]);
            let mut body = &answer[5..];
            let answer = ConsumerGroupHeartbeatResponse::decode(&mut body, 1).unwrap();
            assert!(body.is_empty() && answer.error_code == 69 && answer.assignment.is_none());
        }
    }

    #[test]
    fn answers_are_as_the_protocol_lays_them_out() {
        let joined = Joined {
            generation: 2,
            protocol: "range".to_owned(),
            leader: "m".to_owned(),
            member: "m".to_owned(),
            members: vec![("m".to_owned(), None, vec![1])],
        };
        let start = |error: i16| [&7_i32.to_be_bytes()[..], &[0; 4], &error.to_be_bytes()].concat();
        let member = [text("m"), vec![0xff; 2], number(1), vec![1]].concat();
        for (answer, expected) in [
            (
                GroupAnswer::Join(Ok(joined)),
                [start(0), number(2), text("range"), text("m"), text("m"), number(1), member].concat(),
            ),
            (
                GroupAnswer::Join(Err((GroupError::MemberIdRequired, "m".to_owned()))),
                [start(79), number(-1), text(""), text(""), text("m"), number(0)].concat(),
            ),
            (GroupAnswer::Sync(Ok(vec![9])), [start(0), number(1), vec![9]].concat()),
            (GroupAnswer::Sync(Err(GroupError::IllegalGeneration)), [start(22), number(0)].concat()),
            (GroupAnswer::Heartbeat(Err(GroupError::RebalanceInProgress)), start(27)),
            (
                GroupAnswer::Leave(Ok(vec![("m".to_owned(), None, Some(GroupError::UnknownMemberId))])),
                [start(0), number(1), text("m"), vec![0xff; 2], vec![0, 25]].concat(),
            ),
        ] {
            let header = |version| Header { version, correlation: 7, client: String::new() };
            assert_eq!(answer.write(&header(3)), expected, "{answer:?}");
            if let GroupAnswer::Leave(_) = answer {
                assert_eq!(answer.write(&header(2)), start(25));
                assert_eq!(answer.write(&header(0)), [0, 0, 0, 7, 0, 25]);
            }
        }
    }

    proptest! {
        #[test]
        fn no_frame_is_too_strange(kind in 11_i16..15, version in 1_i16..6, rest in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = GroupRequest::read(&frame((kind, version), &[rest]));
        }
    }
}
