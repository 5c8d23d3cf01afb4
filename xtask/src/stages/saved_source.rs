//! A source file that is saved, as an editor does it.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};

/// A file that was saved without changes.
pub(super) struct Saved {
    path: PathBuf,
    /// When it was saved before.
    before: SystemTime,
}

impl Saved {
    /// Saves a file unchanged.
    pub(super) fn again(path: PathBuf) -> Result<Self> {
        let before = Self::write_anew(&path).with_context(|| format!("cannot save {}", path.display()))?;
        Ok(Self { path, before })
    }

    /// Saves the file, and returns its previous modification time.
    fn write_anew(path: &Path) -> Result<SystemTime> {
        let old = std::fs::metadata(path)?.modified()?;
        replace(path, &std::fs::read(path)?)?;
        Ok(old)
    }

    /// Restores the previous modification time, so that cargo sees no change.
    pub(super) fn undo(self) -> Result<()> {
        let file = File::options().write(true).open(&self.path);
        file.and_then(|file| file.set_modified(self.before))
            .with_context(|| format!("cannot restore the modification time of {}", self.path.display()))
    }
}

/// Saves a file as an editor does: a new one takes the old one's name, so there is no moment without a file.
pub(super) fn replace(path: &Path, text: &[u8]) -> Result<()> {
    let permissions = std::fs::metadata(path)?.permissions();
    let mut new = tempfile::NamedTempFile::new_in(path.parent().context("a file is in a folder")?)?;
    new.write_all(text)?;
    new.as_file().set_permissions(permissions)?;
    new.persist(path)?;
    Ok(())
}

/// When a file was last written; `None` while there is none. Cargo removes the old binary before it creates the new
/// one, and removing a large file takes a moment.
pub(super) fn modified(path: &Path) -> Result<Option<SystemTime>> {
    match std::fs::metadata(path).and_then(|metadata| metadata.modified()) {
        Ok(time) => Ok(Some(time)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot look at {}", path.display())),
    }
}
