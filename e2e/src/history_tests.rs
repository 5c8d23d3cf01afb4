//! The checker finds every planted violation under its own name, and nothing in a healthy history.

use super::*;

/// A client that sends `count` messages of one key, one after the other, all acknowledged in one partition.
fn healthy(key: &str, count: u32) -> (Vec<Attempt>, Vec<Found>) {
    let mut attempts = Vec::new();
    let mut log = Vec::new();
    for number in 0..count {
        let id = format!("{key}-{number}");
        let tick = u64::from(number) * 2;
        let outcome = RecordOutcome::Ok { partition: 0, offset: i64::from(number) };
        attempts.push(Attempt { id: id.clone(), key: key.into(), index: 0, sent: tick, answered: tick + 1, outcome });
        log.push(Found { id, partition: 0, offset: i64::from(number) });
    }
    (attempts, log)
}

fn ids(ids: &[&str]) -> BTreeSet<String> {
    ids.iter().map(|&id| id.to_owned()).collect()
}

#[test]
fn a_healthy_history_is_valid() {
    let (attempts, log) = healthy("k", 100);
    let verdict = check(&attempts, &log);
    assert!(verdict.is_valid(), "{verdict}");
    assert_eq!((verdict.ok, verdict.no, verdict.unknown), (100, 0, 0));
}

#[test]
fn a_planted_loss_is_found() {
    let (attempts, mut log) = healthy("k", 100);
    log.remove(41);
    let verdict = check(&attempts, &log);
    assert_eq!(verdict, Verdict { ok: 100, lost: ids(&["k-41"]), ..Verdict::default() });
}

#[test]
fn a_planted_duplicate_is_found() {
    let (attempts, mut log) = healthy("k", 100);
    log.push(Found { id: "k-7".into(), partition: 0, offset: 100 });
    let verdict = check(&attempts, &log);
    assert_eq!(verdict, Verdict { ok: 100, duplicated: ids(&["k-7"]), ..Verdict::default() });
}

#[test]
fn a_planted_zombie_is_found() {
    let (mut attempts, log) = healthy("k", 100);
    attempts[99].outcome = RecordOutcome::No;
    let verdict = check(&attempts, &log);
    assert_eq!(verdict, Verdict { ok: 99, no: 1, zombies: ids(&["k-99"]), ..Verdict::default() });
}

#[test]
fn a_planted_reorder_is_found() {
    let (mut attempts, mut log) = healthy("k", 100);
    log.swap(50, 51);
    (log[50].offset, log[51].offset) = (50, 51);
    attempts[50].outcome = RecordOutcome::Ok { partition: 0, offset: 51 };
    attempts[51].outcome = RecordOutcome::Ok { partition: 0, offset: 50 };
    let verdict = check(&attempts, &log);
    assert_eq!(verdict, Verdict { ok: 100, reordered: ids(&["k-51"]), ..Verdict::default() });
}

#[test]
fn a_reorder_within_one_request_is_found() {
    let (mut attempts, log) = healthy("k", 2);
    // One request for both; the log holds the second record first.
    for (attempt, (index, offset)) in attempts.iter_mut().zip([(1, 0), (0, 1)]) {
        (attempt.sent, attempt.answered, attempt.index) = (0, 1, index);
        attempt.outcome = RecordOutcome::Ok { partition: 0, offset };
    }
    let verdict = check(&attempts, &log);
    assert_eq!(verdict.reordered, ids(&["k-0"]));
}

#[test]
fn a_reorder_far_apart_is_found() {
    // The message in between was answered late, so only the first and the last are ordered.
    let (mut attempts, mut log) = healthy("k", 3);
    attempts[1].answered = 100;
    attempts[0].outcome = RecordOutcome::Ok { partition: 0, offset: 2 };
    attempts[2].outcome = RecordOutcome::Ok { partition: 0, offset: 0 };
    (log[0].offset, log[2].offset) = (2, 0);
    let verdict = check(&attempts, &log);
    assert_eq!(verdict.reordered, ids(&["k-1", "k-2"]));
}

#[test]
fn requests_that_overlap_have_no_order() {
    let (mut attempts, mut log) = healthy("k", 2);
    (attempts[0].answered, attempts[1].answered) = (3, 4);
    attempts[0].outcome = RecordOutcome::Ok { partition: 0, offset: 1 };
    attempts[1].outcome = RecordOutcome::Ok { partition: 0, offset: 0 };
    (log[0].offset, log[1].offset) = (1, 0);
    assert!(check(&attempts, &log).is_valid());
}

#[test]
fn a_wrong_place_in_an_answer_is_found() {
    let (mut attempts, log) = healthy("k", 10);
    attempts[3].outcome = RecordOutcome::Ok { partition: 1, offset: 3 };
    assert_eq!(check(&attempts, &log).misplaced, ids(&["k-3"]));
}

#[test]
fn a_success_without_a_place_is_found_whether_the_message_is_in_the_log_or_not() {
    let (mut attempts, mut log) = healthy("k", 10);
    attempts[9].outcome = RecordOutcome::Placeless;
    let expected = Verdict { ok: 9, placeless: ids(&["k-9"]), ..Verdict::default() };
    assert_eq!(check(&attempts, &log), expected);
    log.pop();
    let verdict = check(&attempts, &log);
    assert_eq!(verdict, expected);
    assert!(!verdict.is_valid() && verdict.to_string().contains("1 placeless"), "{verdict}");
}

#[test]
fn a_message_nobody_sent_is_found() {
    let (attempts, mut log) = healthy("k", 10);
    log.push(Found { id: "other".into(), partition: 0, offset: 10 });
    assert_eq!(check(&attempts, &log).strangers, ids(&["other"]));
}

#[test]
fn an_unknown_may_be_there_once_or_not_at_all() {
    let (mut attempts, mut log) = healthy("k", 3);
    attempts[2].outcome = RecordOutcome::Unknown;
    let verdict = check(&attempts, &log);
    assert!(verdict.is_valid());
    assert_eq!((verdict.unknown, verdict.unknown_found), (1, 1));
    let last = log.pop();
    let verdict = check(&attempts, &log);
    assert!(verdict.is_valid());
    assert_eq!((verdict.unknown, verdict.unknown_found), (1, 0));
    log.extend(last.clone());
    log.extend(last.map(|found| Found { offset: 3, ..found }));
    assert_eq!(check(&attempts, &log).duplicated, ids(&["k-2"]));
}

#[test]
fn a_retry_after_an_unknown_end_may_leave_two_copies_and_not_three() {
    let (mut attempts, mut log) = healthy("k", 1);
    let first = Attempt { outcome: RecordOutcome::Unknown, ..attempts[0].clone() };
    (attempts[0].sent, attempts[0].answered) = (2, 3);
    attempts.push(first);
    assert!(check(&attempts, &log).is_valid());
    log.push(Found { id: "k-0".into(), partition: 0, offset: 1 });
    assert!(check(&attempts, &log).is_valid());
    log.push(Found { id: "k-0".into(), partition: 0, offset: 2 });
    assert_eq!(check(&attempts, &log).duplicated, ids(&["k-0"]));
}
