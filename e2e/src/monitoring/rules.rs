//! `infra/rules` and `infra/dashboards` as this machine runs them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::{Error, Result, file_error};
use crate::folder;

/// The label `cluster` of every series.
pub const CLUSTER: &str = "test-bed";

/// How long conditions must last, and how far queries look back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// As written in the files.
    AsWritten,
    /// Seconds instead of minutes, so that a fault can be watched from beginning to end.
    Fast,
}

/// What Terraform fills in (`rule_limits` in infra/monitoring.tf): by default, and with [`Pace::Fast`].
const LIMITS: [(&str, [&str; 2]); 5] = [
    ("${time_lag_seconds}", ["300", "8"]),
    ("${own_groups}", ["own-orders", "own-orders"]),
    ("${cpu_ratio}", ["0.6", "0.6"]),
    ("${disk_ratio}", ["0.85", "0.85"]),
    ("${runbook_url}", ["docs/RUNBOOKS.md", "docs/RUNBOOKS.md"]),
];

/// What [`Pace::Fast`] replaces. A range must cover four scrapes.
const FASTER: [(&str, &str); 9] = [
    ("interval: 60s", "interval: 1s"),
    ("for: 20m", "for: 4s"),
    ("for: 15m", "for: 4s"),
    ("for: 10m", "for: 4s"),
    ("for: 5m", "for: 4s"),
    ("for: 1m", "for: 2s"),
    ("[5m]", "[20s]"),
    ("[10m]", "[30s]"),
    ("[20m]", "[20s]"),
];

/// Writes the rule files into `folder` and returns their paths, by name.
///
/// # Errors
/// [`Error::File`]; [`Error::Invalid`] when a file has a `${...}` that is unknown here.
pub fn write(folder: &Path, pace: Pace) -> Result<Vec<PathBuf>> {
    let source = infra("rules");
    let mut written = Vec::new();
    for entry in fs::read_dir(&source).map_err(file_error(&source))? {
        let path = entry.map_err(file_error(&source))?.path();
        let (Some("yaml"), Some(name)) = (path.extension().and_then(|it| it.to_str()), path.file_name()) else {
            continue;
        };
        let text = fs::read_to_string(&path).map_err(file_error(&path))?;
        let target = folder.join(name);
        fs::write(&target, render(&text, pace)?).map_err(file_error(&target))?;
        written.push(target);
    }
    written.sort();
    Ok(written)
}

fn render(text: &str, pace: Pace) -> Result<String> {
    let mut text = text.to_owned();
    for (placeholder, values) in LIMITS {
        text = text.replace(placeholder, values[usize::from(pace == Pace::Fast)]);
    }
    if pace == Pace::Fast {
        for (slow, fast) in FASTER {
            text = text.replace(slow, fast);
        }
    }
    match text.split("${").nth(1) {
        Some(rest) => {
            let name = rest.split('}').next().unwrap_or(rest);
            Err(Error::Invalid(format!("infra/rules uses ${{{name}}}: give e2e/src/monitoring/rules.rs a value")))
        }
        None => Ok(text),
    }
}

/// Which metrics of a scrape are kept: `infra/templates/metric-relabel.yaml`, which both backends of the Terraform code use.
pub fn metric_relabelling() -> Result<String> {
    let path = infra("templates").join("metric-relabel.yaml");
    fs::read_to_string(&path).map_err(file_error(path))
}

/// A query of a Grafana panel.
#[derive(Clone, Debug)]
pub struct PanelQuery {
    /// `file: panel`.
    pub place: String,
    /// The `PromQL` query, with the dashboard's variables filled in.
    pub query: String,
}

/// Every query to Prometheus of every dashboard in `infra/dashboards`.
///
/// # Errors
/// [`Error::File`], or [`Error::Invalid`] for a file that is not a dashboard.
pub fn panel_queries() -> Result<Vec<PanelQuery>> {
    let source = infra("dashboards");
    let mut queries = Vec::new();
    for entry in fs::read_dir(&source).map_err(file_error(&source))? {
        let path = entry.map_err(file_error(&source))?.path();
        let text = fs::read_to_string(&path).map_err(file_error(&path))?;
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let dashboard: Value =
            serde_json::from_str(&text).map_err(|error| Error::Invalid(format!("{file}: {error}")))?;
        for panel in dashboard["panels"].as_array().into_iter().flatten() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                if let Some(query) = target["expr"].as_str() {
                    let place = format!("{file}: {}", panel["title"].as_str().unwrap_or_default());
                    queries.push(PanelQuery { place, query: fill_in(query) });
                }
            }
        }
    }
    Ok(queries)
}

/// Replaces the dashboard's variables as Grafana does when everything is selected, with the ranges of [`Pace::Fast`].
fn fill_in(query: &str) -> String {
    let mut query = query.replace("$cluster", CLUSTER).replace("$group", ".*").replace("$topic", ".*");
    for (slow, fast) in FASTER.iter().filter(|(slow, _)| slow.starts_with('[')) {
        query = query.replace(slow, fast);
    }
    query
}

/// The parts of an alert's condition that must have data for it to ever be true: both sides of its comparison, without
/// numbers. The `unless` part of a condition normally has no data.
pub fn sides(condition: &str) -> Vec<String> {
    let condition = condition.split(" unless ").next().unwrap_or(condition);
    let at = [" > ", " < ", " == "].iter().filter_map(|sign| Some((top_level(condition, sign)?, sign.len()))).min();
    let Some((start, length)) = at else { return vec![condition.to_owned()] };
    let right = condition[start + length..].trim();
    // `on (...) group_left ()` belongs to the comparison.
    let right = right.rsplit_once("group_left () ").map_or(right, |(_, right)| right);
    let mut sides = vec![condition[..start].to_owned()];
    if right.parse::<f64>().is_err() {
        sides.push(right.to_owned());
    }
    sides
}

/// The position of `sign` outside all brackets.
fn top_level(text: &str, sign: &str) -> Option<usize> {
    let mut depth = 0_i32;
    for (at, character) in text.char_indices() {
        match character {
            '(' | '{' | '[' => depth += 1,
            ')' | '}' | ']' => depth -= 1,
            _ if depth == 0 && text[at..].starts_with(sign) => return Some(at),
            _ => {}
        }
    }
    None
}

/// A folder of the Terraform code.
pub fn infra(folder: &str) -> PathBuf {
    folder::workspace_dir().join("infra").join(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_has_two_sides() {
        assert_eq!(sides("sum by (a) (m{x=\"y\"}) > 0.1"), ["sum by (a) (m{x=\"y\"})"]);
        assert_eq!(sides("up == 0"), ["up"]);
        assert_eq!(sides("delta(l[30s]) > on (a) group_left () 0.9 * sum(w)"), ["delta(l[30s])", "0.9 * sum(w)"]);
        assert_eq!(sides("absent(up)"), ["absent(up)"]);
        assert_eq!(sides("sum(a) > 0 unless on (c) min(up) == 0"), ["sum(a)"]);
    }

    #[test]
    fn an_unknown_limit_is_named() {
        let error = render("expr: x > ${answer}", Pace::Fast).unwrap_err().to_string();
        assert!(error.contains("${answer}"), "{error}");
    }

    #[test]
    fn every_rule_file_and_dashboard_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let files = write(folder.path(), Pace::AsWritten).unwrap();
        assert!(files.len() >= 4, "{files:?}");
        assert!(panel_queries().unwrap().len() > 50);
    }
}
