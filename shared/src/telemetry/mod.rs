//! JSON logs on standard output and CloudWatch metrics in embedded metric format.

mod emf;
mod logs;

pub use emf::{EmfLine, InvalidNamespace, MetricsNamespace, Unit};
pub use logs::{LogLevel, init_logs};
