//! What was sent, what was answered and what is in the log, and whether these agree.
//!
//! The model is Jepsen's Kafka checker, reduced to what a producer behind HTTP promises: an acknowledged message is in the
//! log, a definitely refused message is not, an unknown one may be, nothing is there more often than it can have been
//! written, and messages of one key keep the order in which they were acknowledged.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// The answer to one attempt to write one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordOutcome {
    /// Acknowledged with this partition and offset.
    Ok {
        /// The partition in the answer.
        partition: i32,
        /// The offset in the answer.
        offset: i64,
    },
    /// Refused with an answer that says that nothing was written.
    No,
    /// No answer, or one that says that the message may have been written.
    Unknown,
    /// A success that gives neither the message's partition and offset nor its failure, so it cannot be checked against the log.
    Placeless,
}

/// One attempt to write one message. A retry is a separate attempt with the same `id`.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Unique for each message of a run.
    pub id: String,
    /// The record's key: the unit of order.
    pub key: String,
    /// The position within its request.
    pub index: usize,
    /// When the request was sent, in ticks of the history.
    pub sent: u64,
    /// When it was answered, in ticks of the history.
    pub answered: u64,
    /// What was answered.
    pub outcome: RecordOutcome,
}

/// A message found in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The id contained in its value.
    pub id: String,
    /// Its position in the log.
    pub partition: i32,
    /// Its position in the log.
    pub offset: i64,
}

/// All attempts of a run, from any number of clients.
#[derive(Debug, Default)]
pub struct History {
    ticks: AtomicU64,
    attempts: Mutex<Vec<Attempt>>,
}

impl History {
    /// A tick later than all previous ones, to be taken right before a request and right after its answer.
    pub fn tick(&self) -> u64 {
        self.ticks.fetch_add(1, Ordering::SeqCst)
    }

    /// Adds an answered attempt.
    pub fn record(&self, attempt: Attempt) {
        self.lock().push(attempt);
    }

    /// All attempts so far.
    pub fn attempts(&self) -> Vec<Attempt> {
        self.lock().clone()
    }

    /// Checks the history against the final state of the log.
    pub fn check(&self, log: &[Found]) -> Verdict {
        check(&self.attempts(), log)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Attempt>> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The result of a check: counts, and the ids of all violations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Number of acknowledged attempts.
    pub ok: usize,
    /// Number of definitely refused attempts.
    pub no: usize,
    /// Number of attempts with an unknown outcome.
    pub unknown: usize,
    /// How many messages with only unknown attempts are in the log.
    pub unknown_found: usize,
    /// Acknowledged, but not in the log.
    pub lost: BTreeSet<String>,
    /// In the log more often than the attempts can have written it.
    pub duplicated: BTreeSet<String>,
    /// Always definitely refused, but in the log.
    pub zombies: BTreeSet<String>,
    /// Acknowledged before another message with its key was sent, but after it in the log.
    pub reordered: BTreeSet<String>,
    /// Acknowledged at a position that has a different message or none.
    pub misplaced: BTreeSet<String>,
    /// Part of a successful answer that gives neither its position nor its failure.
    pub placeless: BTreeSet<String>,
    /// In the log, but never sent.
    pub strangers: BTreeSet<String>,
}

impl Verdict {
    /// Whether there are no violations.
    pub fn is_valid(&self) -> bool {
        let wrong = [&self.lost, &self.duplicated, &self.zombies, &self.reordered, &self.misplaced, &self.placeless];
        wrong.into_iter().chain([&self.strangers]).all(BTreeSet::is_empty)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} ok, {} no, {} unknown ({} of them written); {} lost, {} duplicated, {} zombies, {} reordered, \
             {} misplaced, {} placeless, {} strangers",
            self.ok,
            self.no,
            self.unknown,
            self.unknown_found,
            self.lost.len(),
            self.duplicated.len(),
            self.zombies.len(),
            self.reordered.len(),
            self.misplaced.len(),
            self.placeless.len(),
            self.strangers.len(),
        )
    }
}

/// What the attempts of one message allow.
#[derive(Default)]
struct Allowed {
    ok: usize,
    unknown: usize,
    placeless: usize,
}

