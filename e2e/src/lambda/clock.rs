//! A wall clock that can be moved while the monotonic one goes on as it does: what a function sees after a freeze,
//! where the time it slept through is on the calendar and on no timer.
//!
//! Done by `libfaketime`, preloaded into the function: the function itself is the one that is shipped.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    error::{Result, RigError, file_error},
    folder::{TempFolder, target_dir},
};

const LIBRARY: &str = "libfaketime.so.1";
const INSTALL: &str = "install libfaketime (Debian: `apt-get install libfaketime`)";

/// The wall clock of one function.
#[derive(Debug)]
pub struct WallClock {
    library: PathBuf,
    folder: TempFolder,
}

impl WallClock {
    /// A clock that shows the machine's time until it is moved.
    ///
    /// # Errors
    ///
    /// [`RigError::MissingTool`] when `libfaketime` is not installed and cannot be fetched.
    pub fn new() -> Result<Self> {
        let clock = Self { library: find_library()?, folder: TempFolder::new()? };
        clock.set_offset_ms(0)?;
        Ok(clock)
    }

    /// Moves the clock to the machine's time plus `offset_ms`.
    ///
    /// # Errors
    ///
    /// [`RigError::File`] when the file it stands in cannot be written.
    pub fn set_offset_ms(&self, offset_ms: i64) -> Result<()> {
        let (path, new) = (self.file(), self.folder.path().join("offset.new"));
        let sign = if offset_ms < 0 { '-' } else { '+' };
        let text = format!("{sign}{}.{:03}\n", offset_ms.unsigned_abs() / 1_000, offset_ms.unsigned_abs() % 1_000);
        fs::write(&new, text).map_err(file_error(&new))?;
        fs::rename(&new, &path).map_err(file_error(&path))
    }

    /// The variables that make a process see this clock.
    pub fn environment(&self) -> Vec<(String, String)> {
        let set = |name: &str, value: String| (name.to_owned(), value);
        vec![
            set("LD_PRELOAD", self.library.display().to_string()),
            set("FAKETIME_TIMESTAMP_FILE", self.file().display().to_string()),
            // A jump must be seen at the first look after a thaw.
            set("FAKETIME_NO_CACHE", "1".to_owned()),
            set("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            // Files and folders keep their own times.
            set("NO_FAKE_STAT", "1".to_owned()),
        ]
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("offset")
    }
}

/// Where Debian puts it, or a copy in the target folder that is unpacked from Debian's package on first use.
fn find_library() -> Result<PathBuf> {
    let own = target_dir().join("tools/libfaketime");
    for root in [Path::new("/"), &own] {
        if let Some(found) = library_below(root) {
            return Ok(found);
        }
    }
    unpack_package(&own)?;
    library_below(&own).ok_or(RigError::MissingTool { tool: LIBRARY, install: INSTALL })
}

fn library_below(root: &Path) -> Option<PathBuf> {
    let machines = fs::read_dir(root.join("usr/lib")).ok()?;
    machines.flatten().map(|machine| machine.path().join("faketime").join(LIBRARY)).find(|path| path.exists())
}

fn unpack_package(into: &Path) -> Result<()> {
    fs::create_dir_all(into).map_err(file_error(into))?;
    let script = "apt-get download -q libfaketime && dpkg-deb -x libfaketime_*.deb . && rm -f libfaketime_*.deb";
    let unpacked = Command::new("sh").args(["-c", script]).current_dir(into).stdout(Stdio::null()).status();
    match unpacked {
        Ok(status) if status.success() => Ok(()),
        _ => Err(RigError::MissingTool { tool: LIBRARY, install: INSTALL }),
    }
}
