//! `--config`: event source mappings from files, as `msk-local` reads them, each for the consumer and the topic that it names.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};

use crate::workspace;

/// As on the command line: `FILE`, or `CONSUMER=FILE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MappingFile {
    /// Whose mapping it is, whatever function the file names.
    pub(super) consumer: Option<String>,
    pub(super) path: PathBuf,
}

/// What a file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileMapping {
    pub(super) path: PathBuf,
    pub(super) consumer: String,
    pub(super) topic: String,
    /// Whether the mapping listens to the failures that a function's response names.
    pub(super) reports: bool,
    /// The topic where records go that are given up, if it is one.
    pub(super) destination: Option<String>,
}

/// What `msk-local esm validate` answers.
#[derive(serde::Deserialize)]
struct Verdict {
    function: Option<String>,
    topic: Option<String>,
    #[serde(default)]
    report_batch_item_failures: bool,
    destination_topic: Option<String>,
    #[serde(default)]
    problems: Vec<String>,
}

impl MappingFile {
    /// # Errors
    /// When nothing stands where the file should.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let is_name =
            |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
        let (consumer, file) = match text.split_once('=') {
            Some((name, file)) if is_name(name) => (Some(name.to_owned()), file),
            _ => (None, text),
        };
        // The processes that read it run in another folder.
        let path = std::path::absolute(file).map_err(|error| error.to_string())?;
        Ok(Self { consumer, path })
    }

    /// # Errors
    /// When there is no such file.
    pub(super) fn check(&self) -> Result<()> {
        ensure!(
            self.path.is_file(),
            "--config: there is no file {}; write FILE, or CONSUMER=FILE",
            self.path.display()
        );
        Ok(())
    }

    /// Has `msk-local` read the file, which must be built. `sign_in` says whether the brokers ask for what the file signs in with.
    pub(super) fn read(&self, sign_in: bool) -> Result<FileMapping> {
        let mut command = workspace::dev_binary("msk-local");
        command.args(["--format", "json", "esm", "validate"]).arg(&self.path);
        if let Some(consumer) = &self.consumer {
            command.args(["--function-name", consumer]);
        }
        command.args(without_sign_in(sign_in));
        let output = command.output().context("cannot start msk-local")?;
        let path = self.path.display();
        let Ok(verdict) = serde_json::from_slice::<Verdict>(&output.stdout) else {
            bail!("{path} cannot be read as a mapping: {}", String::from_utf8_lossy(&output.stderr).trim());
        };
        let (Some(consumer), Some(topic)) = (verdict.function, verdict.topic) else {
            let hint = if self.consumer.is_none() {
                "\nWith --config CONSUMER=FILE the file need not name its function."
            } else {
                ""
            };
            bail!("{path} is no mapping that AWS would take:\n  {}{hint}", verdict.problems.join("\n  "));
        };
        let (reports, destination) = (verdict.report_batch_item_failures, verdict.destination_topic);
        Ok(FileMapping { path: self.path.clone(), consumer, topic, reports, destination })
    }
}

/// Brokers that `up` starts ask the mapping for nothing.
pub(super) fn without_sign_in(sign_in: bool) -> &'static [&'static str] {
    if sign_in { &[] } else { &["--source-access-configurations", "[]"] }
}
