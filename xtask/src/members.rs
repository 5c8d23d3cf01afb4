//! The crates of the workspace, as cargo lists them: what is a function, is decided here alone.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::{process, workspace};

/// A crate of the workspace.
#[derive(Debug)]
pub(crate) struct Member {
    /// Its name.
    pub(crate) package: String,
    /// Its folder, below the root.
    pub(crate) folder: PathBuf,
    /// The programs that it builds.
    pub(crate) programs: Vec<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

/// Every crate of the workspace.
pub(crate) fn all() -> Result<Vec<Member>> {
    // Reads the manifests alone: no lock file and no registry.
    let listing =
        process::capture(&mut process::cargo(&["metadata", "--no-deps", "--offline", "--format-version", "1"]))?;
    let metadata: Metadata = serde_json::from_str(&listing).context("`cargo metadata` printed something unexpected")?;
    let root = workspace::root();
    Ok(metadata.packages.into_iter().map(|package| member(package, &root)).collect())
}

fn member(package: Package, root: &Path) -> Member {
    let folder = package.manifest_path.parent().unwrap_or(root);
    let programs = package.targets.into_iter().filter(|target| target.kind.iter().any(|kind| kind == "bin"));
    Member {
        package: package.name,
        folder: folder.strip_prefix(root).unwrap_or(folder).to_owned(),
        programs: programs.map(|target| target.name).collect(),
    }
}

/// The functions that are deployed, each the program `NAME` of the crate `msk-NAME` in `functions/NAME`: the producer, then
/// the consumers.
pub(crate) fn functions() -> Result<Vec<String>> {
    let consumers = consumers()?;
    Ok(std::iter::once("producer".to_owned()).chain(consumers).collect())
}

/// The consumers among the functions, the entry `consumer` first.
pub(crate) fn consumers() -> Result<Vec<String>> {
    let mut consumers: Vec<String> = all()?.iter().filter_map(function).filter(|name| name != "producer").collect();
    consumers.sort_by_key(|name| (name != "consumer", name.clone()));
    Ok(consumers)
}

fn function(member: &Member) -> Option<String> {
    let name = member.folder.strip_prefix("functions").ok()?.to_str()?;
    member.programs.iter().find(|program| *program == name).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_the_programs_of_their_folders() {
        let functions = functions().unwrap();
        assert_eq!(functions[..2], ["producer", "consumer"]);
        for name in &functions {
            assert!(workspace::root().join("functions").join(name).join("src/main.rs").is_file(), "{name}");
        }
        let folders = std::fs::read_dir(workspace::root().join("functions")).unwrap();
        let crates = folders.filter(|folder| folder.as_ref().unwrap().path().join("Cargo.toml").is_file()).count();
        assert_eq!(functions.len(), crates, "{functions:?}");
    }

    #[test]
    fn a_crate_elsewhere_or_of_another_program_is_no_function() {
        let member = |folder: &str, programs: &[&str]| Member {
            package: "x".to_owned(),
            folder: folder.into(),
            programs: programs.iter().map(|&name| name.to_owned()).collect(),
        };
        assert_eq!(function(&member("functions/a", &["b", "a"])), Some("a".to_owned()));
        for other in [member("local", &["local"]), member("functions/a", &["b"]), member("functions/a/b", &["b"])] {
            assert_eq!(function(&other), None, "{other:?}");
        }
    }
}
