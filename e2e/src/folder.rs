//! Folders that are removed at the end of a run, and the location of the build folder.

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
    /// Creates an empty folder with a random name.
    ///
    /// # Errors
    /// [`crate::Error::File`] if the system's temporary folder is not writable.
    pub fn new() -> Result<Self> {
        let parent = std::env::temp_dir();
        let dir = tempfile::Builder::new().prefix("msk-e2e-").tempdir_in(&parent).map_err(file_error(parent))?;
        watchdog::watch_folder(dir.path());
        Ok(Self { dir })
    }

    /// The path of the folder.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        // The folder itself is removed right after this, when its field is dropped.
        watchdog::forget_folder(self.dir.path());
    }
}

/// Cargo's target folder, where everything that is downloaded or compiled once is kept.
pub fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace_dir().join("target"), PathBuf::from)
}

/// The workspace's root folder.
pub fn workspace_dir() -> PathBuf {
    let e2e = Path::new(env!("CARGO_MANIFEST_DIR"));
    e2e.parent().unwrap_or(e2e).to_owned()
}