fn check(attempts: &[Attempt], log: &[Found]) -> Verdict {
    let mut verdict = Verdict::default();
    let mut allowed: HashMap<&str, Allowed> = HashMap::new();
    for attempt in attempts {
        let entry = allowed.entry(&attempt.id).or_default();
        match attempt.outcome {
            RecordOutcome::Ok { .. } => (entry.ok, verdict.ok) = (entry.ok + 1, verdict.ok + 1),
            RecordOutcome::Unknown => (entry.unknown, verdict.unknown) = (entry.unknown + 1, verdict.unknown + 1),
            RecordOutcome::No => verdict.no += 1,
            RecordOutcome::Placeless => {
                entry.placeless += 1;
                verdict.placeless.insert(attempt.id.clone());
            }
        }
    }
    let mut copies: HashMap<&str, usize> = HashMap::new();
    for found in log {
        *copies.entry(&found.id).or_default() += 1;
        if !allowed.contains_key(found.id.as_str()) {
            verdict.strangers.insert(found.id.clone());
        }
    }
    for (id, allowed) in &allowed {
        judge_copies(&mut verdict, id, allowed, copies.get(id).copied().unwrap_or_default());
    }
    judge_places(&mut verdict, attempts, log);
    judge_order(&mut verdict, attempts);
    verdict
}

fn judge_copies(verdict: &mut Verdict, id: &str, allowed: &Allowed, copies: usize) {
    if copies < allowed.ok {
        verdict.lost.insert(id.to_owned());
    }
    let writes = allowed.ok + allowed.unknown + allowed.placeless;
    if copies > writes {
        let wrong = if writes == 0 { &mut verdict.zombies } else { &mut verdict.duplicated };
        wrong.insert(id.to_owned());
    }
    if allowed.ok == 0 && allowed.unknown > 0 {
        verdict.unknown_found += copies.min(allowed.unknown);
    }
}

/// An answer that gives a position must give the right one. A lost message does not also count as misplaced.
fn judge_places(verdict: &mut Verdict, attempts: &[Attempt], log: &[Found]) {
    let places: HashMap<(i32, i64), &str> =
        log.iter().map(|found| ((found.partition, found.offset), found.id.as_str())).collect();
    for attempt in attempts {
        if let RecordOutcome::Ok { partition, offset } = attempt.outcome
            && places.get(&(partition, offset)) != Some(&attempt.id.as_str())
            && !verdict.lost.contains(&attempt.id)
        {
            verdict.misplaced.insert(attempt.id.clone());
        }
    }
}

/// Of two messages of one key and partition, the one that was answered before the other was sent (or that came
/// before it in the same request) must have the lower offset.
fn judge_order(verdict: &mut Verdict, attempts: &[Attempt]) {
    let mut lanes: BTreeMap<(&str, i32), Vec<(&Attempt, i64)>> = BTreeMap::new();
    for attempt in attempts {
        if let RecordOutcome::Ok { partition, offset } = attempt.outcome {
            lanes.entry((&attempt.key, partition)).or_default().push((attempt, offset));
        }
    }
    for mut lane in lanes.into_values() {
        lane.sort_by_key(|(attempt, _)| (attempt.sent, attempt.index));
        // Answered before the current one was sent, so they must precede it.
        let mut by_answer: Vec<(u64, i64)> = lane.iter().map(|(attempt, offset)| (attempt.answered, *offset)).collect();
        by_answer.sort_unstable();
        let (mut answered, mut highest) = (0, i64::MIN);
        let mut previous: Option<(&Attempt, i64)> = None;
        for (attempt, offset) in lane {
            while let Some((at, earlier)) = by_answer.get(answered).filter(|(at, _)| *at < attempt.sent) {
                debug_assert!(*at < attempt.sent);
                highest = highest.max(*earlier);
                answered += 1;
            }
            let same_request = previous.filter(|(before, _)| before.sent == attempt.sent);
            if offset <= highest || same_request.is_some_and(|(_, before)| offset <= before) {
                verdict.reordered.insert(attempt.id.clone());
            }
            previous = Some((attempt, offset));
        }
    }
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;
