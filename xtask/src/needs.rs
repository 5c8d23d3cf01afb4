//! What a machine must have, how to detect it, and how to install it.

mod command;
mod debian;

pub(crate) use command::{Options, run};

use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

/// One prerequisite.
#[derive(Debug)]
pub(crate) struct Need {
    /// The name that users know.
    pub(crate) name: &'static str,
    /// `None` if the need is met, otherwise what is wrong.
    pub(crate) problem: fn() -> Option<String>,
    pub(crate) install: Install,
}

/// How to meet a need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Install {
    /// Packages of Debian and Ubuntu. `a|b` means the first that the release has.
    Packages(&'static [&'static str]),
    /// What a person has to do.
    ByHand(&'static str),
}

impl fmt::Display for Install {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Packages(packages) => {
                let first = packages.iter().map(|package| package.split('|').next().unwrap_or_default());
                write!(formatter, "apt-get install {}", first.collect::<Vec<_>>().join(" "))
            }
            Self::ByHand(sentence) => formatter.write_str(sentence),
        }
    }
}

impl Need {
    /// What is wrong and how to fix it; `None` if the need is met.
    pub(crate) fn complaint(&self) -> Option<String> {
        let problem = (self.problem)()?;
        Some(format!("{} is required: {problem}. To install it: {}", self.name, self.install))
    }
}

/// An error that tells how to install the first of them that is missing.
pub(crate) fn require(needs: impl IntoIterator<Item = Need>) -> Result<()> {
    match needs.into_iter().find_map(|need| need.complaint()) {
        Some(complaint) => bail!("{complaint}. `cargo xtask needs` lists all requirements"),
        None => Ok(()),
    }
}

/// C and C++ compilers, cmake and make, and OpenSSL with its headers: required to build librdkafka.
pub(crate) const NATIVE_BUILD: Need = Need {
    name: "C and C++ compilers, cmake, make, OpenSSL's headers",
    problem: || {
        [("cc", "--version"), ("c++", "--version"), ("cmake", "--version"), ("make", "--version")]
            .into_iter()
            .find_map(|(program, argument)| not_runnable(program, &[argument]))
            // Homebrew's OpenSSL is found without it.
            .or_else(|| {
                if cfg!(target_os = "macos") { None } else { not_runnable("pkg-config", &["--exists", "openssl"]) }
            })
    },
    install: Install::Packages(&["build-essential", "cmake", "pkg-config", "libssl-dev"]),
};

/// Perl: OpenSSL's own build, in the packages that are deployed.
pub(crate) const PERL: Need =
    Need { name: "perl", problem: || not_runnable("perl", &["-v"]), install: Install::Packages(&["perl"]) };

/// The program in the command that `cargo xtask up` prints.
pub(crate) const CURL: Need =
    Need { name: "curl", problem: || not_runnable("curl", &["--version"]), install: Install::Packages(&["curl"]) };

/// The repository's rules are checked on the files tracked by git.
pub(crate) const GIT: Need =
    Need { name: "git", problem: || not_runnable("git", &["--version"]), install: Install::Packages(&["git"]) };

/// Python with its `venv` module: pinned tools are installed into virtual environments under `target/tools`.
pub(crate) const PYTHON_VENV: Need = Need {
    name: "Python 3 with venv",
    problem: || not_runnable("python3", &["-c", "import venv, ensurepip"]),
    install: Install::Packages(&["python3-venv"]),
};

/// Node.js with npm: clients of stage `peers`.
pub(crate) const NODE: Need = Need {
    name: "Node.js with npm",
    problem: || not_runnable("node", &["--version"]).or_else(|| not_runnable("npm", &["--version"])),
    install: Install::Packages(&["nodejs", "npm"]),
};

/// Go: a function of stage `peers`.
pub(crate) const GO: Need = Need {
    name: "Go 1.21",
    // From then on it fetches the version that a module asks for.
    problem: || older_than((1, 21), "go", go_version),
    install: Install::ByHand("https://go.dev/dl/ has it; Debian 12 has an older one"),
};

/// A browser, and what lets a program use it.
pub(crate) const CHROMIUM: Need = Need {
    name: "Chromium with its driver",
    problem: || not_runnable("chromium", &["--version"]).or_else(|| not_runnable("chromedriver", &["--version"])),
    install: Install::Packages(&["chromium", "chromium-driver"]),
};

/// A Java 17 development kit or newer: the real Kafka brokers, and the compiler of the rig's token verifier.
pub(crate) const JAVA: Need = Need {
    name: "Java 17 (a development kit)",
    problem: || match not_runnable("javac", &["-version"]).map_or_else(|| first_line("java", &["-version"]), Err) {
        Err(problem) => Some(problem),
        Ok(line) => match java_major(&line) {
            Some(major) if major >= 17 => None,
            _ => Some(format!("`java -version` reports {line:?}, but 17 or later is required")),
        },
    },
    install: Install::Packages(&["openjdk-17-jdk-headless|openjdk-21-jdk-headless|default-jdk-headless"]),
};

/// Maven: fetches Apache Kafka's jars.
pub(crate) const MAVEN: Need =
    Need { name: "Maven", problem: || not_runnable("mvn", &["--version"]), install: Install::Packages(&["maven"]) };

