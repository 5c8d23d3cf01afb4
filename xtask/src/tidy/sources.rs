//! Rules for sources and manifests.

use super::{assert_none, files, texts};
use crate::workspace;

/// A file longer than this, not counting its unit tests, has a second idea in it.
const MAX_LINES: usize = 400;
/// The limit including its unit tests.
const MAX_LINES_WITH_TESTS: usize = 600;

#[test]
fn rust_files_stay_short() {
    let too_long = texts("rs").into_iter().filter_map(|(path, text)| {
        let lines = text.lines().take_while(|line| *line != "#[cfg(test)]").count();
        let with_tests = text.lines().count();
        let fits = lines <= MAX_LINES && with_tests <= MAX_LINES_WITH_TESTS;
        (!fits).then(|| {
            format!(
                "{}: {lines} lines and {} of tests; at most {MAX_LINES}, {MAX_LINES_WITH_TESTS} together: look for the \
                 second idea in it",
                path.display(),
                with_tests - lines
            )
        })
    });
    assert_none(&too_long.collect::<Vec<_>>());
}

#[test]
fn no_file_names_a_folder_of_somebodys_machine() {
    // In two parts, so that this file does not break the rule itself.
    let folders = [["/wo", "rk/"].concat(), ["/ro", "ot/"].concat(), ["/ho", "me/"].concat(), ["/Us", "ers/"].concat()];
    let mut problems = Vec::new();
    for path in files() {
        let Ok(text) = std::fs::read_to_string(workspace::root().join(&path)) else { continue };
        for (number, line) in text.lines().enumerate() {
            if let Some(folder) = folders.iter().find(|folder| names_folder(line, folder)) {
                problems.push(format!("{}:{}: names {folder}", path.display(), number + 1));
            }
        }
    }
    assert_none(&problems);
}

/// True if the line has the folder as an absolute path, not in the middle of a longer path or a URL.
fn names_folder(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|letter| letter.is_alphanumeric() || "._-}*$~".contains(letter))
    })
}

#[test]
fn versions_and_lints_live_once_in_the_root_manifest() {
    let mut problems = Vec::new();
    for (path, text) in texts("toml").into_iter().filter(|(path, _)| path.ends_with("Cargo.toml")) {
        if path.components().count() == 1 {
            continue;
        }
        if !text.contains("[lints]\nworkspace = true") {
            problems.push(format!("{}: add [lints] workspace = true", path.display()));
        }
        let mut in_dependencies = false;
        for line in text.lines() {
            if line.starts_with('[') {
                in_dependencies = line.ends_with("dependencies]");
            } else if in_dependencies
                && line.contains('=')
                && !line.starts_with('#')
                && !line.contains("workspace = true")
            {
                problems.push(format!("{}: `{line}`: its version belongs in the root Cargo.toml", path.display()));
            }
        }
    }
    assert_none(&problems);
}

/// Its module of test brokers may change with any version.
#[test]
fn only_the_embedded_brokers_name_krafka() {
    let uses = texts("rs")
        .into_iter()
        .filter(|(path, text)| text.contains(&["krafka", "::"].concat()) && !path.starts_with("local/src/brokers"));
    assert_none(
        &uses
            .map(|(path, _)| format!("{}: names the crate; use msk_local::brokers", path.display()))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn a_folder_is_told_from_the_middle_of_a_path() {
    let folder = ["/ho", "me/"].concat();
    assert!(names_folder(&format!("see {folder}me/notes"), &folder));
    assert!(!names_folder(&format!("see example.com{folder}page"), &folder));
    assert!(!names_folder("see home/page", &folder));
}
