//! JSON logs on standard output, CloudWatch metrics in embedded metric format, and pages for Prometheus.

mod emf;
mod json_lines;
mod line_buffer;
mod logs;
mod prometheus_page;
mod record_log;

pub use emf::{EmfLine, InvalidNamespace, MAX_VALUES, MetricsNamespace, Unit};
pub use line_buffer::{HeldLines, hold_lines};
pub use logs::{LogLevel, UnknownLogLevel, init_logs};
pub use prometheus_page::{PROMETHEUS_TEXT, PrometheusPage};
pub use record_log::{log_record, record_span};
