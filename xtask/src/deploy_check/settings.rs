//! The values of the variables, as Terraform will see them: defaults, then `TF_VAR_...`, `terraform.tfvars`, `*.auto.tfvars`,
//! and the files given with `--var-file`; a later value overrides an earlier one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::machine::Machine;
use super::report::Line;
use crate::package::Architecture;
use crate::zip_features::ZipFeature;

/// Parts of values that occur only in examples: names of RFC 2606, addresses of RFC 5737, the documentation's account.
const PLACEHOLDERS: [&str; 6] =
    ["@example.", ".example.com", "//example.", "com/example/", "203.0.113.", ":123456789012:"];

/// The values of all variables.
#[derive(Debug)]
pub(crate) struct Settings {
    defaults: BTreeMap<String, Value>,
    given: BTreeMap<String, Value>,
    /// Names of the files that were read.
    files: Vec<String>,
}

impl Settings {
    pub(crate) fn read(infra: &Path, var_files: &[PathBuf], machine: &Machine) -> Result<Self> {
        let defaults = defaults(infra)?;
        let mut settings = Self { defaults, given: BTreeMap::new(), files: Vec::new() };
        for (name, value) in &machine.environment {
            if let Some(name) = name.strip_prefix("TF_VAR_").filter(|name| settings.defaults.contains_key(*name)) {
                settings.given.insert(name.to_owned(), from_environment(value));
            }
        }
        for file in automatic_files(infra).iter().chain(var_files) {
            settings.add_file(file)?;
        }
        Ok(settings)
    }

    fn add_file(&mut self, file: &Path) -> Result<()> {
        let values: BTreeMap<String, Value> = match file.extension() {
            Some(extension) if extension == "json" => {
                serde_json::from_str(&text(file)?).with_context(|| format!("{} cannot be read", file.display()))?
            }
            _ => hcl::from_str(&text(file)?).with_context(|| format!("{} cannot be read", file.display()))?,
        };
        if let Some(unknown) = values.keys().find(|name| !self.defaults.contains_key(*name)) {
            bail!("{} sets {unknown}, but there is no such variable", file.display());
        }
        self.given.extend(values);
        self.files.push(file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned());
        Ok(())
    }

    /// The effective value; `None` for null.
    pub(crate) fn value(&self, name: &str) -> Option<&Value> {
        let given = self.given.get(name).filter(|value| !value.is_null());
        given.or_else(|| self.defaults.get(name)).filter(|value| !value.is_null())
    }

    /// True unless the value is the default.
    pub(super) fn is_given(&self, name: &str) -> bool {
        self.given.contains_key(name)
    }

