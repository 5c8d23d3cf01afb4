//! `cargo xtask dist`: `msk-local` for those who have no Rust, as a tarball and as a wheel for pip.

mod licences;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;

use crate::package::{self, Architecture};
use crate::{needs, process, workspace};

const PROGRAM: &str = "msk-local";
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Writes the archives.
const PACK: &str = include_str!("pack.py");
/// Where each shell looks for completions, below a prefix such as `/usr/local`.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "share/bash-completion/completions/msk-local"),
    ("zsh", "share/zsh/site-functions/_msk-local"),
    ("fish", "share/fish/vendor_completions.d/msk-local.fish"),
];
const DOCUMENTS: &str = "share/doc/msk-local";
/// The oldest glibc for which pip has a name of its own, that of the oldest Linux that Rust's standard library runs on.
const OLDEST_GLIBC: (u32, u32) = (2, 17);
/// A larger program is a sign that something was linked that should not be.
const LARGEST_PROGRAM_BYTES: u64 = 20_000_000;

/// Build `msk-local` for those who have no Rust: a tarball and a wheel for pip, in `target/dist/`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Build for arm64 (`aarch64-unknown-linux-gnu`) instead of `x86_64`.
    #[arg(long)]
    arm64: bool,
}

/// What was built.
#[derive(Debug)]
pub(crate) struct Distribution {
    pub(crate) tarball: PathBuf,
    pub(crate) wheel: PathBuf,
    /// The oldest glibc that it runs on.
    pub(crate) glibc: (u32, u32),
}

/// Builds and says what came of it.
pub(crate) fn run(options: &Options) -> Result<()> {
    needs::require([needs::NATIVE_BUILD, needs::PERL, needs::PYTHON_VENV])?;
    let architecture = if options.arm64 { Architecture::Arm64 } else { Architecture::X86_64 };
    let made = build(architecture)?;
    for file in [&made.tarball, &made.wheel] {
        let bytes = std::fs::metadata(file).with_context(|| format!("there is no {}", file.display()))?.len();
        println!("{}  {:.2} MB ({bytes} bytes)", shown(file), bytes as f64 / 1e6);
    }
    let (major, minor) = made.glibc;
    println!("for {} Linux with glibc {major}.{minor} or newer, each with its .sha256 beside it", architecture.name());
    println!("try it: python3 -m venv try && try/bin/pip install {} && try/bin/msk-local --help", shown(&made.wheel));
    Ok(())
}

/// Builds the tarball and the wheel.
pub(crate) fn build(architecture: Architecture) -> Result<Distribution> {
    let folder = workspace::target_dir().join("dist");
    println!(
        "building {PROGRAM} {VERSION} for {} (the first time takes many minutes: librdkafka with OpenSSL is compiled) ...",
        architecture.target()
    );
    let revision = package::reported_revision("--version");
    let program = package::build_program(PROGRAM, architecture, &folder.join("build"), revision.as_deref())?;
    let glibc = checked(&program)?;
    println!("writing completions, the manual and the licences of what is linked ...");
    let content = folder.join("build").join(architecture.name());
    lay_out(&content, &program, architecture)?;
    pack(&content, &folder, architecture, glibc)
}

/// The oldest glibc that a program runs on; an error if it needs more of a machine than that.
fn checked(program: &Path) -> Result<(u32, u32)> {
    let bytes =
        std::fs::metadata(program).with_context(|| format!("the build did not create {}", program.display()))?.len();
    ensure!(
        bytes <= LARGEST_PROGRAM_BYTES,
        "{PROGRAM} has {bytes} bytes, more than {LARGEST_PROGRAM_BYTES}; `cargo tree --package {PROGRAM}` shows what is linked"
    );
    let libraries = package::libraries_of(program)?;
    ensure!(
        libraries.is_empty(),
        "{PROGRAM} links {libraries}, which other machines may not have; they must be linked statically: `rdkafka`'s features in \
         the root Cargo.toml"
    );
    glibc_of(program)
}

