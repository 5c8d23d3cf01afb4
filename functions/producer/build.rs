//! Tells the compiler the revision of the source, which `GET /version` and `--version` report: the value of `MSK_REVISION`, or
//! git's. Only this crate is recompiled after a commit. Uncommitted changes are not reported: each of them would have to run this.

use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=MSK_REVISION");
    println!("cargo::rerun-if-changed=build.rs");
    let here = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let revision =
        std::env::var("MSK_REVISION").ok().or_else(|| revision(&here)).unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=MSK_REVISION={revision}");
    for file in changed_by_commits(&here) {
        println!("cargo::rerun-if-changed={}", file.display());
    }
}

/// The commit whose tree this folder is in; `None` without git, without a repository, and if the surrounding repository
/// belongs to another project that contains this one's source as untracked files.
pub fn revision(folder: &Path) -> Option<String> {
    git(folder, &["ls-files", "--error-unmatch", "Cargo.toml"])?;
    git(folder, &["rev-parse", "--short=12", "HEAD"])
}

/// Those of git's files that change with HEAD and exist: cargo treats a file that does not exist as changed.
pub fn changed_by_commits(folder: &Path) -> Vec<PathBuf> {
    let branch = git(folder, &["symbolic-ref", "--quiet", "HEAD"]);
    // `logs/HEAD` grows with every commit and checkout; a branch has no file while it is packed.
    let names = ["HEAD", "logs/HEAD", "packed-refs"].into_iter().chain(branch.as_deref());
    let paths = names.filter_map(|name| git(folder, &["rev-parse", "--git-path", name]));
    paths.map(|path| folder.join(path)).filter(|path| path.is_file()).collect()
}

/// What git prints, in one line.
fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("git");
    command.args(arguments).current_dir(folder);
    // A hook of git sets these for its own repository.
    for name in ["GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"] {
        command.env_remove(name);
    }
    let output = command.output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned()).filter(|text| !text.is_empty())
}
