//! What must hold after a run.

use std::collections::{BTreeMap, BTreeSet};

/// A record's partition and offset.
pub(crate) type Place = (i32, i64);

/// A record as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) place: Place,
    pub(crate) key: u32,
    /// Whether the consumer can never handle it.
    pub(crate) poison: bool,
}

/// What was written, and what became of it.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) written: Vec<Written>,
    /// The effects, in the order in which they happened.
    pub(crate) effects: Vec<Place>,
    /// The places that the dead letters name.
    pub(crate) dead_letters: Vec<Place>,
    /// Records that the function had at the moment of a kill, and no effect of. Their dead letters may have been written before
    /// it, so each kill allows one more.
    pub(crate) cut: Vec<Place>,
}

impl Verdict {
    /// Everything that is wrong.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = self.counts();
        problems.extend(self.order());
        problems
    }

    fn counts(&self) -> Vec<String> {
        let (effects, letters, cut) = (count(&self.effects), count(&self.dead_letters), count(&self.cut));
        let mut problems = Vec::new();
        for Written { place, poison, .. } in &self.written {
            let of_it = |counts: &BTreeMap<Place, usize>| counts.get(place).copied().unwrap_or(0);
            match of_it(&effects) {
                0 => problems.push(format!("{place:?} is lost")),
                1 => {}
                times => problems.push(format!("the effect of {place:?} happened {times} times")),
            }
            match (poison, of_it(&letters)) {
                (true, 0) => problems.push(format!("the poison {place:?} is not in the dead-letter topic")),
                (true, times) if times > 1 + of_it(&cut) => {
                    problems.push(format!("the poison {place:?} is in the dead-letter topic {times} times"));
                }
                (false, times) if times > 0 => problems.push(format!("the good record {place:?} is a dead letter")),
                _ => {}
            }
        }
        let written: BTreeSet<_> = self.written.iter().map(|written| written.place).collect();
        let unknown = effects.keys().chain(letters.keys()).filter(|place| !written.contains(place));
        problems.extend(unknown.map(|place| format!("{place:?} was never written")));
        problems
    }

    /// The first effects of each key's records come in the order of the records.
    fn order(&self) -> Vec<String> {
        let keys: BTreeMap<_, _> = self.written.iter().map(|written| (written.place, written.key)).collect();
        let (mut seen, mut last, mut problems) = (BTreeSet::new(), BTreeMap::new(), Vec::new());
        for place in self.effects.iter().filter(|place| seen.insert(**place)) {
            let Some(key) = keys.get(place) else { continue };
            if last.insert(*key, place.1).is_some_and(|before| before > place.1) {
                problems.push(format!("{place:?} was processed after a later record of its key"));
            }
        }
        problems
    }
}

fn count(places: &[Place]) -> BTreeMap<Place, usize> {
    let mut counts = BTreeMap::new();
    places.iter().for_each(|place| *counts.entry(*place).or_default() += 1);
    counts
}

/// Offsets 0 and 1 have one key, offset 2 is poison.
fn sound() -> Verdict {
    let written = |offset, key, poison| Written { place: (0, offset), key, poison };
    Verdict {
        written: vec![written(0, 1, false), written(1, 1, false), written(2, 2, true)],
        effects: vec![(0, 0), (0, 2), (0, 1)],
        dead_letters: vec![(0, 2)],
        cut: Vec::new(),
    }
}

#[test]
fn each_part_of_the_verdict_can_fail() {
    assert_eq!(sound().problems(), [""; 0]);
    type Spoil = fn(&mut Verdict);
    let faults: [(Spoil, &str); 7] = [
        (|verdict| verdict.effects.truncate(2), "is lost"),
        (|verdict| verdict.effects.push((0, 0)), "happened 2 times"),
        (|verdict| verdict.effects.swap(0, 2), "after a later record"),
        (|verdict| verdict.dead_letters.clear(), "is not in the dead-letter topic"),
        (|verdict| verdict.dead_letters.push((0, 2)), "in the dead-letter topic 2 times"),
        (|verdict| verdict.dead_letters.push((0, 1)), "is a dead letter"),
        (|verdict| verdict.effects.push((9, 9)), "was never written"),
    ];
    for (spoil, told) in faults {
        let mut verdict = sound();
        spoil(&mut verdict);
        let problems = verdict.problems();
        assert!(problems.iter().any(|problem| problem.contains(told)), "{told}: {problems:?}");
    }
    let cut = Verdict { cut: vec![(0, 2)], dead_letters: vec![(0, 2), (0, 2)], ..sound() };
    assert_eq!(cut.problems(), [""; 0], "a kill between the dead letter and the effect repeats the letter");
}
