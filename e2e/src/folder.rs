//! Folders of a run, removed with it, and the build folder's place.

use std::path::{Path, PathBuf};

use msk_test_kit::watchdog;
use tempfile::TempDir;

use crate::error::{Result, file_error};

/// A temporary folder that is removed on drop, and by the watchdog if this process is killed.
#[derive(Debug)]
pub struct TempFolder {
    dir: TempDir,
}

impl TempFolder {
    /// Makes an empty folder with a random name.
    ///
    /// # Errors
    /// [`crate::Error::File`] when the system's temporary folder cannot be written.
    pub fn new() -> Result<Self> {
        let parent = std::env::temp_dir();
        let dir = tempfile::Builder::new().prefix("msk-e2e-").tempdir_in(&parent).map_err(file_error(parent))?;
        watchdog::watch_folder(dir.path());
        Ok(Self { dir })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        // The folder itself goes right after, with its field.
        watchdog::forget_folder(self.dir.path());
    }
}

/// Cargo's target folder: what is fetched or compiled once is kept there.
pub fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace_dir().join("target"), PathBuf::from)
}

/// The workspace's root folder.
pub fn workspace_dir() -> PathBuf {
    let e2e = Path::new(env!("CARGO_MANIFEST_DIR"));
    e2e.parent().unwrap_or(e2e).to_owned()
}
