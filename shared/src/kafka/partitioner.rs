//! Which partition a record will go to.

use super::partition::Partition;
use super::record::OutboundRecord;

/// Puts records that will share a batch one behind the other, and batches for the same broker too. Records with the same key or
/// the same named partition keep their order, even if `partitions`, those of their topic, are out of date.
pub(super) fn group_by_batch<T>(records: &mut [(&OutboundRecord, T)], partitions: &[Partition]) {
    let count = Partition::count(partitions);
    // A stable sort: what compares equal keeps its order.
    records.sort_by_cached_key(|(record, _)| {
        let number = partition_of(record, count)?;
        let partition = usize::try_from(number).ok().and_then(|number| partitions.get(number));
        Some((partition.and_then(|partition| partition.leader), number))
    });
}

/// The partition that librdkafka will choose for a record: the named one, else by key (`murmur2_random`, as Java clients).
/// `None` for a record without either: it may go anywhere.
pub(super) fn partition_of(record: &OutboundRecord, count: u32) -> Option<i32> {
    if record.partition.is_some() {
        return record.partition;
    }
    let hash = murmur2(record.key.as_ref()?) & 0x7fff_ffff;
    i32::try_from(hash.checked_rem(count)?).ok()
}

/// 32-bit murmur2 with Kafka's seed (`org.apache.kafka.common.utils.Utils.murmur2`).
fn murmur2(bytes: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let mut hash = 0x9747_b28c_u32 ^ length;
    let mut words = bytes.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(M);
        k = (k ^ (k >> 24)).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ k;
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        for (index, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * index);
        }
        hash = hash.wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: Option<&'static str>, partition: Option<i32>) -> OutboundRecord {
        let topic = "orders".parse().unwrap();
        OutboundRecord { topic, partition, key: key.map(Into::into), value: None, timestamp_ms: None, headers: vec![] }
    }

    #[test]
    fn batches_are_whole_and_what_must_keep_its_order_keeps_it() {
        let keys = ["21", "foobar", "abc"];
        let leaders = [Some(2), None, Some(1), Some(2)];
        let partition = |(id, leader)| Partition { id, leader, replicas: vec![] };
        let partitions: Vec<_> = (0..).zip(leaders).map(partition).collect();
        let mut records: Vec<_> = (0..40).map(|n| record(Some(keys[n % 3]), None)).collect();
        records.extend((0..40).map(|n| record(None, (n % 5 > 0).then_some(n % 5))));
        // Also with partitions that are not known yet, and with none known at all.
        for known in [&partitions[..], &partitions[..2], &[]] {
            let mut grouped: Vec<_> = records.iter().zip(0..).collect();
            group_by_batch(&mut grouped, known);
            let mut seen: Vec<(Option<i32>, Option<i32>)> = Vec::new();
            for (index, (record, place)) in grouped.iter().enumerate() {
                let alike = |(other, _): &&(&OutboundRecord, usize)| {
                    other.key == record.key && other.partition == record.partition
                };
                assert!(grouped[index..].iter().filter(alike).all(|(_, later)| later >= place), "order of {record:?}");
                let number = partition_of(record, Partition::count(known));
                let leader = number.and_then(|number| known.get(number as usize)?.leader);
                if seen.last() != Some(&(leader, number)) {
                    assert!(!seen.contains(&(leader, number)), "{number:?} is split");
                    seen.push((leader, number));
                }
            }
            let leaders: Vec<_> =
                seen.iter().filter(|(_, number)| number.is_some()).map(|(leader, _)| leader).collect();
            assert!(leaders.is_sorted(), "{leaders:?}");
        }
    }

    #[test]
    fn murmur2_gives_the_values_of_kafkas_own_tests() {
        // org.apache.kafka.common.utils.UtilsTest.testMurmur2
        let cases: [(&str, i32); 6] = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ];
        for (text, expected) in cases {
            assert_eq!(murmur2(text.as_bytes()).cast_signed(), expected, "{text}");
        }
    }
}
