//! What the embedded brokers do with frames as other clients than librdkafka send them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use bytes::Bytes;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, JoinGroupRequest, JoinGroupResponse,
    LeaveGroupRequest, MetadataRequest, ProduceRequest,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use kafka_protocol::records::{Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType};
use msk_local::brokers::EmbeddedBrokers;
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::embedded_brokers::{read, started};
use super::embedded_groups::{Member, until_shared};
use super::harness::{TIMEOUT, TOPIC};

/// Keys and versions of requests, and whether they have tags.
const PRODUCE: (i16, i16, bool) = (0, 9, true);
const METADATA: (i16, i16, bool) = (3, 12, true);
const JOIN: (i16, i16, bool) = (11, 1, false);
const LEAVE: (i16, i16, bool) = (13, 0, false);
const NEWER_HEARTBEAT: (i16, i16, bool) = (68, 1, true);

/// A request with its length before it: key, version, correlation id, no client.
fn frame((key, version, has_tags): (i16, i16, bool), number: i32, request: &impl Encodable) -> Vec<u8> {
    let mut body = [&key.to_be_bytes()[..], &version.to_be_bytes(), &number.to_be_bytes(), &[0xff, 0xff]].concat();
    body.extend(has_tags.then_some(0));
    request.encode(&mut body, version).unwrap();
    [&(body.len() as u32).to_be_bytes(), body.as_slice()].concat()
}

fn connection(server: &str) -> TcpStream {
    let connection = TcpStream::connect(server).unwrap();
    connection.set_read_timeout(Some(TIMEOUT)).unwrap();
    connection
}

/// The next answer, behind its length.
fn answer(mut connection: &TcpStream) -> Vec<u8> {
    let mut length = [0; 4];
    connection.read_exact(&mut length).unwrap();
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    connection.read_exact(&mut answer).unwrap();
    answer
}

/// Asks one broker after the other until one answers with another error than `NOT_COORDINATOR`.
fn ask_coordinator<A>(
    brokers: &EmbeddedBrokers,
    request: &[u8],
    read: impl Fn(&[u8]) -> (A, i16),
) -> (TcpStream, A, i16) {
    let started = Instant::now();
    for server in brokers.bootstrap_servers().split(',').cycle() {
        let mut connection = connection(server);
        connection.write_all(request).unwrap();
        let (answer, error) = read(&answer(&connection));
        if error != 16 {
            return (connection, answer, error);
        }
        assert!(started.elapsed() < TIMEOUT, "nobody coordinates the group");
    }
    unreachable!("a cycle has no end")
}

/// A request to write one record that wants no answer.
fn unasked(value: &str) -> ProduceRequest {
    let record = Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id: -1,
        producer_epoch: -1,
        timestamp_type: TimestampType::Creation,
        offset: 0,
        sequence: -1,
        timestamp: 1,
        key: None,
        value: Some(Bytes::from(value.to_owned())),
        headers: Default::default(),
    };
    let mut batch = Vec::new();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    RecordBatchEncoder::encode(&mut batch, [&record], &options).unwrap();
    let partition = PartitionProduceData::default().with_index(0).with_records(Some(Bytes::from(batch)));
    let topic = TopicProduceData::default()
        .with_name(StrBytes::from_static_str(TOPIC).into())
        .with_partition_data(vec![partition]);
    ProduceRequest::default().with_acks(0).with_timeout_ms(1_000).with_topic_data(vec![topic])
}

/// Writes a record to the first partition as a broker keeps it that sets the times itself (`message.timestamp.type=LogAppendTime`).
pub(crate) fn write_with_append_time(brokers: &EmbeddedBrokers, value: &str) {
    let mut request = unasked(value);
    let records = &mut request.topic_data[0].partition_data[0].records;
    let mut batch = records.take().unwrap().to_vec();
    // A bit of the batch's attributes. The checksum before them is looked at by nobody here.
    batch[22] |= 1 << 3;
    *records = Some(Bytes::from(batch));
    // The leader.
    let mut connection = connection(brokers.bootstrap_servers().split(',').next().unwrap());
    connection.write_all(&frame(PRODUCE, 1, &request)).unwrap();
}

#[test]
fn a_producer_that_wants_no_answer_gets_none() {
    let brokers = started(1);
    let mut connection = connection(brokers.bootstrap_servers().split(',').next().unwrap());
    let unasked = ProduceRequest::default().with_acks(0).with_timeout_ms(1_000);
    connection.write_all(&frame(PRODUCE, 1, &unasked)).unwrap();
    connection.write_all(&frame(METADATA, 2, &MetadataRequest::default())).unwrap();
    assert_eq!(answer(&connection)[..4], [0, 0, 0, 2]);
}

