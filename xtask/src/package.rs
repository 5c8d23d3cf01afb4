//! `cargo xtask package`: the deployable zips and their sizes.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::tools::CargoLambda;
use crate::zip_features::{self, ZipFeature};
use crate::{members, needs, process, workspace};

/// A larger zip starts noticeably more slowly, and is a sign that something was linked that should not be.
const LARGEST_ZIP_BYTES: u64 = 5_000_000;

/// How large a zip with these features may be.
pub(crate) fn largest_zip_bytes(features: &[ZipFeature]) -> u64 {
    LARGEST_ZIP_BYTES + features.iter().map(|feature| feature.most_bytes()).sum::<u64>()
}

/// What the packaged consumer has beyond the library's defaults: its dead letters go to Kafka.
pub(crate) const CONSUMER_FEATURES: &str = "msk-consumer/dead-letter-kafka";

/// Options of `cargo xtask package`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Build for Graviton (`aarch64-unknown-linux-gnu`) instead of `x86_64`.
    #[arg(long)]
    arm64: bool,
    /// What the producer's zip can do besides; each makes it larger.
    #[arg(long, value_delimiter = ',')]
    features: Vec<ZipFeature>,
}

/// The processor architectures of Lambda.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Architecture {
    X86_64,
    Arm64,
}

impl Architecture {
    /// The architecture of this machine.
    pub(crate) fn host() -> Self {
        if cfg!(target_arch = "aarch64") { Self::Arm64 } else { Self::X86_64 }
    }

    /// The name in the variable `function_architecture` and in Lambda.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "arm64",
        }
    }

    /// The command that builds for it.
    pub(crate) fn package_command(self) -> &'static str {
        match self {
            Self::X86_64 => "cargo xtask package",
            Self::Arm64 => "cargo xtask package --arm64",
        }
    }

    /// The name in Python's platforms and in the names of Linux distributions.
    pub(crate) fn machine(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }

    /// The name in Rust.
    pub(crate) fn target(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-unknown-linux-gnu",
            Self::Arm64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// cargo-lambda's flag for it.
    fn flag(self) -> &'static str {
        match self {
            Self::X86_64 => "--x86-64",
            Self::Arm64 => "--arm64",
        }
    }
}

/// Builds the zips.
pub(crate) fn run(options: &Options) -> Result<()> {
    needs::require([needs::NATIVE_BUILD, needs::PERL, needs::PYTHON_VENV])?;
    let architecture = if options.arm64 { Architecture::Arm64 } else { Architecture::X86_64 };
    let folder = workspace::target_dir().join("lambda");
    build(architecture, &options.features, &folder)?;
    reported_revision("/version");
    println!("deploy them with Terraform (docs/02_TERRAFORM_DEPLOY.md); they are for {}", architecture.target());
    Ok(())
}

/// The commit that `place` reports; says so if the sources are not those of it. `None` without git, and in another project's
/// repository.
pub(crate) fn reported_revision(place: &str) -> Option<String> {
    let revision = producer_build::revision(&workspace::root())?;
    let changes = process::capture(Command::new("git").args(["status", "--porcelain"]).current_dir(workspace::root()));
    if changes.is_ok_and(|changes| !changes.trim().is_empty()) {
        println!("note: there are uncommitted changes; they are not part of the revision that {place} reports");
    }
    Some(revision)
}

/// How the producer's build finds the commit out.
#[path = "../../functions/producer/build.rs"]
#[allow(dead_code, unreachable_pub, reason = "a build script of another package")]
mod producer_build;

/// The function that features are of.
const PRODUCER: &str = "producer";

