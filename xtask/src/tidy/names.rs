//! Rules for names: standard terms instead of those they have replaced, and each file name for one idea only.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};

use super::{assert_none, texts};

/// Folders whose names have yet to be revised.
const LATER: [&str; 2] = ["xtask/src/needs", "xtask/src/stages"];

/// Retired identifiers: where (everywhere if empty), the identifier, and what to use instead. One that ends with `*` stands
/// for all that begin that way.
const RETIRED: [(&str, &str, &str); 38] = [
    ("", "Letter", "DeadLetter"),
    ("", "Settled", "Disposition"),
    ("functions/consumer", "Run", "InvocationBudget"),
    ("functions/consumer", "Parts", "RecordProcessor"),
    ("", "TWIN_*", "IN_PROGRESS_WAIT, IN_PROGRESS_POLL"),
    ("", "Courier", "BatchDelivery"),
    ("", "Waiting", "Batcher"),
    ("", "Due", "BatchDue"),
    ("", "Taken", "NextBatch"),
    ("", "carried", "propagation"),
    ("", "put_on", "apply_to"),
    ("", "Guard", "CircuitBreaker"),
    ("", "event_guard", "lambda::event"),
    ("", "deadline_guard", "min_time_to_start"),
    ("shared/src/kafka", "Context", "Callbacks"),
    ("", "trouble", "last_connection_error"),
    ("", "TOLD_AGAIN", "REPEATED"),
    ("", "trusted", "current_or_replaced"),
    ("", "keep_back", "withhold_unreachable"),
    ("", "token_in_hand", "ensure_token"),
    ("", "hand_over", "publish_within"),
    ("", "fate", "delivery_result"),
    ("", "perhaps_written", "possibly_persisted"),
    ("", "gravest", "severity"),
    ("", "around", "request_layer"),
    ("", "Kind", "ProblemKind, JsonType, ClusterKind: of what"),
    ("", "Part", "of what"),
    ("", "Answer", "HttpAnswer, RuntimeAnswer: whose"),
    ("", "Invocation", "of what"),
    ("", "Session", "RunningMapping, InstanceLock"),
    ("", "StatusMode", "Compatibility"),
    ("", "status_mode", "compatibility"),
    ("e2e", "Stage", "SharedClusters"),
    ("e2e", "Outcome", "of what"),
    ("", "Rig", "TestBed, Harness"),
    ("", "RigError", "Error"),
    ("", "RigSettings", "BrokerSettings"),
    ("", "fn of*", "new, parse, from_x, for_x (Rust API guidelines)"),
];

/// File names that stand for the same idea wherever they occur.
const SHARED_IDEAS: [&str; 12] = [
    "main.rs",
    "lib.rs",
    "mod.rs",
    "tests.rs",
    "support.rs",
    "cli.rs",
    "config.rs",
    "error.rs",
    "metrics.rs",
    "record.rs",
    "report.rs",
    "topics.rs",
];

#[test]
fn no_retired_identifier_comes_back() {
    let mut problems = Vec::new();
    for (path, text) in texts("rs").into_iter().filter(|(path, _)| !is_for_later(path)) {
        let tokens: TokenStream = text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut identifiers = BTreeSet::new();
        collect(tokens, &mut identifiers);
        identifiers.insert(path.file_stem().unwrap_or_default().to_string_lossy().into_owned());
        for (_, retired, better) in RETIRED.iter().filter(|(place, ..)| path.starts_with(place)) {
            for found in identifiers.iter().filter(|found| is_retired(found, retired)) {
                problems.push(format!("{}: `{found}`: use {better}", path.display()));
            }
        }
    }
    assert_none(&problems);
}

fn is_for_later(path: &Path) -> bool {
    LATER.iter().any(|folder| path.starts_with(folder))
}

fn is_retired(identifier: &str, retired: &str) -> bool {
    match retired.strip_suffix('*') {
        // `fn of` and `fn of_record`, not `fn offset`.
        Some(start) if start.starts_with("fn ") => identifier == start || identifier.starts_with(&format!("{start}_")),
        Some(start) => identifier.starts_with(start),
        None => identifier == retired,
    }
}

/// The identifiers of a source; the name of a function also as `fn name`.
fn collect(tokens: TokenStream, identifiers: &mut BTreeSet<String>) {
    let mut is_function = false;
    for token in tokens {
        let word = if let TokenTree::Ident(word) = &token { word.to_string() } else { String::new() };
        if is_function {
            identifiers.insert(format!("fn {word}"));
        }
        is_function = word == "fn";
        identifiers.insert(word);
        if let TokenTree::Group(group) = token {
            collect(group.stream(), identifiers);
        }
    }
}

#[test]
fn within_a_crate_no_two_files_have_one_name() {
    let mut named: BTreeMap<(PathBuf, String), Vec<String>> = BTreeMap::new();
    for (path, _) in texts("rs").into_iter().filter(|(path, _)| !is_for_later(path)) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // `src` and `tests` are separate: the test of a file may have the same name.
        let part = path.ancestors().find(|folder| folder.ends_with("src") || folder.ends_with("tests"));
        if let Some(part) = part.filter(|_| !SHARED_IDEAS.contains(&name.as_str())) {
            named.entry((part.to_owned(), name)).or_default().push(path.display().to_string());
        }
    }
    let twice = named.into_values().filter(|paths| paths.len() > 1);
    assert_none(&twice.map(|paths| format!("one name for two ideas: {}", paths.join(", "))).collect::<Vec<_>>());
}

#[test]
fn a_retired_identifier_is_told_from_those_that_only_look_like_it() {
    let mut found = BTreeSet::new();
    collect("fn of_topic(offset: Of) { let note = \"Courier\"; TWIN_WAIT }".parse().unwrap(), &mut found);
    let hits = |retired: &str| found.iter().filter(|found| is_retired(found, retired)).count();
    assert_eq!((hits("fn of*"), hits("TWIN_*"), hits("Courier"), hits("offset")), (1, 1, 0, 1));
}
