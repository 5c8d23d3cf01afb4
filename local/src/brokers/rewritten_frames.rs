//! The frames that the relay changes or looks into, at the versions that the crate's brokers know: the answer to a fetch, version 11, the
//! request for metadata, version 12, and that to write, version 9 and after (Kafka protocol, "The Messages"). What is not as expected
//! stays as it is.

use super::frame_fields::{Reader, push_varint};

/// Bytes of a topic's id.
const ID_BYTES: usize = 16;

/// A name that no topic can have, for an id that none has.
const NO_TOPIC: &str = "?";

/// Makes null records of a fetch's answer empty ones. `None` if the frame is another one.
pub(super) fn empty_null_records(frame: &mut [u8]) -> Option<()> {
    let mut nulls = Vec::new();
    let mut reader = Reader::new(frame);
    // Correlation id, throttle time, error, session.
    reader.take(4 + 4 + 2 + 4)?;
    for _ in 0..reader.int32()? {
        let name = reader.int16()?;
        reader.take(Reader::length(name.into()))?;
        for _ in 0..reader.int32()? {
            // Partition, error, high watermark, last stable offset, first offset.
            reader.take(4 + 2 + 3 * 8)?;
            let aborted = reader.int32()?;
            reader.take(Reader::length(aborted).checked_mul(16)?)?;
            // Preferred replica.
            reader.take(4)?;
            let length_at = reader.position();
            let length = reader.int32()?;
            if length < 0 {
                nulls.push(length_at);
            }
            reader.take(Reader::length(length))?;
        }
    }
    for at in nulls {
        frame.get_mut(at..at + 4)?.fill(0);
    }
    Some(())
}

/// A request for metadata with names in the place of ids; `None` if it has no ids, or is another one.
pub(super) fn name_topics(frame: &[u8], name_by_id: impl Fn(&[u8]) -> Option<String>) -> Option<Vec<u8>> {
    let mut reader = Reader::new(frame);
    reader.skip_request_header()?;
    skip_no_tags(&mut reader)?;
    // Counts and lengths are one more than they are, and 0 stands for null.
    let count = reader.varint()?.checked_sub(1)?;
    let mut named = frame.get(..reader.position())?.to_vec();
    let mut has_ids = false;
    for _ in 0..count {
        let id = reader.take(ID_BYTES)?;
        let length = reader.varint()?;
        let name = match length.checked_sub(1) {
            Some(length) => String::from_utf8(reader.take(length)?.to_vec()).ok()?,
            None => {
                has_ids = true;
                name_by_id(id).unwrap_or_else(|| NO_TOPIC.to_owned())
            }
        };
        skip_no_tags(&mut reader)?;
        named.extend([0; ID_BYTES]);
        push_varint(&mut named, name.len() + 1);
        named.extend(name.as_bytes());
        named.push(0);
    }
    named.extend(frame.get(reader.position()..)?);
    has_ids.then_some(named)
}

/// Whether a request to write records, version 9 to 12, is one whose answer nobody reads.
pub(super) fn wants_no_answer(frame: &[u8]) -> Option<bool> {
    let mut reader = Reader::new(frame);
    reader.skip_request_header()?;
    skip_no_tags(&mut reader)?;
    // The transaction.
    reader.compact_bytes()?;
    Some(reader.int16()? == 0)
}

/// Whether the answer to a request to write records, version 9 to 12, has no error.
pub(super) fn all_was_written(frame: &[u8]) -> Option<bool> {
    let mut reader = Reader::new(frame);
    // Correlation id.
    reader.take(4)?;
    skip_no_tags(&mut reader)?;
    let mut errors = 0;
    for _ in 1..reader.varint()? {
        // Its name.
        reader.compact_bytes()?;
        for _ in 1..reader.varint()? {
            // Partition; error; first offset, time, first offset kept.
            reader.take(4)?;
            errors += i32::from(reader.int16()? != 0);
            reader.take(3 * 8)?;
            for _ in 1..reader.varint()? {
                reader.take(4)?;
                reader.compact_bytes()?;
                reader.skip_tags()?;
            }
            reader.compact_bytes()?;
            reader.skip_tags()?;
        }
        reader.skip_tags()?;
    }
    Some(errors == 0)
}

