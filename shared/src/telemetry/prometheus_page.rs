//! Metrics in Prometheus's text format, version 0.0.4: <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use std::fmt::Write;

/// The media type of a page.
pub const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The page that one scrape gets.
///
/// ```
/// use msk_shared::telemetry::PrometheusPage;
///
/// let mut page = PrometheusPage::default();
/// page.declare("shop_orders_total", "counter", "Orders taken.");
/// page.sample("shop_orders_total", &[("country", "KR")], 7.0);
/// assert_eq!(
///     page.into_text(),
///     "# HELP shop_orders_total Orders taken.\n# TYPE shop_orders_total counter\nshop_orders_total{country=\"KR\"} 7\n"
/// );
/// ```
#[derive(Debug, Default)]
pub struct PrometheusPage(String);

// Writing to a `String` cannot fail.
impl PrometheusPage {
    /// Begins a family of samples, which must follow directly; `kind` is `counter`, `gauge` or `histogram`.
    pub fn declare(&mut self, name: &str, kind: &str, help: &str) {
        let help = help.replace('\\', r"\\").replace('\n', r"\n");
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// Adds a sample. Labels may have any value.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(name);
        for (number, (label, text)) in labels.iter().enumerate() {
            let text = text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
            let _ = write!(self.0, "{}{label}=\"{text}\"", if number == 0 { '{' } else { ',' });
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{end} {value}");
    }

    /// The text of the page.
    pub fn into_text(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_a_line_or_a_label_is_escaped() {
        let mut page = PrometheusPage::default();
        page.declare("a_total", "counter", "One \\ and\nanother.");
        page.sample("a_total", &[("name", "q\"b\\s\nn"), ("other", "")], 1e15);
        let lines: Vec<_> = page.0.lines().collect();
        assert_eq!(
            lines,
            [
                r"# HELP a_total One \\ and\nanother.",
                "# TYPE a_total counter",
                r#"a_total{name="q\"b\\s\nn",other=""} 1000000000000000"#,
            ]
        );
    }
}
