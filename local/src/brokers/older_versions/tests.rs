//! The layouts, by another reader of them: `kafka-protocol` is generated from Kafka's own descriptions of its messages.

use std::fmt::Debug;

use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, HeaderVersion};
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};

use super::*;

/// Writes a message that says something wherever both versions have room for it.
struct Writer {
    random: StdRng,
    /// The version that it is written in.
    version: i16,
    /// The other one.
    other: i16,
    flexible: bool,
}

impl Writer {
    fn fields(&mut self, fields: &[Field], to: &mut Vec<u8>) {
        for field in fields {
            let has = |version| (field.since..=field.until).contains(&version);
            match (has(self.version), has(self.other)) {
                (true, true) => self.value(field.layout, to),
                (true, false) => self.default(field.layout, to),
                _ => {}
            }
        }
        if self.flexible {
            to.push(0);
        }
    }

    fn value(&mut self, layout: Layout, to: &mut Vec<u8>) {
        let length = self.random.random_range(0..4);
        match layout {
            Layout::Fixed([_]) => to.push(self.random.random_range(0..2)),
            Layout::Fixed(default) => {
                let from = to.len();
                to.resize(from + default.len(), 0);
                self.random.fill_bytes(&mut to[from..]);
            }
            Layout::Text(None) if length == 0 => push_length(to, None, self.flexible, true),
            Layout::Text(_) => {
                push_length(to, Some(length), self.flexible, true);
                to.extend(b"abc".iter().take(length));
            }
            Layout::Bytes => {
                push_length(to, Some(length * 100), self.flexible, false);
                to.extend(vec![7; length * 100]);
            }
            Layout::Structs(fields) => {
                push_length(to, Some(length), self.flexible, false);
                (0..length).for_each(|_| self.fields(fields, to));
            }
            Layout::Values(layout) => {
                push_length(to, Some(length), self.flexible, false);
                (0..length).for_each(|_| self.value(*layout, to));
            }
        }
    }

    fn default(&self, layout: Layout, to: &mut Vec<u8>) {
        let Self { version, other, flexible, .. } = *self;
        Translation { from: other, to: version, from_flexible: flexible, to_flexible: flexible }.default(layout, to);
    }
}

/// Reads all of a message.
fn read<T: Decodable>(mut frame: &[u8], header: usize, version: i16) -> T {
    frame = &frame[header..];
    let read = T::decode(&mut frame, version).unwrap_or_else(|error| panic!("version {version}: {error}"));
    assert!(frame.is_empty(), "version {version}: {} bytes too many", frame.len());
    read
}

/// Both directions of one kind of request, in each older version.
fn check<Q, A>(key: i16, seed: u64)
where
    Q: Decodable + HeaderVersion + PartialEq + Debug,
    A: Decodable + HeaderVersion + PartialEq + Debug,
{
    let api = APIS.iter().find(|api| api.key == key).unwrap();
    for version in api.oldest..api.served {
        let writer = |version: i16, other| {
            let random = StdRng::seed_from_u64(seed);
            Writer { random, version, other, flexible: version >= api.flexible }
        };
        // Key, version, correlation id, client; tags by the version.
        let mut asked = [&key.to_be_bytes()[..], &version.to_be_bytes(), &7_i32.to_be_bytes(), &[0, 1, b'c']].concat();
        let header = |version| if Q::header_version(version) == 2 { 12 } else { 11 };
        asked.resize(header(version), 0);
        writer(version, api.served).fields(api.request, &mut asked);
        let older = OlderVersion::from_frame(&asked).unwrap();
        let served = older.request(&asked).unwrap();
        assert_eq!(served[..4], [key.to_be_bytes(), api.served.to_be_bytes()].concat());
        assert_eq!(served[4..11], asked[4..11]);
        let expected: Q = read(&asked, header(version), version);
        assert_eq!(read::<Q>(&served, header(api.served), api.served), expected, "version {version}");
        for length in 0..asked.len() {
            let part = &asked[..length];
            assert_eq!(OlderVersion::from_frame(part).and_then(|older| older.request(part)), None, "{length}");
        }

        let header = |version| if A::header_version(version) == 1 { 5 } else { 4 };
        let mut answered = 7_i32.to_be_bytes().to_vec();
        answered.resize(header(api.served), 0);
        writer(api.served, version).fields(api.answer, &mut answered);
        let expected: A = read(&answered, header(api.served), api.served);
        let answer = older.answer(&answered).unwrap();
        assert_eq!(answer[..4], answered[..4]);
        assert_eq!(read::<A>(&answer, header(version), version), expected, "version {version}");
    }
}

proptest! {
    // Each case is 60 versions of messages.
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn messages_say_the_same_in_every_version(seed in any::<u64>()) {
        check::<ProduceRequest, ProduceResponse>(0, seed);
        check::<FetchRequest, FetchResponse>(1, seed);
        check::<ListOffsetsRequest, ListOffsetsResponse>(2, seed);
        check::<MetadataRequest, MetadataResponse>(3, seed);
        check::<OffsetCommitRequest, OffsetCommitResponse>(8, seed);
        check::<OffsetFetchRequest, OffsetFetchResponse>(9, seed);
        check::<FindCoordinatorRequest, FindCoordinatorResponse>(10, seed);
        check::<JoinGroupRequest, JoinGroupResponse>(11, seed);
        check::<HeartbeatRequest, HeartbeatResponse>(12, seed);
        check::<SyncGroupRequest, SyncGroupResponse>(14, seed);
        check::<DescribeGroupsRequest, DescribeGroupsResponse>(15, seed);
        check::<CreateTopicsRequest, CreateTopicsResponse>(19, seed);
        check::<DeleteTopicsRequest, DeleteTopicsResponse>(20, seed);
    }

}

proptest! {
    #[test]
    fn no_frame_is_too_strange(api in 0..APIS.len(), rest in proptest::collection::vec(any::<u8>(), 0..100)) {
        let api = &APIS[api];
        for version in api.oldest..api.served {
            let frame = [&api.key.to_be_bytes()[..], &version.to_be_bytes(), &rest].concat();
            let older = OlderVersion::from_frame(&frame).unwrap();
            let _ = (older.request(&frame), older.answer(&rest));
        }
    }
}

#[test]
fn all_topics_stay_all_topics() {
    let asked = [&[0, 3, 0, 4, 0, 0, 0, 7, 0, 1, b'c'][..], &[0xff; 4], &[0]].concat();
    let served = OlderVersion::from_frame(&asked).unwrap().request(&asked).unwrap();
    let request: MetadataRequest = read(&served, 12, 12);
    assert_eq!((request.topics, request.allow_auto_topic_creation), (None, false));
}

#[test]
fn what_is_served_is_not_translated() {
    for api in &APIS {
        for version in [api.oldest - 1, api.served, api.newest] {
            let frame = [api.key.to_be_bytes(), version.to_be_bytes()].concat();
            assert!(OlderVersion::from_frame(&frame).is_none(), "{} {version}", api.key);
        }
    }
}

#[test]
fn an_error_that_the_older_version_has_elsewhere_is_no_empty_success() {
    let older = |version: u8| OlderVersion::from_frame(&[0, 9, 0, version]).unwrap();
    // Correlation id, throttling, no topics, the error `NOT_COORDINATOR`.
    let answer = [&[0, 0, 0, 7][..], &[0; 4], &[0; 4], &[0, 16]].concat();
    assert_eq!(older(1).answer(&answer), None);
    assert!(older(2).answer(&answer).unwrap().ends_with(&[0, 16]));
}