/// Tagged fields, of which these requests have none.
fn skip_no_tags(reader: &mut Reader<'_>) -> Option<()> {
    (reader.varint()? == 0).then_some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A fetch's answer of two topics; `lengths` are those of the records of their partitions.
    fn answer(lengths: [[i32; 2]; 2]) -> Vec<u8> {
        let mut frame = [[0, 0, 0, 7], [0; 4]].concat();
        frame.extend([0; 6]);
        frame.extend(2_i32.to_be_bytes());
        for lengths in lengths {
            frame.extend([0, 1, b't']);
            frame.extend(2_i32.to_be_bytes());
            for length in lengths {
                frame.extend([0; 4 + 2 + 3 * 8]);
                frame.extend(1_i32.to_be_bytes());
                frame.extend([0; 16]);
                frame.extend([0xff; 4]);
                frame.extend(length.to_be_bytes());
                frame.extend(vec![0xff; usize::try_from(length).unwrap_or(0)]);
            }
        }
        frame
    }

    #[test]
    fn null_records_become_empty_ones_and_nothing_else_changes() {
        let mut frame = answer([[-1, 5], [0, -1]]);
        assert_eq!(empty_null_records(&mut frame), Some(()));
        assert_eq!(frame, answer([[0, 5], [0, 0]]));
        let mut broken = answer([[-1, 5], [0, -1]]);
        broken.truncate(60);
        let before = broken.clone();
        assert_eq!((empty_null_records(&mut broken), broken), (None, before));
    }

    /// A request for metadata of topics that are named, or have an id.
    fn request(topics: &[Result<&str, [u8; ID_BYTES]>]) -> Vec<u8> {
        let mut frame = vec![0, 3, 0, 12, 0, 0, 0, 9, 0, 2, b'm', b'e', 0];
        push_varint(&mut frame, topics.len() + 1);
        for topic in topics {
            frame.extend(topic.err().unwrap_or_default());
            match topic {
                Ok(name) => {
                    push_varint(&mut frame, name.len() + 1);
                    frame.extend(name.as_bytes());
                }
                Err(_) => frame.push(0),
            }
            frame.push(0);
        }
        // Whether topics are made, whether operations are told, no tagged fields.
        frame.extend([0, 1, 0]);
        frame
    }

    #[test]
    fn ids_of_topics_become_their_names() {
        let long = "n".repeat(200);
        let name_by_id = |id: &[u8]| (id == [7; ID_BYTES]).then(|| long.clone());
        let asked = request(&[Ok("orders"), Err([7; ID_BYTES]), Err([8; ID_BYTES])]);
        assert_eq!(name_topics(&asked, name_by_id), Some(request(&[Ok("orders"), Ok(&long), Ok("?")])));
        assert_eq!(name_topics(&request(&[Ok("orders")]), name_by_id), None);
        for length in 0..asked.len() - 3 {
            assert_eq!(name_topics(&asked[..length], name_by_id), None, "{length}");
        }
    }

    /// As another writer lays them out, in each version.
    #[test]
    fn an_answer_says_whether_all_was_written() {
        use kafka_protocol::messages::ProduceResponse;
        use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
        use kafka_protocol::protocol::Encodable;

        let partition = |error| PartitionProduceResponse::default().with_error_code(error);
        let topic = |errors: [i16; 2]| {
            let partitions = errors.map(partition).to_vec();
            TopicProduceResponse::default()
                .with_name(kafka_protocol::protocol::StrBytes::from_static_str("t").into())
                .with_partition_responses(partitions)
        };
        for version in 9..=12 {
            for (errors, all) in [([[0, 0], [0, 0]], true), ([[0, 0], [0, 6]], false), ([[3, 0], [0, 0]], false)] {
                let answer = ProduceResponse::default().with_responses(errors.map(topic).to_vec());
                // Correlation id, no tags.
                let mut frame = vec![0, 0, 0, 7, 0];
                answer.encode(&mut frame, version).unwrap();
                assert_eq!(all_was_written(&frame), Some(all), "{version} {errors:?}");
                assert_eq!(all_was_written(&frame[..frame.len() / 2]), None);
            }
        }
    }

    proptest! {
        #[test]
        fn no_frame_is_too_strange(frame in proptest::collection::vec(any::<u8>(), 0..200), count in 0_i32..4) {
            let mut answer = [&[0; 14][..], &count.to_be_bytes(), &frame].concat();
            let length = answer.len();
            let _ = empty_null_records(&mut answer);
            prop_assert_eq!(answer.len(), length);
            let _ = (name_topics(&frame, |_| None), wants_no_answer(&frame), all_was_written(&frame));
        }
    }
}
