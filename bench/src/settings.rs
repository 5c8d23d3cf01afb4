//! What to measure. `cargo xtask bench` has checked it and passes it on as JSON, so there is one command line only.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Benchmark {
    /// Single records, one request at a time.
    Warm,
    /// 100 records in a request.
    Batch,
    /// Events for the consumer.
    Decode,
    /// The producer as an HTTP server.
    Http,
}

impl Benchmark {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Warm => "warm",
            Self::Batch => "batch",
            Self::Decode => "decode",
            Self::Http => "http",
        }
    }
}

/// The programs of one build.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Build {
    pub(crate) producer: PathBuf,
    pub(crate) consumer: PathBuf,
}

/// Everything that one run is told.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) benchmarks: Vec<Benchmark>,
    /// Requests of each subject in `warm`; `batch` makes a quarter of them, `decode` a twentieth.
    pub(crate) requests: usize,
    /// `AWS_LAMBDA_FUNCTION_MEMORY_SIZE` of the functions.
    pub(crate) memory_mb: u32,
    /// The brokers' addresses, on loopback.
    pub(crate) bootstrap: String,
    /// The topic that is written to; it exists.
    pub(crate) topic: String,
    pub(crate) this: Build,
    /// Another build to compare with.
    pub(crate) against: Option<Build>,
    /// The file for the figures.
    pub(crate) json: Option<PathBuf>,
}

impl Settings {
    /// Reads what `cargo xtask bench` wrote.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        serde_json::from_str(text).context("these settings are not those of `cargo xtask bench` of the same revision")
    }

    /// The builds to measure, with the names of their rows.
    pub(crate) fn builds(&self) -> impl Iterator<Item = (&'static str, &Build)> {
        [("this", Some(&self.this)), ("against", self.against.as_ref())]
            .into_iter()
            .filter_map(|(name, build)| Some((name, build?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_as_they_are_written() {
        let text = r#"{"benchmarks": ["warm", "http"], "requests": 40, "memory_mb": 128, "bootstrap": "127.0.0.1:1",
            "topic": "bench", "this": {"producer": "/p", "consumer": "/c"}, "against": null, "json": null}"#;
        let settings = Settings::parse(text).unwrap();
        assert_eq!(
            (settings.benchmarks.as_slice(), settings.requests),
            ([Benchmark::Warm, Benchmark::Http].as_slice(), 40)
        );
        assert_eq!(settings.builds().map(|(name, _)| name).collect::<Vec<_>>(), ["this"]);
        let error = Settings::parse(&text.replace("topic", "tropic")).unwrap_err();
        assert!(format!("{error:#}").contains("tropic"), "{error:#}");
    }
}
