//! CloudWatch embedded metric format: one JSON line on standard output becomes metrics, without an API call.
//! Specification: AWS CloudWatch user guide, "Specification: Embedded metric format".

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

/// CloudWatch's unit of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A number of things.
    Count,
    /// Bytes.
    Bytes,
    /// Milliseconds.
    Milliseconds,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Count => "Count",
            Self::Bytes => "Bytes",
            Self::Milliseconds => "Milliseconds",
        }
    }
}

/// One line of metrics with the dimension `service`. Further text members are properties: searchable in the logs, free of charge,
/// and not dimensions, so cardinality stays low.
#[derive(Debug, Clone)]
pub struct EmfLine {
    namespace: String,
    dimensions: Vec<&'static str>,
    /// Sets of dimensions besides `dimensions`.
    breakdowns: Vec<Vec<&'static str>>,
    metrics: Vec<Value>,
    members: Map<String, Value>,
}

impl EmfLine {
    /// A line for one function (`producer`, `consumer`) in a CloudWatch namespace.
    pub fn new(namespace: &str, service: &str) -> Self {
        let mut members = Map::new();
        members.insert("service".into(), service.into());
        Self {
            namespace: namespace.into(),
            dimensions: vec!["service"],
            breakdowns: Vec::new(),
            metrics: Vec::new(),
            members,
        }
    }

    /// Adds a dimension. Each distinct value is a metric of its own that costs money: few values only.
    #[must_use]
    pub fn dimension(mut self, name: &'static str, value: &str) -> Self {
        self.dimensions.push(name);
        self.members.insert(name.into(), value.into());
        self
    }

    /// Counts the line's metrics a second time, by one dimension more: the total stays complete. Few values only.
    #[must_use]
    pub fn breakdown(mut self, name: &'static str, value: &str) -> Self {
        self.breakdowns.push([&self.dimensions[..], &[name]].concat());
        self.members.insert(name.into(), value.into());
        self
    }

    /// Adds a metric.
    #[must_use]
    pub fn metric(mut self, name: &'static str, unit: Unit, value: f64) -> Self {
        self.metrics.push(json!({"Name": name, "Unit": unit.name()}));
        // A whole number stays one: `3`, not `3.0`.
        let number = if value.fract() == 0.0 && value.abs() < 9e15 { json!(value as i64) } else { json!(value) };
        self.members.insert(name.into(), number);
        self
    }

    /// Adds a property.
    #[must_use]
    pub fn property(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.members.insert(name.into(), value.into());
        self
    }

    /// The line as JSON, with the time of the call.
    pub fn to_json(&self) -> Value {
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64);
        let mut members = self.members.clone();
        let sets: Vec<&[&'static str]> =
            std::iter::once(&self.dimensions).chain(&self.breakdowns).map(Vec::as_slice).collect();
        members.insert(
            "_aws".into(),
            json!({
                "Timestamp": now_ms,
                "CloudWatchMetrics": [{
                    "Namespace": self.namespace,
                    "Dimensions": sets,
                    "Metrics": self.metrics,
                }],
            }),
        );
        Value::Object(members)
    }

    /// Writes the line to standard output; nothing when it has no metric. A closed output is no reason to fail a request.
    pub fn emit(&self) {
        use std::io::Write;
        if !self.metrics.is_empty() {
            let _ = writeln!(std::io::stdout().lock(), "{}", self.to_json());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_breakdown_counts_besides_the_total() {
        let line = EmfLine::new("n", "producer").breakdown("error_code", "503").metric("M", Unit::Count, 1.0).to_json();
        let sets = &line["_aws"]["CloudWatchMetrics"][0]["Dimensions"];
        assert_eq!(*sets, json!([["service"], ["service", "error_code"]]));
        assert_eq!(line["error_code"], "503");
    }

    #[test]
    fn the_line_declares_each_metric_and_carries_its_value() {
        let line = EmfLine::new("msk-ha-cluster", "producer")
            .dimension("error_code", "50302")
            .metric("RecordsFailed", Unit::Count, 3.0)
            .metric("PublishLatencyMs", Unit::Milliseconds, 1.5)
            .property("request_id", "r-1")
            .to_json();
        let declared = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(declared["Namespace"], "msk-ha-cluster");
        assert_eq!(declared["Dimensions"], json!([["service", "error_code"]]));
        assert_eq!(declared["Metrics"][0], json!({"Name": "RecordsFailed", "Unit": "Count"}));
        assert_eq!(line["RecordsFailed"].to_string(), "3");
        assert_eq!(line["PublishLatencyMs"].to_string(), "1.5");
        assert!(line["_aws"]["Timestamp"].as_u64().is_some_and(|ms| ms > 1_700_000_000_000));
    }
}