/// The newest version of glibc's symbols that a program names.
fn glibc_of(program: &Path) -> Result<(u32, u32)> {
    const VERSIONS: &str = "import re, sys\n\
        program = open(sys.argv[1], 'rb').read()\n\
        found = re.findall(rb'\\0GLIBC_(\\d+)\\.(\\d+)(?:\\.\\d+)?(?=\\0)', program)\n\
        print(*max((int(major), int(minor)) for major, minor in found))";
    let newest = process::capture(Command::new("python3").args(["-c", VERSIONS]).arg(program))
        .with_context(|| format!("{} names no version of glibc: is it a program for Linux?", program.display()))?;
    let mut numbers = newest.split_whitespace().map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Ok((major, minor)),
        _ => bail!("the versions of glibc that {} needs cannot be read: {newest:?}", program.display()),
    }
}

/// Lays out what is packed as it lies below a prefix such as `/usr/local`.
fn lay_out(content: &Path, program: &Path, architecture: Architecture) -> Result<()> {
    if content.exists() {
        std::fs::remove_dir_all(content).with_context(|| format!("cannot remove {}", content.display()))?;
    }
    let write = |name: &str, text: &[u8]| -> Result<()> {
        let file = content.join(name);
        std::fs::create_dir_all(file.parent().unwrap_or(content))?;
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
    };
    let read = |file: PathBuf| std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()));
    write(&format!("bin/{PROGRAM}"), &read(program.to_owned())?)?;
    for (shell, file) in COMPLETIONS {
        write(file, process::capture(here(program, architecture).args(["completions", shell]))?.as_bytes())?;
    }
    process::capture(here(program, architecture).args(["man", "--folder"]).arg(content.join("share/man/man1")))?;
    let root = workspace::root();
    write(&format!("{DOCUMENTS}/README.md"), &read(root.join("local").join("README.md"))?)?;
    for licence in ["LICENSE-APACHE", "LICENSE-MIT"] {
        write(&format!("{DOCUMENTS}/{licence}"), &read(root.join(licence))?)?;
    }
    write(&format!("{DOCUMENTS}/THIRD-PARTY-LICENSES"), licences::collect(PROGRAM, architecture)?.as_bytes())
}

/// The program as this machine can run it: what it prints of itself is the same for every processor.
fn here(program: &Path, architecture: Architecture) -> Command {
    if architecture == Architecture::host() && cfg!(target_os = "linux") {
        Command::new(program)
    } else {
        process::cargo(&["run", "--quiet", "--locked", "--bin", PROGRAM, "--"])
    }
}

fn pack(content: &Path, folder: &Path, architecture: Architecture, glibc: (u32, u32)) -> Result<Distribution> {
    let machine = architecture.machine();
    let tarball = folder.join(format!("{PROGRAM}-{VERSION}-{machine}-linux.tar.gz"));
    let tag = platform_tag(machine, glibc);
    // The script writes the version as PyPI does.
    let wheel = folder.join(format!("msk_local-{{version}}-py3-none-{tag}.whl"));
    let settings = json!({"version": VERSION, "tag": tag, "folder": content, "tarball": tarball, "wheel": wheel});
    let script = content.with_extension("pack.py");
    std::fs::write(&script, PACK).with_context(|| format!("cannot write {}", script.display()))?;
    let wheel = process::capture(Command::new("python3").arg(script).arg(settings.to_string()))?;
    Ok(Distribution { tarball, wheel: wheel.trim().into(), glibc })
}

/// The platforms of a wheel (PEP 600). Older versions of pip know the first glibc by another name, too.
fn platform_tag(machine: &str, glibc: (u32, u32)) -> String {
    let (major, minor) = glibc.max(OLDEST_GLIBC);
    let tag = format!("manylinux_{major}_{minor}_{machine}");
    if (major, minor) == OLDEST_GLIBC { format!("{tag}.manylinux2014_{machine}") } else { tag }
}

fn shown(file: &Path) -> std::path::Display<'_> {
    file.strip_prefix(workspace::root()).unwrap_or(file).display()
}

#[cfg(test)]
mod tests;
