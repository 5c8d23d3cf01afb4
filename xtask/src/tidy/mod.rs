//! The repository's own rules, as tests: they run with `cargo xtask test unit`.

mod bug_reports;
mod circles;
mod costs;
mod doc_examples;
mod imports;
mod links;
mod mapping_rules;
mod names;
mod pages;
mod sources;

use std::path::{Path, PathBuf};

use crate::{process, workspace};

/// Files of the repository, relative to its root: tracked ones and new ones, without what git ignores.
fn files() -> Vec<PathBuf> {
    let mut git = std::process::Command::new("git");
    git.args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"]).current_dir(workspace::root());
    let listing = process::capture(&mut git).expect("git lists the repository's files");
    let paths = listing.split('\0').filter(|path| !path.is_empty()).map(PathBuf::from);
    // A file that was deleted but not committed yet is still listed.
    paths.filter(|path| workspace::root().join(path).is_file()).collect()
}

/// Files with this extension, and their text.
fn texts(extension: &str) -> Vec<(PathBuf, String)> {
    let wanted = files().into_iter().filter(|path| path.extension().is_some_and(|found| found == extension));
    wanted
        .filter_map(|path| Some((path.clone(), std::fs::read_to_string(workspace::root().join(path)).ok()?)))
        .collect()
}

/// The text of one file of the repository.
fn read(path: &str) -> String {
    std::fs::read_to_string(workspace::root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The files of the main Terraform stack.
fn stack_files() -> impl Iterator<Item = (PathBuf, String)> {
    texts("tf").into_iter().filter(|(path, _)| path.parent() == Some(Path::new("infra")))
}

/// Fails with every problem at once.
fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}