/// Whatever a client asked for besides, and does not wait for either (KAFKA-3703).
#[test]
fn what_was_sent_before_a_client_closes_is_written() {
    const COUNT: usize = 50;
    let brokers = started(1);
    // The leader.
    let mut connection = connection(brokers.bootstrap_servers().split(',').next().unwrap());
    let mut sent = Vec::new();
    for number in 0..COUNT {
        sent.extend(frame(PRODUCE, 1, &unasked(&number.to_string())));
        sent.extend(frame(METADATA, 2, &MetadataRequest::default()));
    }
    connection.write_all(&sent).unwrap();
    drop(connection);
    let values: Vec<_> = read(&brokers, 0, COUNT).into_iter().map(|(.., value)| value).collect();
    assert_eq!(values, (0..COUNT).map(|number| number.to_string().into_bytes()).collect::<Vec<_>>());
}

/// Records for a broker that does not lead: the end of the connection is all that such a producer hears of it.
#[test]
fn a_write_without_an_answer_that_fails_ends_the_connection() {
    let brokers = started(1);
    let mut connection = connection(brokers.bootstrap_servers().split(',').nth(1).unwrap());
    connection.write_all(&frame(PRODUCE, 1, &unasked("lost"))).unwrap();
    assert_eq!(connection.read(&mut [0]).unwrap_or(0), 0);
}

/// A member of the time before ids (KIP-394) that says that it leaves and waits for no answer.
#[test]
fn a_member_that_leaves_and_closes_at_once_has_left() {
    let brokers = started(4);
    // Without its leave its partitions would be its own for as long as Kafka allows.
    let protocol = JoinGroupRequestProtocol::default().with_name(StrBytes::from_static_str("range"));
    let join = JoinGroupRequest::default()
        .with_group_id(StrBytes::from_static_str("shared").into())
        .with_session_timeout_ms(1_800_000)
        .with_rebalance_timeout_ms(1_800_000)
        .with_protocol_type(StrBytes::from_static_str("consumer"))
        .with_protocols(vec![protocol]);
    let joined = |answer: &[u8]| {
        let joined = JoinGroupResponse::decode(&mut &answer[4..], JOIN.1).unwrap();
        let error = joined.error_code;
        (joined, error)
    };
    let (mut connection, joined, error) = ask_coordinator(&brokers, &frame(JOIN, 1, &join), joined);
    assert_eq!(error, 0);
    let leave = LeaveGroupRequest::default()
        .with_group_id(StrBytes::from_static_str("shared").into())
        .with_member_id(joined.member_id);
    connection.write_all(&frame(LEAVE, 2, &leave)).unwrap();
    drop(connection);
    let other = Member::joining(&brokers, &[]);
    until_shared(&[&other], &[4]);
}

/// Kafka moves a group from one protocol to the other; these brokers do not, and say so. (librdkafka keeps that to itself.)
#[test]
fn a_member_of_the_newer_protocol_cannot_join_a_classic_group() {
    let brokers = started(4);
    let classic = Member::joining(&brokers, &[]);
    until_shared(&[&classic], &[4]);
    let error = |group: &str| {
        let request = ConsumerGroupHeartbeatRequest::default()
            .with_group_id(StrBytes::from_string(group.to_owned()).into())
            .with_member_id(StrBytes::from_static_str("newer"))
            .with_rebalance_timeout_ms(1_000)
            .with_subscribed_topic_names(Some(vec![StrBytes::from_static_str(TOPIC).into()]))
            .with_topic_partitions(Some(Vec::new()));
        let error = |answer: &[u8]| {
            // Behind correlation id and tags.
            let answered = ConsumerGroupHeartbeatResponse::decode(&mut &answer[5..], NEWER_HEARTBEAT.1).unwrap();
            ((), answered.error_code)
        };
        ask_coordinator(&brokers, &frame(NEWER_HEARTBEAT, 1, &request), error).2
    };
    // `GROUP_ID_NOT_FOUND`, while another group is made for it.
    assert_eq!([error("shared"), error("other")], [69, 0]);
    let mut position = TopicPartitionList::new();
    position.add_partition_offset(TOPIC, 0, Offset::Offset(7)).unwrap();
    classic.0.commit(&position, CommitMode::Sync).unwrap();
}