    pub(super) fn text(&self, name: &str) -> &str {
        self.value(name).and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn number(&self, name: &str) -> u64 {
        self.value(name).and_then(whole_number).unwrap_or_default()
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.value(name).and_then(Value::as_bool).unwrap_or_default()
    }

    /// A member of an object variable.
    pub(super) fn member(&self, name: &str, member: &str) -> Option<&Value> {
        self.value(name)?.get(member).filter(|value| !value.is_null())
    }

    /// The consumers by name, with what is set for each.
    pub(super) fn consumers(&self) -> impl Iterator<Item = (&str, &Value)> {
        let consumers = self.value("consumers").and_then(Value::as_object).into_iter().flatten();
        consumers.map(|(name, consumer)| (name.as_str(), consumer))
    }

    /// What the producer's zip must be able to do, as `infra/producer_layer.tf` works it out.
    pub(super) fn zip_features(&self) -> Vec<ZipFeature> {
        let topics = self.value("topics").and_then(Value::as_object).into_iter().flatten();
        let mut produced = topics.filter(|(_, topic)| topic["produced"] != false).map(|(_, topic)| topic);
        let schemas = produced.any(|topic| topic["policy"]["schema"].is_string());
        let docs_page = self.member("api", "docs_page").is_some_and(|page| *page == true);
        let wanted = [(ZipFeature::Schemas, schemas), (ZipFeature::DocsPage, docs_page)];
        wanted.into_iter().filter(|(_, wanted)| *wanted).map(|(feature, _)| feature).collect()
    }

    pub(super) fn architecture(&self) -> Architecture {
        if self.text("function_architecture") == "x86_64" { Architecture::X86_64 } else { Architecture::Arm64 }
    }

    fn has_receivers(&self) -> bool {
        ["alarm_emails", "paging_topic_arns"]
            .iter()
            .any(|name| self.value(name).and_then(Value::as_array).is_some_and(|receivers| !receivers.is_empty()))
    }

    /// Variables that still have an example's value.
    fn placeholders(&self) -> Vec<&str> {
        let given = self.given.iter().filter(|(_, value)| is_placeholder(value));
        given.map(|(name, _)| name.as_str()).collect()
    }
}

/// The variables' numbers are whole and small; HCL and JSON may both write them as `3.0`.
pub(super) fn whole_number(value: &Value) -> Option<u64> {
    value
        .as_u64()
        .or_else(|| value.as_f64().filter(|number| number.fract() == 0.0 && *number >= 0.0).map(|number| number as u64))
}

/// The lines about the settings themselves.
pub(super) fn lines(settings: &Settings, root: &Path, infra: &Path) -> Vec<Line> {
    let mut lines = Vec::new();
    if settings.files.is_empty() {
        let infra = infra.strip_prefix(root).unwrap_or(infra).display();
        let copy = format!("cp {infra}/terraform.tfvars.example {infra}/terraform.tfvars, then edit it");
        lines.push(
            Line::missing("settings", "there is no terraform.tfvars, so every variable would have its default value")
                .with(copy),
        );
    } else {
        let count = settings.given.len();
        lines.push(Line::ok("settings", format!("{} ({count} variables set)", settings.files.join(", "))));
    }
    let placeholders = settings.placeholders();
    if !placeholders.is_empty() {
        let line =
            Line::missing("settings", format!("the example's value is still set for {}", placeholders.join(", ")));
        lines.push(line.with("enter your own value, or remove the line"));
    }
    lines.push(if settings.has_receivers() {
        Line::ok("alarms", "receivers are set (alarm_emails, paging_topic_arns)")
    } else if settings.is_given("alarm_emails") {
        Line::look("alarms", "alarm_emails is empty: alarms will fire, but nobody will be notified")
    } else {
        Line::missing("alarms", "nobody would be notified")
            .with("set alarm_emails = [\"you@your.domain\"]; [] means that nobody should be")
    });
    if settings.flag("enable_managed_grafana") {
        let line =
            Line::look("Grafana", "signing in requires IAM Identity Center or SAML, which must be set up beforehand");
        lines.push(line.with("aws sso-admin list-instances"));
    }
    lines
}

fn is_placeholder(value: &Value) -> bool {
    match value {
        Value::String(text) => PLACEHOLDERS.iter().any(|part| text.contains(part)),
        Value::Array(values) => values.iter().any(is_placeholder),
        Value::Object(members) => members.values().any(is_placeholder),
        _ => false,
    }
}

/// `TF_VAR_region=us-east-1` is text, `TF_VAR_broker_count=6` and `TF_VAR_topics={...}` are expressions.
fn from_environment(text: &str) -> Value {
    let parsed: Option<BTreeMap<String, Value>> = hcl::from_str(&format!("value = {text}")).ok();
    parsed
        .and_then(|mut values| values.remove("value"))
        .filter(|value| !value.is_string())
        .unwrap_or_else(|| Value::String(text.to_owned()))
}

/// The files that Terraform reads automatically, in its order.
fn automatic_files(infra: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = names(infra)
        .into_iter()
        .filter(|name| name.ends_with(".auto.tfvars") || name.ends_with(".auto.tfvars.json"))
        .map(|name| infra.join(name))
        .collect();
    files.sort();
    let first = ["terraform.tfvars", "terraform.tfvars.json"].map(|name| infra.join(name));
    first.into_iter().filter(|file| file.is_file()).chain(files).collect()
}

/// Every variable of the configuration with its default; null if it has none.
fn defaults(infra: &Path) -> Result<BTreeMap<String, Value>> {
    let mut defaults = BTreeMap::new();
    for block in blocks(infra, "variable")? {
        for (name, body) in block.as_object().into_iter().flatten() {
            defaults.insert(name.clone(), body.get("default").cloned().unwrap_or_default());
        }
    }
    if defaults.is_empty() {
        bail!("{} has no Terraform variables; pass the folder of the configuration", infra.display());
    }
    Ok(defaults)
}

/// The blocks of one kind in each `.tf` file of a folder.
pub(crate) fn blocks(infra: &Path, kind: &str) -> Result<Vec<Value>> {
    let mut found = Vec::new();
    for name in names(infra).into_iter().filter(|name| name.ends_with(".tf")) {
        let file = infra.join(name);
        let mut content: Value =
            hcl::from_str(&text(&file)?).with_context(|| format!("{} cannot be read", file.display()))?;
        found.extend(content.get_mut(kind).map(Value::take));
    }
    Ok(found)
}

/// Names of the files in a folder, sorted; none if it cannot be read.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

fn text(file: &Path) -> Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("{} cannot be opened", file.display()))
}
