//! What a producer's zip can do beyond the plain one, and the file beside it that says so. Terraform reads the file: a setting
//! that the zip cannot serve is refused at plan.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::process;

/// Cargo features of the producer that a zip may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ZipFeature {
    /// Topics whose values must satisfy a JSON Schema.
    Schemas,
    /// The page `GET /docs`.
    DocsPage,
}

impl ZipFeature {
    /// The feature as `cargo xtask package --features` takes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Schemas => "schemas",
            Self::DocsPage => "docs-page",
        }
    }

    /// The feature as cargo selects it.
    pub(crate) fn cargo_name(self) -> String {
        format!("msk-producer/{}", self.name())
    }

    /// How many bytes it may add to a zip.
    pub(crate) fn most_bytes(self) -> u64 {
        match self {
            Self::Schemas => 1_600_000,
            Self::DocsPage => 250_000,
        }
    }
}

/// What stands beside a zip.
#[derive(Debug, Serialize, Deserialize)]
struct Contents {
    features: Vec<ZipFeature>,
    /// Of which zip that is said: its SHA-256 in base64, as Terraform's `filebase64sha256` gives it.
    zip_sha256: String,
}

/// `bootstrap.json` beside `bootstrap.zip`.
fn file(zip: &Path) -> PathBuf {
    zip.with_extension("json")
}

/// Writes what a zip can do beside it.
pub(crate) fn write(zip: &Path, features: &[ZipFeature]) -> Result<()> {
    let mut features = features.to_vec();
    features.sort_unstable();
    features.dedup();
    let contents = Contents { features, zip_sha256: sha256(zip)? };
    let (file, text) = (file(zip), serde_json::to_string(&contents)? + "\n");
    std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// What a zip can do. A zip without the file, or with that of another zip, is a plain one.
pub(crate) fn read(zip: &Path) -> Vec<ZipFeature> {
    let contents = std::fs::read(file(zip)).ok().and_then(|bytes| serde_json::from_slice::<Contents>(&bytes).ok());
    let own = contents.filter(|contents| sha256(zip).is_ok_and(|sha256| sha256 == contents.zip_sha256));
    own.map(|contents| contents.features).unwrap_or_default()
}

fn sha256(zip: &Path) -> Result<String> {
    const SHA256: &str = "import base64, hashlib, sys\n\
        print(base64.b64encode(hashlib.sha256(open(sys.argv[1], 'rb').read()).digest()).decode())";
    Ok(process::capture(Command::new("python3").args(["-c", SHA256]).arg(zip))?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_holds_for_the_zip_it_was_said_of() {
        let folder = tempfile::tempdir().unwrap();
        let zip = folder.path().join("bootstrap.zip");
        std::fs::write(&zip, "abc").unwrap();
        assert_eq!(read(&zip), []);
        write(&zip, &[ZipFeature::DocsPage, ZipFeature::Schemas, ZipFeature::DocsPage]).unwrap();
        assert_eq!(read(&zip), [ZipFeature::Schemas, ZipFeature::DocsPage]);
        let text = std::fs::read_to_string(folder.path().join("bootstrap.json")).unwrap();
        // FIPS 180-2, appendix B.1, in base64.
        let sha256 = "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";
        assert_eq!(text, format!("{{\"features\":[\"schemas\",\"docs-page\"],\"zip_sha256\":\"{sha256}\"}}\n"));
        std::fs::write(&zip, "another zip, copied over it").unwrap();
        assert_eq!(read(&zip), []);
    }
}
