//! Prometheus, as installed on the machine, and queries to it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use msk_test_kit::Process;
use serde_json::{Value, json};

use super::rules::{self, CLUSTER};
use crate::error::{Error, Result, file_error, os_error};
use crate::wait::wait_until;

/// How to install it.
pub const INSTALL: &str =
    "install Prometheus and its node exporter (Debian: `apt-get install prometheus prometheus-node-exporter`)";

/// Limit of one query; Prometheus answers in milliseconds.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(10);

/// What is scraped: for each job its targets, each with its port and its label `broker`.
pub type Targets = [(&'static str, Vec<(u16, String)>)];

/// A rule as Prometheus loaded it.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Name of the alert or of the recorded series.
    pub name: String,
    /// The `PromQL` query.
    pub query: String,
    /// Whether it is an alert.
    pub alert: bool,
}

/// A running Prometheus.
#[derive(Debug)]
pub struct Prometheus {
    _process: Process,
    folder: PathBuf,
    url: String,
    agent: ureq::Agent,
}

impl Prometheus {
    /// Starts Prometheus on `port` with the rules of `infra/rules` at their fast pace.
    ///
    /// # Errors
    /// [`Error::MissingTool`] says what to install; [`Error::TimedOut`] if it does not become ready.
    pub async fn start(folder: &Path, port: u16, targets: &Targets) -> Result<Self> {
        let folder = folder.join("prometheus");
        for part in ["targets", "rules", "data"] {
            let path = folder.join(part);
            fs::create_dir_all(&path).map_err(file_error(&path))?;
        }
        rules::write(&folder.join("rules"), rules::Pace::Fast)?;
        let configuration = folder.join("prometheus.yml");
        fs::write(&configuration, configuration_text(&folder, targets)?).map_err(file_error(&configuration))?;
        for (job, list) in targets {
            write_targets(&folder, job, list)?;
        }
        let log = folder.join("prometheus.log");
        let open = || File::options().create(true).append(true).open(&log).map_err(file_error(&log));
        let mut command = Command::new(tool("prometheus")?);
        command.arg(format!("--config.file={}", configuration.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.join("data").display()));
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        command.arg("--log.level=warn").stdin(Stdio::null()).stdout(open()?).stderr(open()?);
        let process = Process::spawn("prometheus", &mut command).map_err(os_error("starting prometheus"))?;
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(QUESTION_TIMEOUT))
            .http_status_as_error(false)
            .build()
            .into();
        let url = format!("http://127.0.0.1:{port}");
        let prometheus = Self { _process: process, folder, url, agent };
        prometheus.wait_ready().await?;
        Ok(prometheus)
    }

    async fn wait_ready(&self) -> Result<()> {
        wait_until("a ready Prometheus", Duration::from_secs(30), || async {
            match self.get("/-/ready", &[]).await {
                Ok((200, _)) => Ok(()),
                Ok((status, _)) => Err(status.to_string()),
                Err(error) => Err(error.to_string()),
            }
        })
        .await
    }

    /// Replaces the targets of a job; Prometheus notices by itself.
    pub fn set_targets(&self, job: &str, targets: &[(u16, String)]) -> Result<()> {
        write_targets(&self.folder, job, targets)
    }

    /// The number of series that a query finds.
    ///
    /// # Errors
    /// [`Error::Invalid`] with Prometheus's own message if the query is invalid.
    pub async fn count(&self, query: &str) -> Result<usize> {
        let answer = self.ask("query", &[("query", query)]).await?;
        match &answer["result"] {
            Value::Array(series) => Ok(series.len()),
            other => Err(Error::Invalid(format!("{query}: unexpected answer {other}"))),
        }
    }

    /// The first value that a query finds.
    pub async fn value(&self, query: &str) -> Result<Option<f64>> {
        let answer = self.ask("query", &[("query", query)]).await?;
        Ok(answer["result"][0]["value"][1].as_str().and_then(|text| text.parse().ok()))
    }

    /// Every rule that is loaded.
    ///
    /// # Errors
    /// [`Error::Invalid`] when Prometheus does not answer.
    pub async fn rules(&self) -> Result<Vec<Rule>> {
        let answer = self.ask("rules", &[]).await?;
        let groups = answer["groups"].as_array().into_iter().flatten();
        let rules = groups.flat_map(|group| group["rules"].as_array().into_iter().flatten());
        Ok(rules
            .map(|rule| Rule {
                name: rule["name"].as_str().unwrap_or_default().to_owned(),
                query: rule["query"].as_str().unwrap_or_default().to_owned(),
                alert: rule["type"] == "alerting",
            })
            .collect())
    }

    /// Names of the alerts that are firing now.
    ///
    /// # Errors
    /// [`Error::Invalid`] when Prometheus does not answer.
    pub async fn firing(&self) -> Result<BTreeSet<String>> {
        self.alerts(|state| state == "firing").await
    }

    /// Names of the alerts that are firing, or will if their condition lasts.
    ///
    /// # Errors
    /// [`Error::Invalid`] when Prometheus does not answer.
    pub async fn firing_or_pending(&self) -> Result<BTreeSet<String>> {
        self.alerts(|state| state == "firing" || state == "pending").await
    }

    async fn alerts(&self, wanted: impl Fn(&str) -> bool) -> Result<BTreeSet<String>> {
        let answer = self.ask("alerts", &[]).await?;
        let alerts = answer["alerts"].as_array().into_iter().flatten();
        Ok(alerts
            .filter(|alert| alert["state"].as_str().is_some_and(&wanted))
            .filter_map(|alert| alert["labels"]["alertname"].as_str().map(str::to_owned))
            .collect())
    }

    /// Status and body of an answer.
    async fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Result<(u16, String)> {
        let request = self.agent.get(format!("{}{path}", self.url)).query_pairs(parameters.iter().copied());
        let answer = tokio::task::spawn_blocking(move || {
            let mut answer = request.call()?;
            Ok::<_, ureq::Error>((answer.status().as_u16(), answer.body_mut().read_to_string()?))
        });
        answer.await.map_err(asking)?.map_err(asking)
    }

    async fn ask(&self, what: &str, parameters: &[(&str, &str)]) -> Result<Value> {
        let (_, body) = self.get(&format!("/api/v1/{what}"), parameters).await?;
        let answer: Value = serde_json::from_str(&body).map_err(asking)?;
        if answer["status"] == "success" {
            return Ok(answer["data"].clone());
        }
        Err(Error::Invalid(format!("Prometheus, asked for {what} {parameters:?}: {}", answer["error"])))
    }
}

