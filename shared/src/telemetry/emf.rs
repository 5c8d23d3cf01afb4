//! CloudWatch embedded metric format: one JSON line on standard output becomes metrics, without an API call.
//! Specification: AWS CloudWatch user guide, "Specification: Embedded metric format".

use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::line_buffer;

/// The unit of a metric, as CloudWatch names it.
///
/// ```
/// use msk_shared::telemetry::{EmfLine, MetricsNamespace, Unit};
///
/// let line = EmfLine::new(&MetricsNamespace::default(), "consumer").metric("StoreMs", Unit::Milliseconds, 12.5);
/// assert_eq!(line.to_json()["_aws"]["CloudWatchMetrics"][0]["Metrics"][0]["Unit"], "Milliseconds");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A number of things.
    Count,
    Bytes,
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

/// A CloudWatch namespace (`METRICS_NAMESPACE`): 1 to 255 characters, and only those that `PutMetricData` accepts.
///
/// ```
/// use msk_shared::telemetry::MetricsNamespace;
///
/// assert_eq!("shop/orders".parse::<MetricsNamespace>().unwrap().as_str(), "shop/orders");
/// assert!("AWS/Lambda".parse::<MetricsNamespace>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsNamespace(String);

/// Text that CloudWatch rejects as a namespace.
///
/// ```
/// use msk_shared::telemetry::{InvalidNamespace, MetricsNamespace};
///
/// assert_eq!("AWS/Lambda".parse::<MetricsNamespace>(), Err(InvalidNamespace));
/// assert!(InvalidNamespace.to_string().ends_with("not starting with `:` or `AWS/`"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be at most 255 letters, digits and `._-/#: `, not starting with `:` or `AWS/`")]
pub struct InvalidNamespace;

impl Default for MetricsNamespace {
    fn default() -> Self {
        Self("msk-ha-cluster".to_owned())
    }
}

impl FromStr for MetricsNamespace {
    type Err = InvalidNamespace;

    fn from_str(text: &str) -> Result<Self, InvalidNamespace> {
        let name = text.trim();
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._-/#: ".contains(c);
        let is_valid = (1..=255).contains(&name.len())
            && name.chars().all(allowed)
            && !name.starts_with(':')
            && !name.starts_with("AWS/");
        if is_valid { Ok(Self(name.to_owned())) } else { Err(InvalidNamespace) }
    }
}

impl MetricsNamespace {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Values that one metric of a line may have, by the specification.
pub const MAX_VALUES: usize = 100;

/// One line of metrics with the dimension `service`. Further text members are properties: searchable in the logs, free of charge,
/// and not dimensions, so cardinality stays low.
///
/// ```
/// use msk_shared::telemetry::{EmfLine, MetricsNamespace, Unit};
///
/// let line = EmfLine::new(&MetricsNamespace::default(), "consumer").metric("RecordsDone", Unit::Count, 3.0);
/// assert_eq!(line.to_json()["RecordsDone"], 3.0);
/// line.emit();
/// ```
#[derive(Debug, Clone)]
pub struct EmfLine {
    namespace: MetricsNamespace,
    /// Dimensions in addition to `service`.
    breakdowns: Vec<&'static str>,
    metrics: Vec<Value>,
    members: Map<String, Value>,
    /// When it happened, if not when the line is written.
    at: Option<SystemTime>,
}

impl EmfLine {
    /// A line for one function (`producer`, `consumer`).
    pub fn new(namespace: &MetricsNamespace, service: &str) -> Self {
        let members = Map::from_iter([("service".to_owned(), service.into())]);
        Self { namespace: namespace.clone(), breakdowns: Vec::new(), metrics: Vec::new(), members, at: None }
    }

    /// Counts the line's metrics a second time, by one more dimension: the total stays complete. Use it only for a few values.
    #[must_use]
    pub fn breakdown(mut self, name: &'static str, value: &str) -> Self {
        self.breakdowns.push(name);
        self.property(name, value)
    }

    /// The time to which CloudWatch counts the line.
    #[must_use]
    pub fn at(mut self, time: SystemTime) -> Self {
        self.at = Some(time);
        self
    }

    /// Adds a metric.
    #[must_use]
    pub fn metric(self, name: &'static str, unit: Unit, value: f64) -> Self {
        self.declared(name, unit).property(name, number(value))
    }

