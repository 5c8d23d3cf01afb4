//! JSON logs on standard output and CloudWatch metrics in embedded metric format.

mod emf;
mod json_lines;
mod line_buffer;
mod logs;
mod record_log;

pub use emf::{EmfLine, InvalidNamespace, MAX_VALUES, MetricsNamespace, Unit};
pub use line_buffer::{HeldLines, hold_lines};
pub use logs::{LogLevel, init_logs};
pub use record_log::{log_record, record_span};
