//! The licences of everything that a program links: those who pass the program on must pass them on, too.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::package::Architecture;
use crate::process;

/// C sources that crates bring, which have licences of their own: the crate, and the file in it.
const C_SOURCES: [(&str, &str); 4] = [
    ("libz-sys", "src/zlib/LICENSE"),
    ("openssl-src", "openssl/LICENSE.txt"),
    ("rdkafka-sys", "librdkafka/LICENSES.txt"),
    ("zstd-sys", "zstd/LICENSE"),
];
/// How the names of licence files begin.
const NAMES: [&str; 6] = ["COPYING", "COPYRIGHT", "LICENCE", "LICENSE", "NOTICE", "UNLICENSE"];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
    manifest_path: PathBuf,
    /// `None` for the crates of this workspace.
    source: Option<String>,
}

/// The text of all licences, each once, with the crates that it is of.
pub(super) fn collect(program: &str, architecture: Architecture) -> Result<String> {
    let linked = linked(program, architecture)?;
    let metadata = process::capture(&mut process::cargo(&[
        "metadata",
        "--locked",
        "--format-version",
        "1",
        "--filter-platform",
        architecture.target(),
    ]))?;
    let metadata: Metadata =
        serde_json::from_str(&metadata).context("`cargo metadata` printed something unexpected")?;
    let (mut crates, mut texts) = (String::new(), BTreeMap::<String, Vec<String>>::new());
    for package in metadata.packages.iter().filter(|package| package.source.is_some() && is_linked(package, &linked)) {
        let name = format!("{} {}", package.name, package.version);
        let _ = writeln!(crates, "{name}: {}", package.license.as_deref().unwrap_or("see below"));
        for (file, of) in licence_files(package)? {
            let text = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            let text = String::from_utf8_lossy(&text).replace("\r\n", "\n").trim().to_owned();
            texts.entry(text).or_default().push(of.unwrap_or(&name).to_owned());
        }
    }
    ensure!(!crates.is_empty(), "`cargo tree` names nothing that {program} links");
    let rule = "-".repeat(80);
    let mut all = format!("{program} is built from these packages, too. Their licences follow.\n\n{crates}");
    for (text, names) in texts {
        let _ = write!(all, "\n{rule}\n{}\n{rule}\n\n{text}\n", names.join(", "));
    }
    Ok(all)
}

fn is_linked(package: &Package, linked: &BTreeSet<(String, String)>) -> bool {
    linked.contains(&(package.name.clone(), package.version.clone()))
}

/// Name and version of what is linked, and of the crates that only bring C sources.
fn linked(program: &str, architecture: Architecture) -> Result<BTreeSet<(String, String)>> {
    let tree = |edges: &str| {
        let arguments =
            ["tree", "--locked", "--package", program, "--prefix", "none", "--target", architecture.target()];
        process::capture(process::cargo(&arguments).args(["--edges", edges]))
    };
    let packages = |tree: &str| {
        let lines = tree.lines().filter_map(|line| {
            let (name, rest) = line.split_once(" v")?;
            Some((name.to_owned(), rest.split_whitespace().next()?.to_owned()))
        });
        lines.collect::<BTreeSet<_>>()
    };
    let brings_c = |(name, _): &(String, String)| C_SOURCES.iter().any(|(source, _)| source == name);
    let built = packages(&tree("normal,build")?).into_iter().filter(brings_c);
    Ok(packages(&tree("normal,no-proc-macro")?).into_iter().chain(built).collect())
}

/// The licence files of a crate; those of its C sources with the name of those.
fn licence_files(package: &Package) -> Result<Vec<(PathBuf, Option<&str>)>> {
    let folder = package.manifest_path.parent().unwrap_or(Path::new("."));
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot look into {}", folder.display()))?;
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(|path| is_licence(path)).collect();
    files.sort();
    let mut files: Vec<_> = files.into_iter().map(|file| (file, None)).collect();
    for (_, file) in C_SOURCES.iter().filter(|(name, _)| *name == package.name) {
        let source = file.split('/').rev().nth(1);
        files.push((folder.join(file), source));
    }
    Ok(files)
}

fn is_licence(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
    path.is_file() && NAMES.iter().any(|start| name.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_licences_of_the_c_libraries_and_of_every_crate_are_there() {
        let text = collect("msk-local", Architecture::host()).unwrap();
        for holder in ["Magnus Edenhill", "Jean-loup Gailly", "Meta Platforms", "Apache License", "David Tolnay"] {
            assert!(text.contains(holder), "nothing of {holder}");
        }
        let (crates, texts) = text.split_once(&"-".repeat(80)).unwrap();
        let crates: Vec<_> = crates.lines().filter_map(|line| line.split_once(": ")).collect();
        assert!(crates.len() > 100, "only {} crates", crates.len());
        for (name, licence) in crates {
            let is_whole = texts.contains(name) || !licence.contains("BSD") && !licence.contains("ISC");
            assert!(is_whole, "{name} ({licence}) brings no text of its licence: add it by hand");
            assert!(!name.starts_with("msk-") && !name.starts_with("clap_derive "), "{name} is not linked");
        }
    }
}
