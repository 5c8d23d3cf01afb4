//! Lanes: which records of a batch must be handled one after the other.

use std::collections::HashMap;
use std::hash::Hash;

use msk_shared::event::{MskEvent, Record};

/// Which records keep their order (`ORDERING`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ordering {
    /// All of a partition.
    #[default]
    Partition,
    /// Those of a partition with the same key; a record without key has no order.
    Key,
    /// None.
    Unordered,
}

/// The records of one lane, as positions in [`MskEvent::records`], in the event's order.
pub type Lane = Vec<usize>;

/// Splits a batch into lanes, in the order of their first record. Each record is in one lane.
pub fn split(event: &MskEvent, ordering: Ordering) -> Vec<Lane> {
    match ordering {
        Ordering::Partition => by(event, |record| Some((record.topic(), record.partition()))),
        Ordering::Key => {
            by(event, |record| record.key_as_received().map(|key| (record.topic(), record.partition(), key)))
        }
        Ordering::Unordered => (0..event.len()).map(|index| vec![index]).collect(),
    }
}

/// One lane per value of `of`; a record without one has a lane of its own.
fn by<'e, T: Eq + Hash>(event: &'e MskEvent, of: impl Fn(&'e Record) -> Option<T>) -> Vec<Lane> {
    let mut lanes: Vec<Lane> = Vec::new();
    let mut lane_of: HashMap<T, usize> = HashMap::new();
    for (index, record) in event.records().enumerate() {
        let lane = match of(record) {
            Some(value) => *lane_of.entry(value).or_insert(lanes.len()),
            None => lanes.len(),
        };
        if lane == lanes.len() {
            lanes.push(Vec::new());
        }
        lanes[lane].push(index);
    }
    lanes
}