/// Builds `<folder>/<function>/bootstrap.zip` for every function and prints their sizes; the producer's with features.
pub(crate) fn build(architecture: Architecture, features: &[ZipFeature], folder: &Path) -> Result<()> {
    let cargo_lambda = CargoLambda::pinned()?;
    check_target(architecture)?;
    let functions = members::functions()?;
    println!(
        "building {} for {} (the first time takes many minutes: librdkafka with OpenSSL is compiled) ...",
        functions.join(", "),
        architecture.target()
    );
    let mut command = build_command(&cargo_lambda, architecture, folder, &functions);
    if !features.is_empty() {
        let names: Vec<String> = features.iter().map(|feature| feature.cargo_name()).collect();
        command.args(["--features", &names.join(",")]);
    }
    process::run(command.args(["--output-format", "zip"]))?;
    let mut too_large = Vec::new();
    for function in &functions {
        let (zip, features) = (zip(folder, function), if function == PRODUCER { features } else { &[] });
        let bytes =
            std::fs::metadata(&zip).with_context(|| format!("the build did not create {}", zip.display()))?.len();
        let shown = zip.strip_prefix(workspace::root()).unwrap_or(&zip).display();
        println!("{shown}  {:.2} MB ({bytes} bytes)", bytes as f64 / 1e6);
        let missing = libraries_of(&zip)?;
        if !missing.is_empty() {
            bail!("{shown} links {missing}, which AWS Lambda does not have; they must be linked statically");
        }
        if function == PRODUCER {
            zip_features::write(&zip, features)?;
        }
        let limit = largest_zip_bytes(features);
        if bytes > limit {
            too_large.push(format!("{shown} exceeds {limit} bytes"));
        }
    }
    if !too_large.is_empty() {
        bail!("{}; `cargo tree` shows what was linked", too_large.join(" and "));
    }
    Ok(())
}

/// Builds a program of this workspace for this machine, selected together with the functions and so compiled exactly as they are,
/// and returns its path.
pub(crate) fn build_beside_functions(package: &str, folder: &Path) -> Result<PathBuf> {
    let mut command = build_command(&CargoLambda::pinned()?, Architecture::host(), folder, &members::functions()?);
    process::run(command.args(["--package", package]))?;
    Ok(folder.join(package).join("bootstrap"))
}

/// Builds a program of this workspace that others run, and returns its path. Cargo selects it together with the functions, so that
/// librdkafka and OpenSSL are those that were compiled for them, but builds no function.
pub(crate) fn build_program(
    package: &str,
    architecture: Architecture,
    folder: &Path,
    revision: Option<&str>,
) -> Result<PathBuf> {
    check_target(architecture)?;
    let mut command = build_command(&CargoLambda::pinned()?, architecture, folder, &members::functions()?);
    command.args(["--package", package, "--bin", package]);
    if let Some(revision) = revision {
        command.env("MSK_REVISION", revision);
    }
    process::run(&mut command)?;
    Ok(folder.join(package).join("bootstrap"))
}

fn build_command(
    cargo_lambda: &CargoLambda,
    architecture: Architecture,
    folder: &Path,
    functions: &[String],
) -> Command {
    let mut command = cargo_lambda.command("build");
    command.args(["--release", architecture.flag(), "--locked", "--lambda-dir"]).arg(folder);
    for function in functions {
        command.args(["--package", &format!("msk-{function}")]);
    }
    // Not a default of the library, which others use without librdkafka.
    command.args(["--features", CONSUMER_FEATURES]);
    // The functions bring their own OpenSSL: what this machine has is not what AWS Lambda has.
    command.env("OPENSSL_NO_VENDOR", "0");
    // What is deployed is compiled by rustc, also where Clippy's compiler builds the tests.
    command.env_remove("RUSTC_WORKSPACE_WRAPPER");
    command
}

/// Where [`build`] puts a function's zip.
pub(crate) fn zip(folder: &Path, function: &str) -> PathBuf {
    folder.join(function).join("bootstrap.zip")
}

/// The processor that a zip's `bootstrap` is for, read from the header of the program itself.
pub(crate) fn architecture_of(zip: &Path) -> Result<Architecture> {
    const FIRST_BYTES: &str = "import sys, zipfile\n\
        with zipfile.ZipFile(sys.argv[1]).open('bootstrap') as program: print(program.read(20).hex())";
    let header = process::capture(Command::new("python3").args(["-c", FIRST_BYTES]).arg(zip))
        .map_err(|_| anyhow::anyhow!("is not a zip that contains a file `bootstrap`, or python3 is missing"))?;
    // ELF, 64 bit, little endian; bytes 18 and 19 name the machine: https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html
    let header = header.trim();
    match (header.starts_with("7f454c460201"), header.get(36..40)) {
        (true, Some("3e00")) => Ok(Architecture::X86_64),
        (true, Some("b700")) => Ok(Architecture::Arm64),
        _ => bail!("has a `bootstrap` that is not a 64-bit Linux program for x86_64 or arm64"),
    }
}