/// Terraform 1.11 or newer: the configuration itself needs only 1.9, but its tests use mocks during plan.
pub(crate) const TERRAFORM: Need = Need {
    name: "Terraform 1.11",
    problem: || older_than((1, 11), "terraform", terraform_version),
    install: Install::ByHand(
        "https://developer.hashicorp.com/terraform/install has HashiCorp's own packages and programs; Debian and Ubuntu have none",
    ),
};

/// Prometheus with its `promtool`, and the node exporter.
pub(crate) const PROMETHEUS: Need = Need {
    name: "Prometheus and its node exporter",
    problem: || {
        ["prometheus", "promtool", "prometheus-node-exporter"]
            .into_iter()
            .find_map(|program| not_runnable(program, &["--version"]))
    },
    install: Install::Packages(&["prometheus", "prometheus-node-exporter"]),
};

/// Runs programs for arm64.
pub(crate) const QEMU_PROGRAM: &str = "qemu-aarch64";
/// Where Debian puts the C libraries for arm64, including the loader.
pub(crate) const ARM64_LIBRARIES: &str = "/usr/aarch64-linux-gnu";

/// What is required to run arm64 programs; nothing on an arm64 machine.
pub(crate) const QEMU: Need = Need {
    name: "qemu and the C libraries of arm64",
    problem: || {
        if cfg!(target_arch = "aarch64") {
            return None;
        }
        let library = |name: &str| {
            let path = Path::new(ARM64_LIBRARIES).join("lib").join(name);
            (!path.exists()).then(|| format!("no {}", path.display()))
        };
        not_runnable(QEMU_PROGRAM, &["--version"])
            .or_else(|| ["ld-linux-aarch64.so.1", "libgcc_s.so.1"].into_iter().find_map(library))
    },
    install: Install::Packages(&["qemu-user", "libc6-arm64-cross", "libgcc-s1-arm64-cross"]),
};

/// `None` if the program starts and exits with 0, otherwise what is wrong.
fn not_runnable(program: &str, arguments: &[&str]) -> Option<String> {
    let shown = format!("{program} {}", arguments.join(" "));
    match Command::new(program).args(arguments).stdin(Stdio::null()).output() {
        Err(_) => Some(format!("there is no program {program:?} on the PATH")),
        Ok(output) if !output.status.success() => Some(format!("`{shown}` ended with {}", output.status)),
        Ok(_) => None,
    }
}

/// The first line a program prints, on either stream (`java -version` writes to standard error).
fn first_line(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|_| format!("there is no program {program:?} on the PATH"))?;
    let bytes = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    Ok(String::from_utf8_lossy(&bytes).lines().next().unwrap_or_default().to_owned())
}

/// `openjdk version "17.0.9" 2023-10-17` is 17.
fn java_major(line: &str) -> Option<u32> {
    line.split('"').nth(1)?.split(['.', '-', '+']).next()?.parse().ok()
}

/// `Terraform v1.9.8` is (1, 9).
pub(crate) fn terraform_version(line: &str) -> Option<(u32, u32)> {
    let mut parts = line.strip_prefix("Terraform v")?.split(['.', '-']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// What is wrong if `PROGRAM version` does not report this or a later version.
fn older_than((major, minor): (u32, u32), program: &str, read: fn(&str) -> Option<(u32, u32)>) -> Option<String> {
    match first_line(program, &["version"]) {
        Err(problem) => Some(problem),
        Ok(line) => match read(&line) {
            Some(version) if version >= (major, minor) => None,
            _ => Some(format!("`{program} version` reports {line:?}, but {major}.{minor} or later is required")),
        },
    }
}

/// `go version go1.26.8 linux/amd64` is (1, 26).
fn go_version(line: &str) -> Option<(u32, u32)> {
    let mut parts = line.strip_prefix("go version go")?.split(['.', ' ', 'r', 'b']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::{JAVA, NATIVE_BUILD, TERRAFORM, go_version, java_major, terraform_version};

    #[test]
    fn versions_are_read_from_what_the_programs_print() {
        assert_eq!(java_major("openjdk version \"17.0.9\" 2023-10-17"), Some(17));
        assert_eq!(java_major("openjdk version \"21-ea\""), Some(21));
        assert_eq!(java_major("java: not found"), None);
        assert_eq!(terraform_version("Terraform v1.9.8"), Some((1, 9)));
        assert_eq!(terraform_version("Terraform v1.14.0-beta1"), Some((1, 14)));
        assert_eq!(terraform_version("OpenTofu v1.9.0"), None);
        assert_eq!(go_version("go version go1.26.8 linux/amd64"), Some((1, 26)));
        assert_eq!(go_version("go version go1.26rc1 linux/amd64"), Some((1, 26)));
        assert_eq!(go_version("go version devel"), None);
    }

    #[test]
    fn how_to_install_is_a_command_where_there_is_one() {
        assert_eq!(NATIVE_BUILD.install.to_string(), "apt-get install build-essential cmake pkg-config libssl-dev");
        assert_eq!(JAVA.install.to_string(), "apt-get install openjdk-17-jdk-headless");
        assert!(TERRAFORM.install.to_string().starts_with("https://"));
    }
}
