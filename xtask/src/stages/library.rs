//! Stage `library`: `msk-shared` and `msk-consumer` as others use them. They can be published, and a crate outside of this
//! workspace writes a consumer with them, without librdkafka and with it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::{package, process, workspace};

/// Its first block of Rust is the consumer, the block of TOML in the other one what librdkafka needs.
const CONSUMER_README: &str = include_str!("../../../functions/consumer/README.md");
const SHARED_README: &str = include_str!("../../../shared/README.md");
/// Features of `msk-shared` without librdkafka.
const FEATURES: [&str; 3] = ["aws", "aws-lambda-events", "runtime"];
/// What a reader may be asked to write.
const MOST_LINES: usize = 20;
/// What cargo has set for this workspace, and would not set outside.
const SET_HERE: [&str; 3] = ["CPATH", "CFLAGS", "OPENSSL_NO_VENDOR"];

pub(super) fn run() -> Result<()> {
    // Verification compiles each package by itself, with its default features.
    let publish =
        ["publish", "--dry-run", "--locked", "--allow-dirty", "--package", "msk-shared", "--package", "msk-consumer"];
    process::run(&mut process::cargo(&publish))?;
    compile_features()?;
    document()?;
    let consumer = block(CONSUMER_README, "rust").context("functions/consumer/README.md shows no consumer")?;
    let lines = consumer.lines().filter(|line| !line.trim().is_empty()).count();
    ensure!(
        lines <= MOST_LINES,
        "the consumer of functions/consumer/README.md has {lines} lines, {MOST_LINES} at most"
    );
    for features in ["", r#", features = ["dead-letter-kafka"]"#] {
        let folder = tempfile::tempdir().context("cannot make a folder for the crate outside")?;
        write_crate(folder.path(), features, consumer)?;
        let says = build_and_run(folder.path())?;
        let expected = if features.is_empty() { "build the consumer with the feature" } else { "runs on AWS Lambda" };
        ensure!(says.contains(expected), "the consumer outside says {says:?}, and not {expected:?}");
    }
    Ok(())
}

/// Each feature of `msk-shared` that no other command compiles by itself. Clippy as the compiler of this crate alone makes its
/// warnings errors, and leaves the dependencies to be shared with the crate outside.
fn compile_features() -> Result<()> {
    for feature in FEATURES {
        let mut build = process::cargo(&["build", "--locked", "--package", "msk-shared", "--features", feature]);
        build.env("CARGO_TARGET_DIR", library_target()).env("RUSTC_WORKSPACE_WRAPPER", "clippy-driver");
        build.env("CLIPPY_ARGS", "--deny__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__");
        process::run(&mut build)?;
    }
    Ok(())
}

/// Not the workspace's: with other values of CPATH cargo would compile librdkafka again, there and here.
fn library_target() -> PathBuf {
    workspace::target_dir().join("xtask/library")
}

/// The documentation of both, with every warning of rustdoc as an error.
fn document() -> Result<()> {
    let mut doc =
        process::cargo(&["doc", "--no-deps", "--locked", "--package", "msk-shared", "--package", "msk-consumer"]);
    doc.args(["--features", package::CONSUMER_FEATURES]).env("RUSTDOCFLAGS", "--deny warnings");
    process::run(&mut doc)
}

/// The text of the first fenced block whose language begins so.
fn block<'t>(page: &'t str, language: &str) -> Option<&'t str> {
    let (_, rest) = page.split_once(&format!("\n```{language}"))?;
    let (_, rest) = rest.split_once('\n')?;
    rest.split_once("```").map(|(text, _)| text)
}

fn write_crate(folder: &Path, features: &str, consumer: &str) -> Result<()> {
    let root = workspace::root();
    let read = |path: &str| fs::read_to_string(root.join(path)).with_context(|| format!("cannot read {path}"));
    // The dependencies' versions and profile are those of this workspace, whose registry has them already.
    let manifest = read("Cargo.toml")?;
    let profile = manifest.split_once("[profile.dev]").and_then(|(_, rest)| rest.split_once("# Zips"));
    let (profile, _) = profile.context("the root Cargo.toml has no profile `dev` before that of the zips")?;
    let at = |path: &str| root.join(path).display().to_string();
    let manifest = format!(
        "[package]\nname = \"outside\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[dependencies]\n\
         msk-consumer = {{ path = {:?}{features} }}\nmsk-shared = {{ path = {:?} }}\n\
         serde = {{ version = \"1\", features = [\"derive\"] }}\n\n[profile.dev]{profile}",
        at("functions/consumer"),
        at("shared"),
    );
    let config = block(SHARED_README, "toml").context("shared/README.md does not show the lines for librdkafka")?;
    // As `.cargo/config.toml` of this workspace has it: OpenSSL's source takes minutes.
    let config = format!("{config}OPENSSL_NO_VENDOR = \"1\"\n");
    let files = [
        ("Cargo.toml", manifest),
        ("Cargo.lock", read("Cargo.lock")?),
        (".cargo/config.toml", config),
        ("include/curl/curl.h", String::new()),
        ("src/main.rs", consumer.to_owned()),
    ];
    for (path, text) in files {
        let path = folder.join(path);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&path, text))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// What the program logs where there is no Lambda.
fn build_and_run(folder: &Path) -> Result<String> {
    let target = library_target();
    let mut build = process::cargo(&["build", "--offline"]);
    build.current_dir(folder).env("CARGO_TARGET_DIR", &target);
    for name in SET_HERE {
        build.env_remove(name);
    }
    process::run(&mut build)?;
    let mut program = Command::new(target.join("debug/outside"));
    program.env_clear().envs([
        ("DEAD_LETTER", "kafka:dead"),
        ("KAFKA_AUTH", "none"),
        ("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9"),
    ]);
    let output = program.output().context("cannot start the consumer outside")?;
    ensure!(output.status.code() == Some(1), "the consumer outside ended with {}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_by_their_language() {
        let page = "text\n```sh\nls\n```\n\n```rust,no_run\nfn main() {}\n```\n```rust\nmore\n```\n";
        assert_eq!(block(page, "rust"), Some("fn main() {}\n"));
        assert_eq!(block(page, "toml"), None);
    }

    #[test]
    fn the_crate_outside_has_what_the_pages_say() {
        let folder = tempfile::tempdir().unwrap();
        write_crate(folder.path(), ", features = [\"dead-letter-kafka\"]", block(CONSUMER_README, "rust").unwrap())
            .unwrap();
        let read = |path: &str| fs::read_to_string(folder.path().join(path)).unwrap();
        assert!(read("src/main.rs").contains("impl RecordHandler for"));
        assert!(read("Cargo.toml").contains("features = [\"dead-letter-kafka\"] }"));
        let own = fs::read_to_string(workspace::root().join(".cargo/config.toml")).unwrap();
        let flags = read(".cargo/config.toml").lines().find(|line| line.starts_with("CFLAGS")).unwrap().to_owned();
        assert!(own.contains(&flags), "{flags}");
        assert!(folder.path().join("include/curl/curl.h").is_file());
    }
}