/// The C libraries that a program, or a zip's `bootstrap`, would look for where it runs instead of bringing them.
pub(crate) fn libraries_of(file: &Path) -> Result<String> {
    const NAMES: &str = "import re, sys, zipfile\n\
        file = sys.argv[1]\n\
        is_zip = zipfile.is_zipfile(file)\n\
        program = zipfile.ZipFile(file).read('bootstrap') if is_zip else open(file, 'rb').read()\n\
        names = re.findall(rb'\\0(lib(?:ssl|crypto|rdkafka|zstd|z)\\.so[.0-9]*)(?=\\0)', program)\n\
        print(', '.join(sorted({name.decode() for name in names})))";
    Ok(process::capture(Command::new("python3").args(["-c", NAMES]).arg(file))?.trim().to_owned())
}

/// Unpacks a function's zip next to it, as Lambda does, and returns the path of the binary.
pub(crate) fn unpack(folder: &Path, function: &str) -> Result<PathBuf> {
    let into = folder.join(function).join("unpacked");
    std::fs::create_dir_all(&into).with_context(|| format!("cannot create {}", into.display()))?;
    // Written next to its final place, then renamed: another run's processes may have the binary open, or be about to start it.
    let fresh = tempfile::tempdir_in(&into).with_context(|| format!("cannot write into {}", into.display()))?;
    let mut unzip = Command::new("python3");
    unzip.args(["-m", "zipfile", "-e"]).arg(zip(folder, function)).arg(fresh.path());
    process::capture(&mut unzip)?;
    let (unzipped, binary) = (fresh.path().join("bootstrap"), into.join("bootstrap"));
    // Python's zipfile does not restore the file mode.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&unzipped, mode)
        .with_context(|| format!("there is no {} in the zip", unzipped.display()))?;
    std::fs::rename(&unzipped, &binary).with_context(|| format!("cannot replace {}", binary.display()))?;
    Ok(binary)
}

/// A cross-build needs the standard library of its target.
fn check_target(architecture: Architecture) -> Result<()> {
    let target = architecture.target();
    let libraries = process::capture(Command::new("rustc").args(["--print", "target-libdir", "--target", target]))?;
    if Path::new(libraries.trim()).is_dir() {
        return Ok(());
    }
    println!("installing Rust's standard library for {target} (once) ...");
    process::capture(Command::new("rustup").args(["target", "add", target])).with_context(|| {
        format!(
            "Rust's standard library for {target} is missing and `rustup target add {target}` did not install it. \
             Ways without rustup: docs/05_TESTING.md, \"The functions for arm64\""
        )
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_that_lambda_lacks_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let cases = [
            (&b"\0libssl.so.3\0libcrypto.so.3\0libc.so.6\0"[..], "libcrypto.so.3, libssl.so.3"),
            (b"\0libc.so.6\0libgcc_s.so.1\0libm.so.6\0see libssl.so.3\0", ""),
        ];
        for (program, missing) in cases {
            std::fs::write(folder.path().join("bootstrap"), program).unwrap();
            let mut zip = Command::new("python3");
            zip.args(["-m", "zipfile", "-c", "bootstrap.zip", "bootstrap"]).current_dir(folder.path());
            process::capture(&mut zip).unwrap();
            for file in ["bootstrap.zip", "bootstrap"] {
                assert_eq!(libraries_of(&folder.path().join(file)).unwrap(), missing, "{file}");
            }
        }
    }

    #[test]
    fn a_binary_that_runs_can_be_unpacked_anew() {
        let folder = tempfile::tempdir().unwrap();
        let into = folder.path().join("producer");
        std::fs::create_dir(&into).unwrap();
        let program = into.join("bootstrap");
        std::fs::copy("/bin/sleep", &program).unwrap();
        let mut zip = Command::new("python3");
        process::capture(zip.args(["-m", "zipfile", "-c", "bootstrap.zip", "bootstrap"]).current_dir(&into)).unwrap();

        let binary = unpack(folder.path(), "producer").unwrap();
        let mut running = Command::new(&binary).arg("60").spawn().unwrap();
        let again = unpack(folder.path(), "producer");
        running.kill().unwrap();
        running.wait().unwrap();
        assert_eq!(again.unwrap(), binary);
        let left = std::fs::read_dir(binary.parent().unwrap()).unwrap().count();
        assert_eq!(left, 1, "unpacking left something beside the binary");
    }
}
