//! What a process shows besides its results: metrics for a scraper, and the system log of its mappings.

use std::io::Write;
use std::sync::Arc;

use anyhow::{Context, Result};
use msk_local::esm::mapping::{Mapping, SystemLogTarget};
use msk_local::esm::running_mapping::Shared;
use msk_local::esm::system_log::SystemLog;
use msk_local::metrics_server::MetricsServer;
use msk_local::output::{Line, MetricsLine, Reporter};

/// What the mappings of a process share. They have the same block `Local`, so any of them says what is wanted.
pub(crate) fn shared(reporter: Arc<Reporter>, mapping: Option<&Mapping>) -> Result<Shared> {
    Ok(Shared { system_log: system_log(mapping)?.map(Arc::new), ..Shared::new(reporter) })
}

fn system_log(mapping: Option<&Mapping>) -> Result<Option<SystemLog>> {
    let Some(mapping) = mapping.filter(|mapping| mapping.system_log_level.is_some()) else { return Ok(None) };
    let stream: Box<dyn Write + Send> = match &mapping.local.system_log {
        SystemLogTarget::StandardError => Box::new(std::io::stderr()),
        SystemLogTarget::StandardOutput => Box::new(std::io::stdout()),
        SystemLogTarget::File(path) => {
            let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
            let shown = path.display();
            Box::new(file.with_context(|| format!("--system-log (Local.systemLog): {shown} cannot be written"))?)
        }
    };
    Ok(Some(SystemLog::new(stream)))
}

/// Serves the metrics of a process whose mappings ask for it.
pub(crate) async fn metrics_server(mapping: Option<&Mapping>, process: &Shared) -> Result<Option<MetricsServer>> {
    let Some(port) = mapping.and_then(|mapping| mapping.local.metrics_port) else { return Ok(None) };
    let server = MetricsServer::start(port, process.metrics_page()).await?;
    process.reporter.line(&Line::Metrics(MetricsLine { url: server.url() }));
    Ok(Some(server))
}
