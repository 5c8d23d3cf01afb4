//! Apache Kafka's jars, fetched once by Maven into the target folder, and the test bed's Java classes compiled against them.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use msk_test_kit::Process;

use crate::error::{Error, Result, file_error, os_error};
use crate::folder;

const INSTALL_MAVEN: &str = "install Maven 3.8 or newer (Debian: `apt-get install maven`)";
/// The test bed's classes. A class archive takes jars, and no folder, in the class path.
const TEST_BED_JAR: &str = "test-bed.jar";
const INSTALL_JAVA: &str = "install a Java 17 development kit (Debian: `apt-get install openjdk-17-jdk-headless`)";

/// A release of Apache Kafka that the test bed runs; each has a folder in `e2e/kafka/` with its pinned dependencies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KafkaVersion {
    /// The newest of the line that MSK recommends.
    V3_9,
    /// The newest release.
    V4,
}

impl KafkaVersion {
    /// The exact version.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V3_9 => "3.9.2",
            Self::V4 => "4.4.0",
        }
    }
}

impl std::fmt::Display for KafkaVersion {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The jars and classes on this machine.
#[derive(Clone, Debug)]
pub struct Distribution {
    version: KafkaVersion,
    jars: PathBuf,
    classes: PathBuf,
}

impl Distribution {
    /// Fetches and compiles what is not there yet. Runs that start at the same time wait for each other.
    ///
    /// # Errors
    /// [`Error::MissingTool`] says what to install; [`Error::Command`] holds Maven's or javac's own words.
    pub fn fetch(version: KafkaVersion) -> Result<Self> {
        let root = root();
        fs::create_dir_all(&root).map_err(file_error(&root))?;
        let _lock = lock(version)?;
        let jars = fetch_jars(version, &root)?;
        let classes = compile(version, &root, &jars)?;
        Ok(Self { version, jars, classes })
    }

    /// Whether the jars are on this machine already.
    ///
    /// # Errors
    /// [`Error::File`] when this repository's list of jars cannot be read.
    pub fn is_fetched(version: KafkaVersion) -> Result<bool> {
        up_to_date(&jars_dir(version), &[pom(version)])
    }

    /// The release.
    pub fn version(&self) -> KafkaVersion {
        self.version
    }

    /// The folder of Kafka's jars, for tools that need more than a broker.
    pub fn jars(&self) -> &Path {
        &self.jars
    }

    /// Kafka's and the test bed's classes, as `java -cp` wants them.
    pub(crate) fn class_path(&self) -> OsString {
        let mut path = self.classes.join(TEST_BED_JAR).into_os_string();
        path.push(":");
        path.push(self.jars.join("*"));
        path
    }

    /// Where the classes of a broker are kept as a JVM has them in memory (JEP 350): with them it starts in half the CPU
    /// time. A new compilation removes the file; a JVM that it does not fit starts without it.
    pub(super) fn class_archive(&self) -> PathBuf {
        self.classes.join("broker.jsa")
    }

