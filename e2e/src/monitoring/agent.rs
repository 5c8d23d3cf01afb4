//! The JMX exporter's Java agent, fetched once by Maven.

use std::{fs, path::PathBuf, process::Command};

use crate::error::{Result, file_error};
use crate::folder;
use crate::kafka::distribution;

/// The newest agent that Maven Central has. MSK's own is older; both use the same default naming except for names that
/// end with `_total`, which the Terraform tests forbid.
const VERSION: &str = "1.0.1";

/// The `-javaagent` option that serves metrics on `port` of 127.0.0.1; an empty configuration keeps the default naming.
pub(super) fn option(port: u16) -> Result<String> {
    let folder = folder::target_dir().join("kafka").join("jmx-exporter");
    let jar = folder.join(format!("jmx_prometheus_javaagent-{VERSION}.jar"));
    if !jar.exists() {
        fetch(&folder)?;
    }
    let configuration = folder.join("default-naming.yaml");
    fs::write(&configuration, "{}\n").map_err(file_error(&configuration))?;
    Ok(format!("-javaagent:{}=127.0.0.1:{port}:{}", jar.display(), configuration.display()))
}

fn fetch(folder: &PathBuf) -> Result<()> {
    fs::create_dir_all(folder).map_err(file_error(folder))?;
    let mut maven = Command::new("mvn");
    maven.args(["--batch-mode", "--quiet", "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"]);
    maven.arg(format!("-Dartifact=io.prometheus.jmx:jmx_prometheus_javaagent:{VERSION}"));
    maven.arg(format!("-DoutputDirectory={}", folder.display())).current_dir(folder);
    distribution::run(&mut maven, "mvn", "install Maven 3.8 or newer (Debian: `apt-get install maven`)").map(drop)
}
