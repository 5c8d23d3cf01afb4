//! The revision that the build script finds.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[allow(dead_code, unreachable_pub, clippy::print_stdout, reason = "cargo runs its `main` as the build script")]
#[path = "../../build.rs"]
mod build_script;

use build_script::{changed_by_commits, revision};

fn git(folder: &Path, arguments: &[&str]) -> String {
    let name = ["-c", "user.name=Test", "-c", "user.email=test@example.com"];
    let mut command = Command::new("git");
    command.args(name).args(arguments).current_dir(folder);
    // A hook of git sets these for its own repository.
    for name in ["GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"] {
        command.env_remove(name);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A repository with a crate in it.
fn repository(folder: &Path) -> PathBuf {
    let package = folder.join("functions");
    fs::create_dir_all(&package).unwrap();
    fs::write(package.join("Cargo.toml"), "[package]\n").unwrap();
    git(folder, &["init", "--quiet"]);
    git(folder, &["add", "."]);
    git(folder, &["commit", "--quiet", "--message", "one"]);
    package
}

/// What cargo would look at.
fn watched(package: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    changed_by_commits(package).into_iter().map(|file| (file.clone(), fs::read(file).unwrap())).collect()
}

/// A commit in it changes the revision, and a file that cargo looks at.
fn follows_commits(package: &Path) {
    let (before, files) = (revision(package).unwrap(), watched(package));
    assert!(before.len() == 12 && git(package, &["rev-parse", "HEAD"]).starts_with(&before), "{before}");
    git(package, &["commit", "--quiet", "--allow-empty", "--message", "another"]);
    assert_ne!(revision(package).unwrap(), before);
    assert_ne!(watched(package), files, "cargo would not run the build script again");
}

#[test]
fn the_revision_follows_commits_also_in_a_worktree_and_on_a_packed_branch() {
    let folder = tempfile::tempdir().unwrap();
    let package = repository(&folder.path().join("main"));
    follows_commits(&package);
    git(&package, &["pack-refs", "--all"]);
    follows_commits(&package);
    let tree = folder.path().join("tree");
    git(&package, &["worktree", "add", "--quiet", tree.to_str().unwrap()]);
    follows_commits(&tree.join("functions"));
    git(&package, &["checkout", "--quiet", "--detach"]);
    follows_commits(&package);
}

#[test]
fn there_is_none_without_a_repository_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let package = folder.path().join("unpacked");
    fs::create_dir(&package).unwrap();
    fs::write(package.join("Cargo.toml"), "[package]\n").unwrap();
    assert_eq!((revision(&package), changed_by_commits(&package)), (None, Vec::new()));
    // Unpacked inside somebody else's repository.
    repository(folder.path());
    assert_eq!(revision(&folder.path().join("functions")).map(|it| it.len()), Some(12));
    let inside = folder.path().join("inside");
    fs::create_dir(&inside).unwrap();
    fs::write(inside.join("Cargo.toml"), "[package]\n").unwrap();
    assert_eq!(revision(&inside), None);
}
