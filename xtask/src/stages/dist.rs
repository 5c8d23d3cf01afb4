//! Stage `dist`: the wheel as somebody without Rust gets it, installed by pip and used in a script.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::binaries::{ignored_tests, run_chosen};
use super::peers;
use crate::dist::{self, Distribution};
use crate::package::Architecture;
use crate::{process, tools};

pub(super) fn run() -> Result<()> {
    let made = dist::build(Architecture::host())?;
    is_for_the_platform_it_names(&made)?;
    // A folder of its own, where nothing of this workspace is.
    let folder = tempfile::tempdir()?;
    let bin = install(&made.wheel, folder.path())?;
    let version = process::capture(Command::new(bin.join("msk-local")).arg("--version"))?;
    ensure!(version.contains("librdkafka"), "the installed program says of itself: {version}");
    println!("installed: {}", version.trim());
    let mut tests = ignored_tests("msk-local", peers::OTHERS)?;
    tests.env("MSK_LOCAL_BIN", bin).env("PEERS_PYTHON", tools::PEERS_PYTHON.bin()?.join("python"));
    run_chosen(tests.arg("installed::"))
}

/// auditwheel, which reads the program's own tables, must find no newer glibc than the wheel's name says, and no other library that
/// a Linux may lack. It has names for some versions of glibc only, and says the next one.
fn is_for_the_platform_it_names(made: &Distribution) -> Result<()> {
    let auditwheel = tools::AUDITWHEEL.bin()?.join("auditwheel");
    let shown = process::capture(Command::new(auditwheel).arg("show").arg(&made.wheel))?;
    ensure!(shown.contains("platform tag: \"manylinux_"), "the wheel is for no manylinux: {shown}");
    let newest = newest_glibc(&shown);
    ensure!(newest == Some(made.glibc), "the wheel says glibc {:?}, but auditwheel: {shown}", made.glibc);
    println!("auditwheel finds the same glibc as the wheel's name says: {:?}", made.glibc);
    Ok(())
}

/// The newest of versions such as `GLIBC_2.30`.
fn newest_glibc(text: &str) -> Option<(u32, u32)> {
    let versions = text.split("GLIBC_").skip(1).filter_map(|rest| {
        let end = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(rest.len());
        let mut numbers = rest[..end].split('.').map(str::parse);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    });
    versions.max()
}

/// Installs the wheel alone, without an index, and returns the folder of its program.
fn install(wheel: &Path, folder: &Path) -> Result<PathBuf> {
    let venv = folder.join("venv");
    process::capture(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
    let mut pip = Command::new(venv.join("bin").join("pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check", "--no-index"]).arg(wheel);
    process::capture(&mut pip).with_context(|| format!("pip does not install {}", wheel.display()))?;
    Ok(venv.join("bin"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_glibc_of_a_text_is_found() {
        assert_eq!(newest_glibc("{'GLIBC_2.9', 'GLIBC_2.2.5',\n'GLIBC_2.30'}, GLIBC_PRIVATE"), Some((2, 30)));
        assert_eq!(newest_glibc("no version"), None);
    }
}
