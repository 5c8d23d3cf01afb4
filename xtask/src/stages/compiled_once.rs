//! Part of stage `unit`: a dependency is compiled once, whichever command needs it. Cargo recompiles it when a command
//! selects other packages, and with them other features; `build-support/feature-set/Cargo.toml` evens them out.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Result, bail};

use super::binaries::{self, Artifact};
use crate::{members, up};

/// What else is built with the development profile: by `cargo lambda watch`, `cargo xtask` and by hand. `cargo lambda watch`
/// runs `cargo run --bin <function>`.
const SELECTIONS: [&[&str]; 4] = [
    &["build", "--bin", "producer"],
    &["build", "--bin", "consumer"],
    &["build", "--package", "xtask"],
    &["build", "--workspace"],
];

/// Compares every selection with that of the tests, which are already built.
pub(super) fn check() -> Result<()> {
    let tests = binaries::artifacts(binaries::EVERYTHING)?;
    let consumers = members::consumers()?;
    let up = up::build_arguments(up::ClusterKind::Real, &consumers);
    let mut problems = Vec::new();
    let mut dependencies = 0;
    for selection in SELECTIONS.into_iter().chain([up.as_slice()]) {
        let artifacts = binaries::artifacts(selection)?;
        dependencies += artifacts.iter().filter(|artifact| is_dependency(artifact)).count();
        let again = compiled_again(&tests, &artifacts).into_iter();
        problems.extend(again.map(|what| format!("`cargo {}`: {what}", selection.join(" "))));
    }
    if !problems.is_empty() {
        bail!(
            "compiled more than once:\n  {}\nAdd the missing features to build-support/feature-set/Cargo.toml; \
             `cargo tree --workspace --edges features --invert <crate>` shows which crates enable them",
            problems.join("\n  ")
        );
    }
    println!("a dependency was needed by commands other than the tests {dependencies} times, and was never recompiled");
    Ok(())
}

fn is_dependency(artifact: &Artifact) -> bool {
    !artifact.package_id.starts_with("path+")
}

/// The dependencies among `others` that are not the same files as in `tests`, or had to be compiled.
fn compiled_again(tests: &[Artifact], others: &[Artifact]) -> Vec<String> {
    let files: BTreeMap<&PathBuf, &Artifact> =
        tests.iter().flat_map(|artifact| artifact.filenames.iter().map(move |file| (file, artifact))).collect();
    let dependencies = others.iter().filter(|artifact| is_dependency(artifact));
    let again = dependencies
        .filter(|artifact| !artifact.fresh || !artifact.filenames.iter().all(|file| files.contains_key(file)));
    again
        .map(|artifact| {
            let name = artifact.package_id.rsplit(['#', '/']).next().unwrap_or_default();
            let same = tests.iter().filter(|test| test.package_id == artifact.package_id);
            let features = same.map(|test| test.features.join(" ")).collect::<Vec<_>>().join("] or [");
            format!("{name} with features [{}], in the tests [{features}]", artifact.features.join(" "))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{package, process};

    fn artifact(package: &str, features: &[&str], file: &str, fresh: bool) -> Artifact {
        let value = serde_json::json!({
            "package_id": package, "features": features, "filenames": [file], "fresh": fresh, "manifest_path": "/Cargo.toml",
            "target": {"name": "x", "kind": ["lib"]}, "executable": null, "profile": {"test": false},
        });
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn what_is_compiled_again_is_named_with_its_features() {
        let serde = "registry+https://example.com/index#serde@1.0.0";
        let tests = [artifact(serde, &["rc", "std"], "/t/libserde-1.rlib", true)];
        let same = artifact(serde, &["rc", "std"], "/t/libserde-1.rlib", true);
        assert!(compiled_again(&tests, &[same]).is_empty());
        let other = artifact(serde, &["std"], "/t/libserde-2.rlib", true);
        assert_eq!(compiled_again(&tests, &[other]), ["serde@1.0.0 with features [std], in the tests [rc std]"]);
        // A build script that looks at a variable which only one of the commands has.
        let rebuilt = artifact(serde, &["rc", "std"], "/t/libserde-1.rlib", false);
        assert_eq!(compiled_again(&tests, &[rebuilt]).len(), 1);
        let own = artifact("path+file:///x#0.1.0", &[], "/t/libx-2.rlib", false);
        assert!(compiled_again(&tests, &[own]).is_empty(), "crates of this workspace are compiled for each command");
    }

    /// What compiles or links C: crates of this kind by convention, and what builds them.
    const NATIVE: [&str; 5] = ["-sys v", "cc v", "cmake v", "pkg-config v", "openssl-src v"];

    /// What a crate depends on, without what only its tests need.
    fn dependencies(arguments: &[&str]) -> String {
        let tree = ["tree", "--locked", "--offline", "--edges", "normal,build", "--prefix", "none"];
        process::capture(process::cargo(&tree).args(arguments)).unwrap()
    }

    #[test]
    fn the_libraries_link_nothing_of_c_by_default_and_the_deployed_consumer_has_its_dead_letters() {
        let names_librdkafka = |arguments: &[&str]| dependencies(arguments).contains("rdkafka-sys ");
        assert!(names_librdkafka(&["--package", "msk-consumer", "--features", package::CONSUMER_FEATURES]));
        // What is packaged, and what `cargo lambda watch` and the tests run: nothing of the deployed consumer is lost.
        assert!(names_librdkafka(&["--package", "msk-consumer-examples"]));
        for library in ["msk-consumer", "msk-shared"] {
            let tree = dependencies(&["--package", library]);
            let native = tree.lines().filter(|line| NATIVE.iter().any(|name| line.contains(name))).collect::<Vec<_>>();
            assert!(native.is_empty(), "{library} by default: {native:?}");
        }
    }

    #[test]
    fn a_plain_producer_links_nothing_of_its_features() {
        let names_a_validator = |arguments: &[&str]| dependencies(arguments).contains("jsonschema ");
        assert!(!names_a_validator(&["--package", "msk-producer"]));
        assert!(names_a_validator(&["--package", "msk-producer", "--features", "msk-producer/schemas"]));
    }

    #[test]
    fn the_packages_do_not_see_the_feature_set() {
        let names_it = |package| dependencies(&["--package", package]).contains("msk-feature-set ");
        assert!(names_it("xtask"));
        assert!(!names_it("msk-producer") && !names_it("msk-consumer"));
    }
}
