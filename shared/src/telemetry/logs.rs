//! One JSON line per event on standard output, through `tracing-subscriber`: librdkafka's own lines and panics included.

use std::str::FromStr;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::json_lines::JsonLines;

/// How much is logged.
///
/// ```
/// use msk_shared::telemetry::LogLevel;
///
/// assert_eq!("WARN".parse(), Ok(LogLevel::Warn));
/// assert_eq!(LogLevel::default(), LogLevel::Info);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogLevel {
    /// Only failures.
    Error,
    /// Failures, and what may become one.
    Warn,
    /// Also normal events; the default.
    #[default]
    Info,
    /// Also details for a developer.
    Debug,
    /// Everything of this project's own code.
    Trace,
}

/// Text that is not a log level.
///
/// ```
/// use msk_shared::telemetry::{LogLevel, UnknownLogLevel};
///
/// assert_eq!("loud".parse::<LogLevel>(), Err(UnknownLogLevel));
/// assert_eq!(UnknownLogLevel.to_string(), "must be one of: error, warn, info, debug, trace");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be one of: error, warn, info, debug, trace")]
pub struct UnknownLogLevel;

impl FromStr for LogLevel {
    type Err = UnknownLogLevel;

    fn from_str(text: &str) -> Result<Self, UnknownLogLevel> {
        match text.trim().to_ascii_lowercase().as_str() {
            "error" | "fatal" => Ok(Self::Error),
            "warn" => Ok(Self::Warn),
            "info" => Ok(Self::Info),
            "debug" => Ok(Self::Debug),
            "trace" => Ok(Self::Trace),
            _ => Err(UnknownLogLevel),
        }
    }
}

impl LogLevel {
    fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }

    /// Libraries stay at `info` whatever our own level is: at `trace` the AWS and Kafka crates have logged secrets
    /// (RUSTSEC-2023-0125), at `debug` they log the bytes of requests.
    fn directives(self) -> String {
        let ours = self.name();
        let theirs = if matches!(self, Self::Error | Self::Warn) { ours } else { "info" };
        // The runtime's own span and lines repeat ours.
        format!(
            "{theirs},lambda_runtime=warn,msk_shared={ours},msk_producer={ours},msk_consumer={ours},producer={ours},consumer={ours},msk_local={ours}"
        )
    }
}

/// Starts logging. `AWS_LAMBDA_LOG_LEVEL`, otherwise `RUST_LOG`, otherwise `configured` sets the level.
/// A panic becomes one JSON line with its place in the source; the message is left out because it may contain input.
///
/// ```no_run
/// use msk_shared::telemetry::{LogLevel, init_logs};
///
/// init_logs(LogLevel::Info);
/// tracing::info!(records = 3, "done");
/// ```
pub fn init_logs(configured: LogLevel) {
    let lambda = std::env::var("AWS_LAMBDA_LOG_LEVEL").ok().and_then(|text| text.parse::<LogLevel>().ok());
    let directives = match (lambda, std::env::var("RUST_LOG")) {
        (Some(level), _) => level.directives(),
        (None, Ok(directives)) if !directives.trim().is_empty() => directives,
        _ => configured.directives(),
    };
    // `Targets` knows targets and levels; `EnvFilter`, which also knows spans, would add a regular-expression engine.
    let filter = directives.parse::<Targets>();
    let unreadable = filter.is_err();
    let filter = filter.unwrap_or_else(|_| Targets::new().with_default(tracing::Level::INFO));
    // A second call (tests) keeps the first subscriber.
    let _ = tracing_subscriber::registry().with(filter).with(JsonLines).try_init();
    if unreadable {
        tracing::warn!("RUST_LOG must be `level` or `target=level,...`; logging at info");
    }
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(|l| format!("{}:{}", l.file(), l.line())).unwrap_or_default();
        tracing::error!(place, "panic");
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_never_log_below_info() {
        for level in ["debug", "TRACE"] {
            let directives = level.parse::<LogLevel>().unwrap().directives();
            assert!(directives.starts_with("info,") && directives.parse::<Targets>().is_ok(), "{directives}");
            assert!(directives.contains(&format!("msk_producer={}", level.to_lowercase())), "{directives}");
        }
        assert!("error".parse::<LogLevel>().unwrap().directives().starts_with("error,"));
        assert_eq!("loud".parse::<LogLevel>(), Err(UnknownLogLevel));
    }
}
