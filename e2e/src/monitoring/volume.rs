//! The node exporter with a data volume where MSK's brokers have theirs, small enough to be filled.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use msk_test_kit::Process;

use super::prometheus::tool;
use crate::error::{Error, Result, file_error, os_error};
use crate::wait::wait_until;

/// Size of the volume in bytes.
const SIZE: u64 = 32 * 1024 * 1024;

/// A node exporter in its own namespaces: the volume exists only there and disappears with it.
#[derive(Debug)]
pub struct Volume {
    process: Process,
    mount: PathBuf,
}

impl Volume {
    /// Mounts the volume and starts the exporter on `port`.
    ///
    /// # Errors
    /// [`Error::MissingTool`] says what to install; [`Error::TimedOut`] if namespaces are not allowed here.
    pub async fn start(folder: &Path, port: u16) -> Result<Self> {
        let root = folder.join("node-root");
        // The exporter strips the root from what it shows: /kafka/datalogs is MSK's mount point.
        let mount = root.join("kafka/datalogs");
        fs::create_dir_all(&mount).map_err(file_error(&mount))?;
        let exporter = tool("prometheus-node-exporter")?;
        let script = format!(
            "mount -t tmpfs -o size={SIZE} tmpfs '{mount}' && exec {exporter} --path.rootfs='{root}' --web.listen-address=127.0.0.1:{port} --log.level=error",
            mount = mount.display(),
            root = root.display(),
        );
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]);
        command.args(["sh", "-c", &script]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = Process::spawn("node exporter", &mut command).map_err(os_error("starting unshare"))?;
        let volume = Self { process, mount };
        wait_until("the data volume", Duration::from_secs(10), || {
            std::future::ready(volume.inside().map(drop).map_err(|error| error.to_string()))
        })
        .await?;
        Ok(volume)
    }

    /// Fills the volume to `percent`.
    pub fn fill(&self, percent: u64) -> Result<()> {
        let path = self.inside()?.join("00000000000000000000.log");
        let bytes = usize::try_from(SIZE * percent / 100).unwrap_or(usize::MAX);
        fs::write(&path, vec![1; bytes]).map_err(file_error(path))
    }

    /// Empties the volume.
    pub fn clear(&self) -> Result<()> {
        let path = self.inside()?.join("00000000000000000000.log");
        fs::remove_file(&path).map_err(file_error(path))
    }

    /// The volume as the exporter sees it, reached through /proc.
    fn inside(&self) -> Result<PathBuf> {
        let unshare = self.process.id();
        let children = format!("/proc/{unshare}/task/{unshare}/children");
        let text = fs::read_to_string(&children).map_err(file_error(children))?;
        let child = text.split_whitespace().next().ok_or_else(|| Error::Invalid("no node exporter yet".to_owned()))?;
        let mounts = format!("/proc/{child}/mounts");
        let mounted = fs::read_to_string(&mounts).map_err(file_error(mounts))?;
        if !mounted.contains(&*self.mount.to_string_lossy()) {
            return Err(Error::Invalid("the data volume is not mounted: are user namespaces allowed here?".to_owned()));
        }
        let relative = self.mount.strip_prefix("/").unwrap_or(&self.mount);
        Ok(Path::new("/proc").join(child).join("root").join(relative))
    }
}