    /// Held while the archive is made, so that one process makes it.
    pub(super) fn lock(&self) -> Result<File> {
        lock(self.version)
    }
}

fn lock(version: KafkaVersion) -> Result<File> {
    let path = root().join(format!("{version}.lock"));
    let lock = File::create(&path).map_err(file_error(&path))?;
    lock.lock().map_err(file_error(&path))?;
    Ok(lock)
}

/// How often a download is tried.
const DOWNLOADS: u32 = 3;

fn root() -> PathBuf {
    folder::target_dir().join("kafka")
}

fn jars_dir(version: KafkaVersion) -> PathBuf {
    root().join(version.as_str())
}

/// The pinned dependencies.
fn pom(version: KafkaVersion) -> PathBuf {
    source_dir().join("kafka").join(version.as_str()).join("pom.xml")
}

fn source_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// `dependency:copy-dependencies` into a folder that gets its final name only when complete.
fn fetch_jars(version: KafkaVersion, root: &Path) -> Result<PathBuf> {
    let pom = pom(version);
    let jars = jars_dir(version);
    if up_to_date(&jars, std::slice::from_ref(&pom))? {
        return Ok(jars);
    }
    tracing::info!(%version, "fetching Apache Kafka from Maven Central");
    let partial = root.join(format!("{version}.partial"));
    let mut attempts = 0;
    loop {
        start_over(&partial)?;
        let mut maven = Command::new("mvn");
        maven.args(["--batch-mode", "--quiet", "--file"]).arg(&pom).arg("dependency:copy-dependencies");
        maven.arg(format!("-DoutputDirectory={}", partial.display()));
        attempts += 1;
        match run(&mut maven, "mvn", INSTALL_MAVEN) {
            Ok(_) => return finish(&partial, &jars, &[pom]),
            // Maven itself does not try a broken download again.
            Err(Error::Command { detail, .. }) if attempts < DOWNLOADS => {
                tracing::warn!(%version, detail, "Maven failed; once more");
            }
            Err(error) => return Err(error),
        }
    }
}

/// Compiles `e2e/java` against the release's own jars.
fn compile(version: KafkaVersion, root: &Path, jars: &Path) -> Result<PathBuf> {
    let sources = java_sources()?;
    // What is made from the classes is made from the jars, too.
    let made_from = [sources.as_slice(), &[pom(version)]].concat();
    let classes = root.join(format!("{version}-classes"));
    if up_to_date(&classes, &made_from)? {
        return Ok(classes);
    }
    let partial = root.join(format!("{version}-classes.partial"));
    start_over(&partial)?;
    let mut javac = Command::new("javac");
    javac.args(["-Xlint:all", "-Werror", "--release", "17", "-cp"]).arg(jars.join("*"));
    let compiled = partial.join("compiled");
    javac.arg("-d").arg(&compiled).args(&sources);
    run(&mut javac, "javac", INSTALL_JAVA)?;
    let mut jar = Command::new("jar");
    jar.arg("--create").arg("--file").arg(partial.join(TEST_BED_JAR)).arg("-C").arg(&compiled).arg(".");
    run(&mut jar, "jar", INSTALL_JAVA)?;
    finish(&partial, &classes, &made_from)
}

fn java_sources() -> Result<Vec<PathBuf>> {
    let dir = source_dir().join("java/msk/e2e");
    let mut sources = Vec::new();
    for entry in fs::read_dir(&dir).map_err(file_error(&dir))? {
        let path = entry.map_err(file_error(&dir))?.path();
        if path.extension().is_some_and(|extension| extension == "java") {
            sources.push(path);
        }
    }
    sources.sort();
    Ok(sources)
}

/// The stamp in a made folder: the contents it was made from. Comparing them, not their times, survives a fresh clone.
const STAMP: &str = ".made-from";

fn stamp_of(sources: &[PathBuf]) -> Result<String> {
    let mut stamp = String::new();
    for source in sources {
        stamp.push_str(&fs::read_to_string(source).map_err(file_error(source))?);
    }
    Ok(stamp)
}

fn up_to_date(made: &Path, sources: &[PathBuf]) -> Result<bool> {
    let stamp = stamp_of(sources)?;
    Ok(fs::read_to_string(made.join(STAMP)).is_ok_and(|old| old == stamp))
}

fn start_over(partial: &Path) -> Result<()> {
    if partial.exists() {
        fs::remove_dir_all(partial).map_err(file_error(partial))?;
    }
    fs::create_dir_all(partial).map_err(file_error(partial))
}

fn finish(partial: &Path, made: &Path, sources: &[PathBuf]) -> Result<PathBuf> {
    let stamp = partial.join(STAMP);
    fs::write(&stamp, stamp_of(sources)?).map_err(file_error(&stamp))?;
    if made.exists() {
        fs::remove_dir_all(made).map_err(file_error(made))?;
    }
    fs::rename(partial, made).map_err(file_error(made))?;
    Ok(made.to_owned())
}

/// Runs a tool to its end; its failure carries the end of what it printed. It does not outlive this process.
pub(crate) fn run(command: &mut Command, tool: &'static str, install: &'static str) -> Result<Output> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let process = Process::spawn(tool, command).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Error::MissingTool { tool, install },
        _ => os_error(format!("starting {tool}"))(error),
    })?;
    let output = process.output().map_err(os_error(format!("waiting for {tool}")))?;
    if output.status.success() {
        return Ok(output);
    }
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed);
    let tail: Vec<&str> = printed.lines().rev().take(15).collect();
    let tail: Vec<&str> = tail.into_iter().rev().collect();
    Err(Error::Command { command: tool.to_owned(), detail: format!("{}\n{}", output.status, tail.join("\n")) })
}