    /// Adds a metric that was measured several times, at most [`MAX_VALUES`].
    #[must_use]
    pub fn metrics(self, name: &'static str, unit: Unit, values: &[f64]) -> Self {
        match values {
            [value] => self.metric(name, unit, *value),
            values => {
                let values: Vec<Value> = values.iter().map(|value| number(*value)).collect();
                self.declared(name, unit).property(name, values)
            }
        }
    }

    fn declared(mut self, name: &'static str, unit: Unit) -> Self {
        self.metrics.push(json!({"Name": name, "Unit": unit.name()}));
        self
    }

    /// Adds a property.
    #[must_use]
    pub fn property(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.members.insert(name.into(), value.into());
        self
    }

    /// The line as JSON.
    pub fn to_json(&self) -> Value {
        let at = self.at.unwrap_or_else(SystemTime::now);
        let at_ms = at.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64);
        let mut members = self.members.clone();
        let by_service = std::iter::once(vec!["service"]);
        let sets: Vec<_> = by_service.chain(self.breakdowns.iter().map(|name| vec!["service", name])).collect();
        members.insert(
            "_aws".into(),
            json!({
                "Timestamp": at_ms,
                "CloudWatchMetrics": [{
                    "Namespace": self.namespace.as_str(),
                    "Dimensions": sets,
                    "Metrics": self.metrics,
                }],
            }),
        );
        Value::Object(members)
    }

    /// Writes the line to standard output, unless it has no metrics. A closed output does not fail a request.
    pub fn emit(&self) {
        if !self.metrics.is_empty() {
            line_buffer::write(format!("{}\n", self.to_json()).as_bytes(), tracing::Level::INFO);
        }
    }
}

/// A whole number stays one: `3`, not `3.0`.
fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 9e15 { json!(value as i64) } else { json!(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_breakdown_counts_besides_the_total() {
        let namespace = "n".parse().unwrap();
        let line =
            EmfLine::new(&namespace, "producer").breakdown("error_code", "503").metric("M", Unit::Count, 1.0).to_json();
        let sets = &line["_aws"]["CloudWatchMetrics"][0]["Dimensions"];
        assert_eq!(*sets, json!([["service"], ["service", "error_code"]]));
        assert_eq!(line["error_code"], "503");
    }

    #[test]
    fn the_line_declares_each_metric_and_carries_its_value() {
        let line = EmfLine::new(&MetricsNamespace::default(), "producer")
            .metric("RecordsFailed", Unit::Count, 3.0)
            .metric("PublishLatencyMs", Unit::Milliseconds, 1.5)
            .property("request_id", "r-1")
            .to_json();
        let declared = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(declared["Namespace"], "msk-ha-cluster");
        assert_eq!(declared["Dimensions"], json!([["service"]]));
        assert_eq!(declared["Metrics"][0], json!({"Name": "RecordsFailed", "Unit": "Count"}));
        assert_eq!(line["RecordsFailed"].to_string(), "3");
        assert_eq!(line["PublishLatencyMs"].to_string(), "1.5");
        assert!(line["_aws"]["Timestamp"].as_u64().is_some_and(|ms| ms > 1_700_000_000_000));
    }

    #[test]
    fn a_metric_may_have_several_values_and_a_line_its_own_time() {
        let an_hour = std::time::Duration::from_secs(3600);
        let line = EmfLine::new(&MetricsNamespace::default(), "producer")
            .metrics("PublishLatencyMs", Unit::Milliseconds, &[1.5, 2.0])
            .at(UNIX_EPOCH + an_hour)
            .to_json();
        assert_eq!(line["PublishLatencyMs"].to_string(), "[1.5,2]");
        assert_eq!(line["_aws"]["Timestamp"], 3_600_000);
    }

    #[test]
    fn a_namespace_that_cloudwatch_refuses_is_refused() {
        for text in ["shop/kafka", "a", &"n".repeat(255), " shop "] {
            assert_eq!(text.parse::<MetricsNamespace>().unwrap().as_str(), text.trim());
        }
        for text in ["", " ", "AWS/Lambda", ":shop", "a\tb", "가", &"n".repeat(256)] {
            assert_eq!(text.parse::<MetricsNamespace>(), Err(InvalidNamespace), "{text}");
        }
    }
}