/// Runs promtool; an error includes what it printed.
pub fn promtool(arguments: &[&str], files: &[PathBuf]) -> Result<()> {
    let mut command = Command::new("promtool");
    command.args(arguments).args(files);
    crate::kafka::distribution::run(&mut command, "promtool", INSTALL).map(drop)
}

/// A Prometheus configuration like that of the Terraform code, except for the source of the targets.
fn configuration_text(folder: &Path, targets: &Targets) -> Result<String> {
    let relabelling: String = rules::metric_relabelling()?.lines().map(|line| format!("      {line}\n")).collect();
    let jobs: String = targets
        .iter()
        .map(|(job, _)| {
            let list = folder.join("targets").join(format!("{job}.json"));
            let list = list.display();
            format!(
                "  - job_name: {job}\n    file_sd_configs: [{{files: ['{list}']}}]\n    metric_relabel_configs:\n{relabelling}"
            )
        })
        .collect();
    let rules = folder.join("rules").join("*.yaml");
    Ok(format!(
        "global: {{scrape_interval: 4s, scrape_timeout: 4s, evaluation_interval: 1s}}\nrule_files: ['{}']\nscrape_configs:\n{jobs}",
        rules.display()
    ))
}

/// Written next to the file and renamed, so that Prometheus never reads a partial file.
fn write_targets(folder: &Path, job: &str, targets: &[(u16, String)]) -> Result<()> {
    let groups: Vec<Value> = targets
        .iter()
        .map(|(port, broker)| json!({"targets": [format!("127.0.0.1:{port}")], "labels": {"cluster": CLUSTER, "broker": broker}}))
        .collect();
    let path = folder.join("targets").join(format!("{job}.json"));
    let partial = path.with_extension("partial");
    fs::write(&partial, Value::from(groups).to_string()).map_err(file_error(&partial))?;
    fs::rename(&partial, &path).map_err(file_error(path))
}

/// The name of the program, if it is installed.
pub(super) fn tool(name: &'static str) -> Result<&'static str> {
    match Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status() {
        Ok(_) => Ok(name),
        Err(_) => Err(Error::MissingTool { tool: name, install: INSTALL }),
    }
}

fn asking(error: impl std::fmt::Display) -> Error {
    Error::Invalid(format!("asking Prometheus: {error}"))
}
