//! Whether the functions' zips exist, fit the processor, are newer than the sources, can do what the settings need and are small
//! enough.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::Value;

use super::report::Line;
use super::settings::Settings;
use crate::package::{self, Architecture};
use crate::zip_features::{self, ZipFeature};

/// Lambda's limit for a zip that is uploaded with the function.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
const LARGEST_UPLOAD_BYTES: u64 = 50 * 1024 * 1024;

/// Sources of every function, besides its own folder.
const COMMON_SOURCES: [&str; 5] = ["Cargo.toml", "Cargo.lock", ".cargo", "build-support", "shared"];
/// Parts of those folders that no zip depends on.
const NOT_BUILT: [&str; 3] = ["tests", "target", "examples"];

/// The zip of the producer, then that of each consumer: where the configuration looks for it.
pub(super) fn lines(root: &Path, infra: &Path, settings: &Settings) -> Vec<Line> {
    let directory = plain(&infra.join(settings.text("function_zip_directory")));
    let mut zips = vec![("producer", package::zip(&directory, "producer"))];
    for (name, consumer) in settings.consumers() {
        let zip = match consumer.get("zip").and_then(Value::as_str) {
            Some(zip) => plain(&infra.join(zip)),
            None => package::zip(&directory, name),
        };
        zips.push((name, zip));
    }
    let line = |(function, zip): &(&str, PathBuf)| {
        let features = if *function == "producer" { settings.zip_features() } else { Vec::new() };
        line(
            root,
            function,
            zip,
            source_of(root, &directory, zip).as_deref(),
            &Wanted { architecture: settings.architecture(), features },
        )
    };
    zips.iter().map(line).collect()
}

/// What the settings need of a zip.
struct Wanted {
    architecture: Architecture,
    features: Vec<ZipFeature>,
}

impl Wanted {
    /// The command that builds it.
    fn package_command(&self) -> String {
        let features: Vec<&str> = self.features.iter().map(|feature| feature.name()).collect();
        let command = self.architecture.package_command();
        if features.is_empty() { command.to_owned() } else { format!("{command} --features {}", features.join(",")) }
    }
}

fn line(root: &Path, function: &str, zip: &Path, source: Option<&Path>, wanted: &Wanted) -> Line {
    let subject = format!("{function} zip");
    let build = match source {
        Some(_) => wanted.package_command(),
        None => {
            format!("nothing in functions/ builds it: cargo xtask new-consumer {function}, or another zip in consumers")
        }
    };
    let Ok(file) = std::fs::metadata(zip) else {
        let shown = zip.strip_prefix(root).unwrap_or(zip).display();
        return Line::missing(subject, format!("{shown} does not exist")).with(build);
    };
    let found = match package::architecture_of(zip) {
        Ok(found) => found,
        Err(error) => return Line::missing(subject, format!("{error:#}")).with(build),
    };
    if found != wanted.architecture {
        let says = format!("built for {}, but function_architecture is {}", found.name(), wanted.architecture.name());
        let line = Line::missing(subject, says).with(build);
        return line.with(format!("or function_architecture = \"{}\" in terraform.tfvars", found.name()));
    }
    let size = format!("{:.1} MB, {}", file.len() as f64 / 1e6, found.name());
    if file.len() > LARGEST_UPLOAD_BYTES {
        return Line::missing(subject, format!("{size}: too large for Lambda, whose limit is 50 MiB"))
            .with("cargo tree shows what was linked");
    }
    let newest = source.and_then(|source| newest_source(root, source));
    if let (Some((newest, changed)), Ok(built)) = (newest, file.modified())
        && changed > built
    {
        let source = newest.strip_prefix(root).unwrap_or(&newest).display().to_string();
        return Line::missing(subject, format!("{size}, older than {source}")).with(build);
    }
    let features = zip_features::read(zip);
    let lacks: Vec<&str> = wanted.features.iter().filter(|it| !features.contains(it)).map(|it| it.name()).collect();
    if !lacks.is_empty() {
        let says = format!("{size}: packaged without {}, which the settings need", lacks.join(" and "));
        return Line::missing(subject, says).with(build);
    }
    let limit = package::largest_zip_bytes(&features);
    if file.len() > limit {
        let says = format!("{size}: larger than this project's zips should be ({limit} bytes)");
        return Line::look(subject, says).with("cargo tree shows what was linked; a larger zip starts more slowly");
    }
    let age = if source.is_some() { "newer than the sources" } else { "not built here" };
    Line::ok(subject, format!("{size}, {age}"))
}

/// The folder below `functions/` that a zip is packaged from; none if it comes from elsewhere.
fn source_of(root: &Path, directory: &Path, zip: &Path) -> Option<PathBuf> {
    let function = zip.strip_prefix(directory).ok()?.parent()?;
    Some(root.join("functions").join(function)).filter(|folder| folder.is_dir())
}

/// The path without `..`; symbolic links are not followed.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir if plain.file_name().is_some() => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}

/// The most recently changed source, and when it changed.
fn newest_source(root: &Path, own: &Path) -> Option<(PathBuf, SystemTime)> {
    let common = COMMON_SOURCES.iter().map(|source| root.join(source));
    // Every other consumer is a handler for the library of the first one.
    let library = (!own.ends_with("producer") && !own.ends_with("consumer")).then(|| root.join("functions/consumer"));
    let mut folders: Vec<PathBuf> = common.chain([own.to_owned()]).chain(library).collect();
    let mut newest: Option<(PathBuf, SystemTime)> = None;
    while let Some(path) = folders.pop() {
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).into_iter().flatten().flatten();
            folders.extend(entries.map(|entry| entry.path()).filter(|path| is_built(path)));
        } else if let Ok(changed) = std::fs::metadata(&path).and_then(|file| file.modified())
            && newest.as_ref().is_none_or(|(_, latest)| changed > *latest)
        {
            newest = Some((path, changed));
        }
    }
    newest
}

fn is_built(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    path.extension().is_none_or(|extension| extension != "md") && !NOT_BUILT.iter().any(|skipped| name == *skipped)
}
