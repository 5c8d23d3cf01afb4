//! A wall clock that can be moved while the monotonic one is unaffected: what a function sees after a freeze,
//! when the time that has passed shows on the wall clock but on no timer.
//!
//! Done by a small preloaded library (`e2e/c/clock.c`), so the function itself is the one that is shipped.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Result, file_error};
use crate::folder::{TempFolder, target_dir};
use crate::kafka::distribution::run;

/// The wall clock of one function.
#[derive(Debug)]
pub struct WallClock {
    library: PathBuf,
    folder: TempFolder,
}

impl WallClock {
    /// A clock with the machine's time, until it is moved.
    ///
    /// # Errors
    /// [`crate::Error::MissingTool`] without a C compiler.
    pub fn new() -> Result<Self> {
        let clock = Self { library: library()?, folder: TempFolder::new()? };
        let file = clock.file();
        fs::write(&file, 0_i64.to_ne_bytes()).map_err(file_error(&file))?;
        Ok(clock)
    }

    /// Moves the clock to the machine's time plus `offset_ms`.
    ///
    /// # Errors
    /// [`crate::Error::File`] when the file it stands in cannot be written.
    pub fn set_offset_ms(&self, offset_ms: i64) -> Result<()> {
        // In place: the function has mapped this very file. Eight aligned bytes are written at once.
        let path = self.file();
        let file = File::options().write(true).open(&path).map_err(file_error(&path))?;
        file.write_all_at(&offset_ms.to_ne_bytes(), 0).map_err(file_error(&path))
    }

    /// The variables that make a process see this clock.
    pub fn environment(&self) -> Vec<(String, String)> {
        vec![
            ("LD_PRELOAD".to_owned(), self.library.display().to_string()),
            ("MSK_E2E_CLOCK".to_owned(), self.file().display().to_string()),
        ]
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("offset-ms")
    }
}

/// Compiles the library into the target folder when its source is newer than what is there.
fn library() -> Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("c/clock.c");
    let folder = target_dir().join("e2e");
    fs::create_dir_all(&folder).map_err(file_error(&folder))?;
    let lock_path = folder.join("clock.lock");
    let lock = File::create(&lock_path).map_err(file_error(&lock_path))?;
    lock.lock().map_err(file_error(&lock_path))?;
    let (made, copy) = (folder.join("clock.so"), folder.join("clock.c"));
    let text = fs::read(&source).map_err(file_error(&source))?;
    if made.exists() && fs::read(&copy).is_ok_and(|old| old == text) {
        return Ok(made);
    }
    let new = folder.join("clock.so.new");
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-o"]).arg(&new).arg(&source).arg("-ldl");
    run(&mut cc, "cc", "install a C compiler (Debian: `apt-get install gcc`)")?;
    // Renamed into place: a running function keeps the library it has loaded.
    fs::rename(&new, &made).map_err(file_error(&made))?;
    fs::write(&copy, &text).map_err(file_error(&copy))?;
    Ok(made)
}
